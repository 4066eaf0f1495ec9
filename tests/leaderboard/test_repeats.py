"""Runs of one measurement: which stands, and that every format says how many do not."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from support.made_records import judged

from hiereval.leaderboard import formats
from hiereval.leaderboard.board import build
from hiereval.leaderboard.repeats import one_of_each
from hiereval.records import Record

Make = Callable[..., Record]


@pytest.mark.parametrize(
    ("lesser", "greater"),
    [
        ({"seed": 0}, {"seed": 1}),  # the newer
        ({"bootstrap_resamples": 1000, "seed": 1}, {"bootstrap_resamples": 10_000}),
        ({"null_draws": 200}, {"null_draws": 1000}),
        ({"null_draws": 10**6}, {"null_draws": None}),  # all that the task asks for
        ({"bootstrap_resamples": 1000, "null_draws": None},
         {"bootstrap_resamples": 2000, "null_draws": 0}),
        ({"status": "failed", "reason": "memory", "metrics": {}, "bootstrap_resamples": 9000}, {}),
    ],
)  # fmt: skip
def test_one_run_of_a_measurement_stands(
    record: Make, lesser: dict[str, Any], greater: dict[str, Any]
) -> None:
    first, second, other = record(**lesser), record(**greater), record("other")
    assert one_of_each([first, second, other])[0] == [second, other]
    standing, left_out = one_of_each([second, other, first])
    assert standing == [second, other]
    assert [(one.record, one.stands) for one in left_out] == [(first, second)]


@pytest.mark.parametrize(
    "change",
    [
        {"model__revision": "1" * 40, "model__fingerprint": "1" * 64}, {"model__name": "b"},
        {"task": "entailment"}, {"task__parameters": {"k": 2}}, {"task__version": 9},
        {"dataset__sha256": "9" * 64}, {"dataset__image_source": "COCO"},
        {"probe__name": "mean-root"}, {"probe__parameters": {"pool": 3}}, {"model__root_text": "a"},
    ],
)  # fmt: skip
def test_what_has_a_cell_of_its_own_stands(record: Make, change: dict[str, Any]) -> None:
    both = [record(), record(**change)]
    assert one_of_each(both) == (both, [])


def test_seeds_of_a_trained_probe_all_stand(trained: Make) -> None:
    all_of_them = [trained(0.5, seed, shuffled=s) for seed in range(3) for s in (False, True)]
    assert one_of_each(all_of_them) == (all_of_them, [])
    again = trained(0.6, 1).model_copy(update={"seed": 1})
    standing, left_out = one_of_each([*all_of_them, again])
    assert (len(standing), left_out[0].record, left_out[0].stands) == (6, all_of_them[2], again)


def test_a_shuffled_fit_that_was_run_twice_is_one_seed(record: Make, trained: Make) -> None:
    """Else whoever runs the control ten times would narrow the interval that it is beaten by."""
    probe, root = trained(judged(0.9), 0), record("clip-b32", metrics={"tau_d": 0.5})
    control = [trained(0.5 + 0.1 * seed, seed, shuffled=True) for seed in (0, 1)]
    again = [one.model_copy(update={"record_id": f"{one.record_id}-{i}", "seed": i})
             for one in control for i in range(1, 6)]  # fmt: skip

    def because(records: list[Record]) -> list[str]:
        rows = [row for section in build(records).sections for row in section.measured]
        return [cell.because for row in rows for cell in row.cells if cell and cell.seeds]

    told = because([probe, root, *control, *again])
    assert told == because([probe, root, *control])
    assert "the fit on shuffled tiers (0.550 ± 1.100)" in told[0]


@pytest.fixture
def measured(record: Make) -> list[Record]:
    """Three runs of one measurement, whose values differ, and another model's."""
    when = {"timestamp": datetime(2026, 11, 24, tzinfo=UTC)}
    return [
        record("mine", metrics={"tau_d": 0.901}, seed=0, record_id="a", **when),
        record("mine", metrics={"tau_d": 0.9}, seed=1, record_id="b", bootstrap_resamples=5000),
        record("mine", metrics={"tau_d": 0.897}, seed=2, record_id="c", null_draws=0, **when),
        record("theirs", record_id="d"),
    ]


def written(form: str, records: list[Record]) -> str:
    return formats.written(form, build(records, reported=[]), records)


def test_every_format_says_what_was_left_out(measured: list[Record]) -> None:
    count = (
        "Left out: 2 runs of what stands here already, with another --seed or other numbers of "
        "draws."
    )
    note = (
        "Left out are runs of what stands here already, with another --seed or other numbers of "
        "draws: mine (2). Their values differ by up to 0.003."
    )
    for form in ("table", "md", "html", "latex"):
        told = " ".join(written(form, measured).split())
        told = told.replace("\\", "").replace("&#39;", "'")
        assert count in told, form
        assert note in told or form == "latex", form
        assert "Left out" not in written(form, measured[1:2] + measured[3:]), form
    (section,) = json.loads(written("json", measured))["sections"]
    assert section["left_out"] == [
        {"record_id": "a", "stands": "b", "status": "ok", "seed": 0, "bootstrap_resamples": 1000,
         "null_draws": None, "timestamp": "2026-11-24T00:00:00+00:00", "values_apart":
         pytest.approx(0.001, abs=1e-12)},
        {"record_id": "c", "stands": "b", "status": "ok", "seed": 2, "bootstrap_resamples": 1000,
         "null_draws": 0, "timestamp": "2026-11-24T00:00:00+00:00", "values_apart":
         pytest.approx(0.003, abs=1e-12)},
    ]  # fmt: skip
    (mine,) = [row for row in section["measured"] if row["label"] == "mine"]
    assert (mine["cells"][0]["value"], mine["cells"][0]["sources"]) == (0.9, ["b"])
    assert [one["record_id"] for one in mine["records"]] == ["b"]


def test_csv_holds_every_run_and_names_what_stands_in_its_place(measured: list[Record]) -> None:
    rows = list(csv.DictReader(written("csv", measured).splitlines()))
    names = ("record_id", "seed", "bootstrap_resamples", "null_draws", "left_out_for")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("a", "0", "1000", "", "b"),
        ("b", "1", "5000", "", ""),
        ("c", "2", "1000", "0", "b"),
        ("d", "0", "1000", "", ""),
    ]


def test_runs_of_the_same_values_are_said_to_be(measured: list[Record]) -> None:
    same = measured[1].model_copy(update={"record_id": "e", "seed": 7})
    (section,) = build([measured[1], same]).sections
    assert section.notes[-1].endswith("mine (1). Their values are the same.")
    assert len(section.measured) == 1
