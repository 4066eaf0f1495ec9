"""Ranks from the samples beside a board's records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import sampled
from support.made_records import judged

from hiereval import registry, samples
from hiereval.estimates import resample
from hiereval.leaderboard.board import build
from hiereval.leaderboard.paired import SamplesBeside
from hiereval.records import Record


@pytest.fixture(autouse=True)
def _coin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered, ("tasks", "coin"), sampled.Coin)


ITEMS = np.random.default_rng(0).normal(size=40)


def measured(folder: Path | None, model: str, shift: float, ids: list[str] | None = None,
             **changes: Any) -> Record:  # fmt: skip
    """A record, with samples in a folder: the same items for every model, and a shift."""
    scores = sampled.coin((ITEMS + shift).tolist()[: len(ids) if ids else None], ids)
    value = judged(float(scores.items["heads"].mean()), half=0.3, range=None)
    record = sampled.record(model, metrics={"heads": value}, **changes)
    if folder is not None:
        samples.write(samples.path_of(folder, record), record, scores)
    return record


def twin() -> Record:
    value = {"heads": judged(-9.0, range=None)}
    own = {"record_id": "twin", "model__random_init": 0, "model__fingerprint": "7" * 64}
    return sampled.record("a", metrics=value, **own)


def test_the_draws_are_those_of_the_shared_items(tmp_path: Path) -> None:
    names = [f"flip {i}" for i in range(40)]
    a = measured(tmp_path, "a", 0.0)
    b = measured(tmp_path, "b", 0.5, names[:30])
    drawn = SamplesBeside([tmp_path], draws=20, seed=3)([a, b], "heads")
    assert drawn is not None
    (weights,) = resample(30, 20, 3)
    expected = weights.numpy() @ np.stack([ITEMS[:30], ITEMS[:30] + 0.5], 1) / 30
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("there", [(True, False), (False, False)])
def test_without_the_samples_of_all_there_are_no_draws(
    tmp_path: Path, there: tuple[bool, ...]
) -> None:
    records = [
        measured(tmp_path if t else None, name, 0.0) for t, name in zip(there, "ab", strict=True)
    ]
    assert SamplesBeside([tmp_path])(records, "heads") is None


def test_without_shared_items_there_are_no_draws(tmp_path: Path) -> None:
    records = [measured(tmp_path, "a", 0.0, ["x"]), measured(tmp_path, "b", 0.0, ["y"])]
    assert SamplesBeside([tmp_path])(records, "heads") is None


def test_a_board_separates_by_samples_what_intervals_cannot(tmp_path: Path) -> None:
    records = [measured(tmp_path, name, shift) for name, shift in (("a", 0.0), ("b", 0.01))]
    records.append(twin())
    for paired, ranks, ties in (
        (SamplesBeside([tmp_path]), [1, 2], "paired draws"),
        (SamplesBeside([tmp_path / "a.jsonl"]), [1, 2], "paired draws"),
        (SamplesBeside([tmp_path / "elsewhere"]), [1, 2], "paired draws"),  # of one file, beside it
        (SamplesBeside([tmp_path / "elsewhere" / "a.jsonl"]), [1, 1], "intervals alone"),
        (None, [1, 1], "intervals alone"),
    ):
        section = build(records, paired=paired).sections[0]
        assert [row.label for row in section.measured] == ["b", "a"]
        assert [row.cells[0] and row.cells[0].rank for row in section.measured] == ranks
        assert section.columns[0].ties == ties
