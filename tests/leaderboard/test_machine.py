"""The board as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf

from hiereval.leaderboard.board import build
from hiereval.leaderboard.machine import written
from hiereval.records import Record


def test_an_unbounded_range_is_written_as_in_the_records(record: Callable[..., Record]) -> None:
    value = {
        "value": 5.5, "ci_low": 5.0, "ci_high": 6.0, "ci_level": 0.95, "n": 9,
        "undefined_reason": None, "higher_is_better": None, "range": (0.0, inf),
    }  # fmt: skip
    made = record(metrics={"mean_predictions": value})
    section = json.loads(written(build([made])))["sections"][0]
    assert section["columns"][0]["range"] == [0.0, "Infinity"]
    (row,) = section["measured"]
    assert row["records"][0]["metrics"]["mean_predictions"]["range"] == [0.0, "Infinity"]
