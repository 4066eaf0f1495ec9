"""The page as a file: what is in it, that it asks for nothing, that strangers' text is text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from support.made_records import judged

from hiereval.leaderboard import every_eval_ever, formats, hub_results, mteb_results, page
from hiereval.leaderboard.board import build
from hiereval.records import Record


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def written(records: list[Record]) -> str:
    return page.written(build(records, every_metric=True))


def data_of(document: str) -> dict[str, Any]:
    (text,) = re.findall(r'id="data">(.*?)</script>', document, re.DOTALL)
    return json.loads(text)


def column(document: str, metric: str) -> dict[str, Any]:
    return next(c for c in data_of(document)["sections"][0]["columns"] if c["metric"] == metric)


def test_hostile_strings_add_no_element_and_end_no_script(
    hostile: str, hostile_everywhere: Callable[[str], Record]
) -> None:
    document = written([hostile_everywhere(hostile)])
    tame = Elements(written([hostile_everywhere("tame")]))
    elements = Elements(document)
    assert elements.found == tame.found
    assert len(elements.all("script")) == 2
    (text,) = re.findall(r'id="data">(.*?)</script>', document, re.DOTALL)
    assert not set("<>&\u202e\x1b") & set(text)
    assert "\\u202e" not in text


def test_long_names_are_cut(long_record: Record) -> None:
    document = written([long_record])
    assert "n" * 200 not in document
    assert "m" * 200 not in document


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
    for _, attributes in Elements(document).found:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_it_refers_to_nothing_outside(full: list[Record]) -> None:
    document = written(full)
    for _, attributes in Elements(document).found:
        assert "src" not in attributes
        for name in ("href", "action", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:")
    addresses = set(re.findall(r"https?://[^\"'`\s]+", document))
    assert addresses == {"https://arxiv.org/abs/2407.08521", "http://www.w3.org/2000/svg"}


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


def test_it_opens_with_few_columns_whose_blind_scores_are_chance(
    record: Callable[..., Record],
) -> None:
    headline = judged(0.7, ceilings={"words": 0.51}, chance=0.5, role="headline")
    given_away = judged(0.9, ceilings={"words": 0.91}, chance=0.0)
    metrics = {"tau_d": given_away, **dict.fromkeys("abcdefghij", headline)}
    document = written([record(metrics=metrics)])
    first = [c["metric"] for c in data_of(document)["sections"][0]["columns"] if c["first"]]
    assert first == list("abcdefg")


def test_it_opens_with_columns_that_a_model_has_values_in(record: Callable[..., Record]) -> None:
    metric = judged(0.7, ceilings={"words": 0.51}, chance=0.5, role="headline")
    metrics = dict.fromkeys("abcd", metric)
    of_twins = dict.fromkeys("wxyz", metric)
    twin = record("twin", "other", of_twins, model__random_init=0)
    document = written([record(metrics=metrics), twin])
    first = [c["metric"] for c in data_of(document)["sections"][0]["columns"] if c["first"]]
    assert first == list("abcd")


@pytest.mark.parametrize(
    ("value", "low", "high", "whole"),
    [
        (0.86149, 0.85051, 0.8714999, [8614, 861 - 851, 871 - 861]),
        (0.8616, 0.85051, 0.87249, [8616, 862 - 851, 872 - 862]),
        (-0.45449, -0.5, -0.4, [-4544, -454 + 500, -400 + 454]),
    ],
)
def test_a_cell_is_rounded_once(
    record: Callable[..., Record], value: float, low: float, high: float, whole: list[int]
) -> None:
    given = {**judged(value, range=(-1.0, 1.0)), "ci_low": low, "ci_high": high}
    found = column(written([record(metrics={"tau_d": given})]), "tau_d")
    assert [found["v"][0], *(ord(found[side][0]) for side in ("low", "high"))] == [
        whole[0],
        *(ord(_character(n)) for n in whole[1:]),
    ]


def _character(n: int) -> str:
    return "".join(c for c in map(chr, range(35, 127)) if c not in "\\<>&")[n]


def test_the_seeds_and_shuffled_tiers_of_a_trained_probe_are_told_apart(full: list[Record]) -> None:
    section = data_of(written(full))["sections"][0]
    (runs,) = section["runs"].values()
    assert sorted((run["seed"], run["shuffled"]) for run in runs) == [
        (seed, shuffled) for seed in range(3) for shuffled in (False, True)
    ]
    assert next(r for r in runs if r["seed"] == 1 and not r["shuffled"])["values"] == {
        "tau_d": [0.96, 0.95, 0.97]
    }


def test_a_row_is_verified_if_all_its_records_are(record: Callable[..., Record]) -> None:
    first, second = record(), record(task="entailment", metrics={"auroc": 0.8})
    skipped = record(task="retrieval", status="skipped", reason="no images", metrics={})
    for evidence, expected in (
        (("vectors", "vectors"), "verified"),
        (("vectors", "samples"), "verified from samples"),  # a row is what its weakest record is
        (("vectors",), "measured"),
    ):
        known = dict(zip((first.record_id, second.record_id), evidence, strict=False))
        board = build([first, second, skipped], every_metric=True, verified=known)
        rows = data_of(page.written(board))["sections"][0]["rows"]
        assert rows["status"] == [expected]
        assert ("Verified from samples: " in board.legend) == (expected == "verified from samples")
        assert ("Verified: every number" in board.legend) == (expected == "verified")


def test_a_row_without_numbers_is_not_verified(record: Callable[..., Record]) -> None:
    skipped = record(status="skipped", reason="no images", metrics={})
    board = build([skipped], verified={skipped.record_id: "vectors"})
    assert [row.standing for s in board.sections for row in s.measured] == ["measured"]


def test_the_same_records_give_the_same_bytes(full: list[Record]) -> None:
    assert written(full) == written(full)
