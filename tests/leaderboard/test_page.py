from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser

from hiereval.leaderboard import every_eval_ever, formats, hub_results, mteb_results, page
from hiereval.leaderboard.board import build
from hiereval.records import Record


class Elements(HTMLParser):
    """Every element with its attributes, and the text by element."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def written(records: list[Record]) -> str:
    return page.written(build(records), records)


def test_hostile_strings_are_text_alone(
    hostile: str, hostile_everywhere: Callable[[str], Record]
) -> None:
    document = written([hostile_everywhere(hostile)])
    tame = Elements(written([hostile_everywhere("tame")]))
    elements = Elements(document)
    assert [tag for tag, _ in elements.found if tag != "wbr"] == [
        tag for tag, _ in tame.found if tag != "wbr"
    ]
    names = {name for _, attributes in elements.found for name in attributes}
    assert names == {name for _, attributes in tame.found for name in attributes}
    assert len(elements.all("script")) == len(elements.all("style")) == 1
    links = [attributes["href"] or "" for attributes in elements.all("a")]
    assert [link.partition(":")[0] for link in links] == ["data"]
    assert "\u202e" not in document
    assert "\x1b" not in document


def test_long_names_are_cut(long_record: Record) -> None:
    visible = re.sub(r'href="data:[^"]*"', "", written([long_record]))
    assert len(visible) < 45_000
    assert "n" * 200 not in visible


def test_the_policy_allows_this_style_and_script_alone(full: list[Record]) -> None:
    document = written(full)
    meta = Elements(document).all("meta")[1]
    assert meta["http-equiv"] == "Content-Security-Policy"
    policy = dict(part.strip().split(" ", 1) for part in (meta["content"] or "").split(";"))
    assert policy["default-src"] == "'none'"
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", document, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"\sstyle=|\son\w+=", re.sub(r"<script>.*?</script>", "", document))


def test_it_refers_to_nothing_outside_but_the_papers(full: list[Record]) -> None:
    elements = Elements(written(full))
    for _, attributes in elements.found:
        assert "src" not in attributes
        for name in ("href", "action", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith(
                ("data:", "https://arxiv.org/abs/2407.08521")
            )


def test_the_csv_of_the_link_holds_every_full_record(full: list[Record]) -> None:
    (link,) = [a for a in Elements(written(full)).all("a") if a.get("id") == "csv"]
    kind, _, data = (link["href"] or "").partition(",")
    assert kind == "data:text/csv;charset=utf-8;base64"
    table = list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))
    assert {row["model"] for row in table} == {record.model.name for record in full}
    assert len({row["record_id"] for row in table}) == len(full) - 1


def test_the_plot_comes_before_the_table_and_says_what_it_shows(full: list[Record]) -> None:
    document = written(full)
    assert document.index('class="panels"') < document.index("<table")
    labels = [a["aria-label"] for a in Elements(document).all("svg") if a.get("role") == "img"]
    assert len(labels) == 6
    assert labels[0] == (
        "siglip-base: mean radius tier 1 .900, tier 2 .970, tier 3 1.030, tier 4 1.080"
    )


def test_an_empty_board_says_so() -> None:
    assert "No records of full runs." in written([])


def test_no_format_shows_where_a_checkpoint_lies(record: Callable[..., Record]) -> None:
    records = [record(model__checkpoint="/home/ann/mine")]
    board = build(records, every_metric=True)
    exported = (
        mteb_results.results(board)
        | every_eval_ever.logs(board, "Us")
        | hub_results.model_index(board, {})
    )
    texts = [formats.written(form, board, records) for form in ("html", "csv", "md", "latex")]
    assert not any("home" in text for text in [*texts, *exported, *exported.values()])
