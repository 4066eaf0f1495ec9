"""The board in docs/ is what the records in leaderboard/results say."""

from __future__ import annotations

from pathlib import Path

from hiereval import reading
from hiereval.leaderboard import markdown
from hiereval.leaderboard.board import build

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_records() -> None:
    published = reading.read_all([ROOT / "leaderboard" / "results"])
    assert {record.dataset.name for record in published} == {
        "hierarcaps",
        "hierarcaps-expanded",
    }
    page = (ROOT / "docs" / "board.md").read_text("utf-8")
    assert page.endswith(
        f"\n\n{markdown.written(build(published)).strip()}\n\n<!-- hiereval:end -->\n"
    )


def test_what_is_published_was_measured_in_full_by_known_code() -> None:
    for record in reading.read_all([ROOT / "leaderboard" / "results"]):
        assert record.limit is None
        assert record.environment.git_commit is not None
        assert record.environment.git_dirty is False
        assert not Path(record.model.checkpoint).is_absolute()
