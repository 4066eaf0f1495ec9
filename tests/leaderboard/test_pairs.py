"""What two rows of the page differ by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from support.made_records import judged

from hiereval.leaderboard.board import build
from hiereval.leaderboard.packed import packed
from hiereval.records import Record


def drawn(records: Sequence[Record], metric: str) -> np.ndarray:
    """A thousand draws whose differences are known: the second is above by 0.001 to 1.000."""
    steps = np.arange(1, 1001) / 1000
    return np.stack([steps * i for i in range(len(records))], axis=1)


def test_two_rows_are_compared_by_the_draws_that_they_share(record: Callable[..., Record]) -> None:
    records = [record(name, metrics={"tau_d": judged(v)}) for name, v in (("a", 0.5), ("b", 0.9))]
    board = build(records, every_metric=True)
    (section,) = packed(board, drawn)["sections"]
    ((first, second, low, high, p),) = section["pairs"][0]
    names = [row.label for row in board.sections[0].rows]
    assert names == ["b", "a"]
    assert (first, second) == (0, 1)
    steps = np.arange(1, 1001) / 1000
    assert [low, high] == pytest.approx(np.quantile(steps, [0.025, 0.975]), rel=1e-4)
    assert p == pytest.approx(2 * 1 / 1001, rel=1e-2)


def test_many_rows_and_missing_samples_are_not_compared(record: Callable[..., Record]) -> None:
    many = [record(str(i), metrics={"tau_d": judged(0.5)}) for i in range(13)]
    assert packed(build(many, every_metric=True), drawn)["sections"][0]["pairs"] == {0: []}
    few = build(many[:2], every_metric=True)
    assert packed(few, lambda *_: None)["sections"][0]["pairs"] == {0: []}
    assert packed(few)["sections"][0]["pairs"] == {0: []}
