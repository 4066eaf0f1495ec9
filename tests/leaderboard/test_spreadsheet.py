from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiereval.leaderboard import spreadsheet
from hiereval.records import Record


def rows(records: list[Record]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(spreadsheet.written(records))))


def test_a_row_for_every_metric_of_every_record(full: list[Record]) -> None:
    table = rows(full)
    assert len(table) == sum(max(1, len(record.metrics)) for record in full)
    first = table[0]
    assert (first["model"], first["task"], first["metric"]) == ("siglip-base", "ordering", "tau_d")
    assert (float(first["value"]), float(first["ci_low"])) == (0.92, 0.92 - 0.01)


def test_undefined_and_skipped_say_why(control: Callable[..., Record]) -> None:
    skipped = control(status="skipped", reason="no images", metrics={})
    undefined, empty = rows([control(metrics={"tau_d": None}), skipped])
    assert (undefined["value"], undefined["undefined_reason"]) == ("", "all radii are equal")
    assert (empty["metric"], empty["status"], empty["reason"]) == ("", "skipped", "no images")


def test_negative_numbers_stay_numbers(record: Callable[..., Record]) -> None:
    (row,) = rows([record(metrics={"tau_d": -0.5})])
    assert (row["value"], row["ci_low"]) == ("-0.5", "-0.51")


def test_no_cell_is_a_formula_or_spans_lines(
    hostile: str, hostile_everywhere: Callable[[str], Record]
) -> None:
    written = spreadsheet.written([hostile_everywhere(hostile)])
    assert len(written.splitlines()) == 3
    for row in csv.DictReader(io.StringIO(written)):
        for name, cell in row.items():
            assert cell.isprintable()
            if name not in ("value", "ci_low", "ci_high"):
                assert not cell.startswith(("=", "+", "-", "@", "|", "\t"))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), ("\t=1", "'=1"),
        (" =1", "'=1"), ("＝1", "'＝1"), ("fine=1", "fine=1"), (None, None),
    ],
)  # fmt: skip
def test_safe(text: str | None, cell: str | None) -> None:
    assert spreadsheet.safe(text) == cell


@given(st.text(min_size=1, max_size=200) | st.text('",\r\n ', min_size=1, max_size=9))
def test_a_reader_gets_each_cell_back(record: Callable[..., Record], name: str) -> None:
    (row,) = rows([record(name)])
    assert row["model"] == spreadsheet.safe(name)
    assert list(row) == list(spreadsheet.HEADER)


def test_no_records_are_a_head_alone() -> None:
    assert spreadsheet.written([]) == f"{','.join(spreadsheet.HEADER)}\n"
