"""The board in docs/ is what the records in leaderboard/results say."""

from __future__ import annotations

from pathlib import Path

from hiereval import reading
from hiereval.leaderboard import markdown
from hiereval.leaderboard.board import build
from hiereval.records import Record

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_records() -> None:
    published = reading.read_all([ROOT / "leaderboard" / "results"])
    assert {record.dataset.name for record in published} == {
        "hierarcaps",
        "hierarcaps-expanded",
        "shapes",
    }
    page = (ROOT / "docs" / "board.md").read_text("utf-8")
    assert page.endswith(
        f"\n\n{markdown.written(build(published)).strip()}\n\n<!-- hiereval:end -->\n"
    )


def test_the_table_of_twins_is_what_five_seeds_of_each_say() -> None:
    twins: dict[str, list[Record]] = {}
    for record in reading.read_all([ROOT / "leaderboard" / "results"]):
        of_chains = (record.dataset.name, record.dataset.split) == ("hierarcaps", "test")
        if record.model.random_init is not None and record.task.name == "ordering" and of_chains:
            twins.setdefault(record.model.name, []).append(record)
    page = (ROOT / "docs" / "board.md").read_text("utf-8").partition("<!-- hiereval:begin -->")[0]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in page.splitlines()]
    table = {row[0]: row[1:] for row in rows if row[0] in twins}
    assert table.keys() == twins.keys()
    for name, records in twins.items():
        assert sorted(record.model.random_init for record in records) == [0, 1, 2, 3, 4], name
        for told, metric in zip(table[name], ("tau_d", "style_matched_auroc"), strict=True):
            values = [record.metrics[metric].value for record in records]
            low, high = (f"{value:.3f}".lstrip("0") for value in (min(values), max(values)))
            assert told == f"{low} to {high}", (name, metric)


def test_what_is_published_was_measured_in_full_by_known_code() -> None:
    for record in reading.read_all([ROOT / "leaderboard" / "results"]):
        assert record.limit is None
        assert record.environment.git_commit is not None
        assert record.environment.git_dirty is False
        assert not Path(record.model.checkpoint).is_absolute()
