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


def test_each_cell_says_whether_it_is_a_finding_and_why(full: list[Record]) -> None:
    document = json.loads(written(build(full)))
    (section,) = document["sections"]
    names = [column["metric"] for column in section["columns"]]
    tau, matched = names.index("tau_d"), names.index("length_matched_auroc")
    rows = {row["label"]: row for row in section["measured"] if row["probe"] == "empty-root"}
    siglip = rows["siglip-base"]
    assert (siglip["twins"], siglip["cells"][tau]["finding"]) == (1, False)
    assert siglip["cells"][tau]["because"] == ("not beyond the blind score words (0.913), at 95 %")
    assert siglip["cells"][matched]["finding"] is True
    assert siglip["cells"][matched]["because"] == (
        "beyond the free null (p 0.001) and one random-init twin (0.500, one seed: the spread is "
        "unknown), at 95 %"
    )
    assert (siglip["cells"][matched]["rank"], siglip["cells"][matched]["worst_rank"]) == (1, 1)
    words = next(row for row in section["controls"] if row["label"] == "words")
    assert words["cells"][tau]["finding"] is None
    assert words["cells"][tau]["because"] == "it is a control"
    assert section["columns"][tau]["ceilings"] == {"words": 0.913}
    assert document["covers"].startswith("Intervals cover other items")
