from __future__ import annotations

import json
import multiprocessing
import os
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.made_records import make_record, metric

from hiereval import appending, reading, records, seals
from hiereval.errors import HierevalError
from hiereval.records import Record


def a_record(**changes: Any) -> Record:
    own = {"record_id": "i", "timestamp": datetime(2026, 1, 1, tzinfo=UTC)}
    return make_record(**{"metrics": {"tau_d": 0.5}, **own, **changes})


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "r.jsonl"
    written = [a_record(record_id=str(i)) for i in range(3)]
    for record in written:
        appending.append(path, record)
    assert list(reading.read(path)) == written


def test_of_records_that_say_the_same_the_newest_stands(tmp_path: Path) -> None:
    later = {"timestamp": datetime(2026, 1, 2, tzinfo=UTC), "run_id": "other", "batch_size": 7}
    old, new = a_record(), a_record(**later, metrics={"tau_d": 0.5 + 1e-10})
    appending.append(tmp_path / "a.jsonl", new)
    appending.append(tmp_path / "b.jsonl", old)
    (tmp_path / "a.samples.jsonl").write_text("not a record\n")
    assert reading.read_all([tmp_path]) == [new]
    failed = a_record(**later, metrics={}, status="failed", reason="no")
    appending.append(tmp_path / "a.jsonl", failed)  # and what has numbers, whichever came first
    assert reading.read_all([tmp_path]) == [new]


NULL = {"mean": 0.5, "sd": 0.02, "low": 0.4, "high": 0.6, "p": 0.001, "draws": 999}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metrics": {"tau_d": metric(0.9999)}}, "metrics.tau_d.value"),
        ({"metrics": {"tau_d": metric(0.5 + 2e-9)}}, "metrics.tau_d.value"),
        ({"metrics": {"tau_d": metric(None)}}, "metrics.tau_d.value"),
        ({"metrics": {}}, "metrics.tau_d"),
        ({"metrics": {"tau_d": metric(0.5), "more": metric(1.0)}}, "metrics.more"),
        ({"metrics": {"tau_d": metric(0.5, nulls={"free": NULL})}}, "metrics.tau_d.nulls.free"),
        ({"metrics": {"tau_d": metric(0.5, ceilings={"words": 0.1})}},
         "metrics.tau_d.ceilings.words"),
        ({"metrics": {"tau_d": metric(0.5, range=(0.0, 2.0))}}, "metrics.tau_d.range.1"),
        ({"metrics": {"tau_d": metric(0.5, n=7)}}, "metrics.tau_d.n"),
        ({"model__revision": "0" * 40}, "model.revision"),
        ({"model__random_init": 3}, "model.random_init"),
        ({"dataset__n_texts": 7}, "dataset.n_texts"),
        ({"task__parameters": {"steps": 7}}, "task.parameters.steps"),
        ({"summary": {"radius_by_tier": [1.0]}}, "summary.radius_by_tier"),
    ],
)  # fmt: skip
def test_a_record_that_says_something_else_of_the_same_thing_replaces_none(
    tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    path, forged = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first = {"record_id": "one", "summary": {}}
    appending.append(path, a_record(record_id="other"))
    appending.append(path, a_record(**{"metrics": {"tau_d": metric(0.5)}, **first}))
    later = {"timestamp": datetime(2026, 1, 2, tzinfo=UTC)}
    appending.append(
        forged, a_record(**{"metrics": {"tau_d": metric(0.5)}, **first, **later, **change})
    )
    with pytest.raises(HierevalError) as caught:
        reading.read_all([tmp_path])
    assert str(caught.value) == (
        f"{forged}:1: record_id: one has another {field} at {path}:2; keep the one that 'hiereval "
        "verify' computes again, and delete the other"
    )


def broken(path: Path, line: str) -> str:
    path.write_bytes(records.line(a_record()) + line.encode() + b"\n")
    with pytest.raises(HierevalError) as caught:
        list(reading.read(path))
    return str(caught.value)


def sealed(value: dict[str, Any]) -> str:
    return seals.sealed(json.dumps(value)).decode().strip()


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    reason = "this line is not JSON; delete it, or move the file away"
    assert broken(path, '{"run_id": "r", "rec') == f"{path}:2: {reason}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"seed": "x"},
            "seed: Input should be a valid integer, unable to parse string as an integer",
        ),
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
        (
            {"status": "skipped"},
            "the record: Value error, reason is given exactly when status is skipped or failed",
        ),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "r.jsonl"
    line = json.loads(a_record().model_dump_json())
    assert broken(path, sealed({**line, **change})) == f"{path}:2: {message}"


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_nan_is_no_value(tmp_path: Path, number: str) -> None:
    path = tmp_path / "r.jsonl"
    line = a_record().model_dump_json().replace('"value":0.5', f'"value":{number}')
    line = seals.sealed(line).decode().strip()
    assert "metrics.tau_d.value: Input should be a finite number" in broken(path, line)


def test_null_needs_a_reason() -> None:
    metric = a_record().metrics["tau_d"].model_dump()
    with pytest.raises(ValueError, match="null exactly when undefined_reason is given"):
        a_record(metrics={"tau_d": {**metric, "value": None}})


def test_missing_results_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(HierevalError) as caught:
        reading.read_all([tmp_path / "no"])
    missing = str(tmp_path / "no")
    assert str(caught.value) == f"The results {missing!r} must be a file or folder that exists."


def _append_over_the_limit(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, -1))
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then write() fails with EFBIG
    try:
        appending.append(path, a_record())
    except HierevalError as error:
        (path.parent / "said").write_text(str(error))


def test_a_full_disk_leaves_only_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    appending.append(path, a_record())
    before = path.read_bytes()
    child = multiprocessing.get_context("fork").Process(target=_append_over_the_limit, args=(path,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    said = (tmp_path / "said").read_text()
    assert said.startswith(f"The results file {str(path)!r} cannot be written: ")
    assert path.read_bytes() == before


def test_an_unwritable_folder_is_found_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HierevalError) as caught:
        appending.check_writable(tmp_path / "file" / "results" / "r.jsonl")
    assert str(caught.value).startswith(
        f"The output folder {str(tmp_path / 'file' / 'results')!r} must be writable: "
    )


def test_checking_leaves_no_file(tmp_path: Path) -> None:
    appending.check_writable(tmp_path / "new" / "r.jsonl")
    assert os.listdir(tmp_path / "new") == []


@pytest.mark.parametrize("cut", [1, 2, 30, 500])
def test_a_torn_last_line_is_left_out_and_mended(
    tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "r.jsonl"
    first, second, third = (a_record(record_id=str(i)) for i in range(3))
    appending.append(path, first)
    appending.append(path, second)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    torn = cut > 1  # a line without its line break is a whole one

    assert list(reading.read(path)) == [first] + [second] * (not torn)
    said = f"{path}:2: the last line was cut short when a process ended; it is left out"
    assert caplog.messages == [said] * torn
    appending.append(path, third)
    assert list(reading.read(path)) == [first] + [second] * (not torn) + [third]
    aside = tmp_path / "r.jsonl.torn"
    assert aside.exists() == torn
    assert not torn or whole.endswith(aside.read_bytes()[:-1] + whole[-cut:])


def test_a_bad_last_line_is_no_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    appending.append(path, a_record())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the line break
    path.write_bytes(content)
    appending.append(path, a_record(record_id="other"))
    with pytest.raises(HierevalError) as caught:
        list(reading.read(path))
    reason = "this line is not JSON; delete it, or move the file away"
    assert str(caught.value) == f"{path}:1: {reason}"
    assert path.read_bytes().count(b"\n") == 2


def test_an_edited_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    appending.append(path, a_record())
    path.write_bytes(path.read_bytes().replace(b'"value":0.5', b'"value":0.6'))
    with pytest.raises(HierevalError) as caught:
        list(reading.read(path))
    assert str(caught.value) == (
        f"{path}:1: checksum: the line is not what was written: a bit was flipped or a value edited"
    )


def test_what_another_run_has_measured_meanwhile_is_not_added_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    appending.append(path, a_record(record_id="before"))
    mine, theirs = appending.ResultsFile(path), appending.ResultsFile(path)
    other = a_record(record_id="new", run_id="theirs")
    failed = a_record(record_id="failed", run_id="theirs", status="failed", reason="no")

    assert theirs.append(other) is other
    assert theirs.append(failed) is failed
    assert mine.append(a_record(record_id="new", run_id="mine")) == other
    again = a_record(record_id="failed", run_id="mine")
    assert mine.append(again) is again
    assert [r.run_id for r in reading.read(path)] == ["run", "theirs", "theirs", "mine"]


def test_what_is_measured_again_on_purpose_takes_the_place_of_its_old_numbers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.jsonl"
    for record_id in ("before", "one", "after"):
        appending.append(path, a_record(record_id=record_id))
    mine, theirs = appending.ResultsFile(path), appending.ResultsFile(path)
    theirs.append(a_record(record_id="new", run_id="theirs"))

    again = a_record(record_id="one", run_id="mine", metrics={"tau_d": 0.7})
    assert mine.append(again) is again
    failed = a_record(record_id="after", run_id="mine", status="failed", reason="no")
    assert mine.append(failed) is failed
    new = a_record(record_id="newer", run_id="mine")
    assert mine.append(new) is new

    ids = [record.record_id for record in reading.read(path)]
    assert ids == ["before", "after", "new", "one", "after", "newer"]
    found = {record.record_id: record for record in reading.read_all([path])}
    assert found["one"] == again
    assert found["after"].status == "ok"


def test_numbers_beyond_64_bits_are_refused_however_a_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    text = a_record(record_id="1").model_dump_json()
    assert '"summary":{}' in text
    for number, good in ((2**63 - 1, True), (2**63, False), (-(2**63) - 1, False)):
        path.write_bytes(
            seals.sealed(text.replace('"summary":{}', f'"summary":{{"a":[1,{number}]}}'))
        )
        if good:
            assert next(reading.read(path)).summary == {"a": [1, number]}
            continue
        with pytest.raises(HierevalError) as caught:
            list(reading.read(path))
        assert str(caught.value) == f"{path}:1: whole numbers must fit into 64 bits"


@pytest.mark.parametrize(
    "changes",
    [
        {"task__parameters": {"a": 1}},
        {"task__parameters": {"a": True}},
        {"task__parameters": {"a": 1.0}},
        {"task__parameters": {"a": 1, "b": 2}},
        {"task__parameters": {"b": 2, "a": 1}},
        {"probe__parameters": {"a": [0]}},
        {"probe__parameters": {"a": [False]}},
        {"model__curvature": 0.0},
        {"model__curvature": -0.0},
        {"environment__packages": {"a": "1", "b": "2"}},
        {"environment__packages": {"b": "2", "a": "1"}},
        {"metrics": {"tau_d": metric(0.5, ceilings={"a": 0.1, "b": 0.2})}},
        {"metrics": {"tau_d": metric(0.5, ceilings={"b": 0.2, "a": 0.1})}},
        {"metrics": {"tau_d": metric(0.5, ceilings={"a": 0.0})}},
        {"metrics": {"tau_d": metric(0.5, ceilings={"a": -0.0})}},
    ],
)
def test_what_is_shared_is_written_as_it_was(changes: dict[str, Any]) -> None:
    for before in ({}, *WRITTEN_OTHERWISE):
        neither = a_record(metrics={"tau_d": metric(0.5, ceilings={"c": 0.3})})
        for other in (neither, a_record(**before)):
            reading.parsed(records.line(other))
        line = records.line(a_record(**changes))
        record = reading.parsed(line)
        assert record is not None
        assert records.line(record) == line


WRITTEN_OTHERWISE: list[dict[str, Any]] = [
    {"task__parameters": {"a": 1}, "probe__parameters": {"a": [0]}, "model__curvature": 0.0},
    {"environment__packages": {"a": "1", "b": "2"}},
    {"task__parameters": {"a": 1, "b": 2}},
    {"metrics": {"tau_d": metric(0.5, ceilings={"a": 0.1, "b": 0.2})}},
    {"metrics": {"tau_d": metric(0.5, ceilings={"a": 0.0})}},
]
