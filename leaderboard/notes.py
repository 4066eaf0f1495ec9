"""What a reader must know beside the numbers: controls not beaten, and why cells are empty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hiereval.leaderboard.wording import clean

if TYPE_CHECKING:
    from hiereval.leaderboard.cells import Cell
    from hiereval.leaderboard.columns import Column
    from hiereval.leaderboard.rows import Row
    from hiereval.records import Record

WORDS = "word count"
RANDOM = "random init"
MARKS = {WORDS: "†", RANDOM: "‡"}
_NAMES_SHOWN = 6


def compared(measured: list[Row], controls: list[Row], columns: list[Column]) -> list[Row]:
    """Mark each cell with the controls it does not beat: its interval reaches their value.

    The control of random weights is the model's own twin: same adapter, same checkpoint. With
    several, the best counts.
    """
    words = [row for row in controls if is_words(row)]
    rows = []
    for row in measured:
        against = {WORDS: words, RANDOM: [c for c in controls if _is_twin(c, row)]}
        marked = tuple(
            cell and replace(cell, unbeaten=_unbeaten(cell, i, column, against))
            for i, (cell, column) in enumerate(zip(row.cells, columns, strict=True))
        )
        rows.append(replace(row, cells=marked))
    return rows


def is_words(row: Row) -> bool:
    """Whether this is the control that counts words."""
    return row.model.adapter == "control" and row.model.checkpoint == "words"


def _is_twin(control: Row, row: Row) -> bool:
    model = control.model
    return (
        model.random_init is not None
        and (model.adapter, model.checkpoint) == (row.model.adapter, row.model.checkpoint)
        and control.probe == row.probe
    )


def _unbeaten(
    cell: Cell, index: int, column: Column, against: dict[str, list[Row]]
) -> tuple[str, ...]:
    if cell.value is None or column.higher_is_better is None:
        return ()
    found = []
    for name, rows in against.items():
        values = [c.value for row in rows if (c := row.cells[index]) and c.value is not None]
        if values and not cell.beyond(values, column.higher_is_better):
            found.append(name)
    return tuple(found)


def notes(
    records: Sequence[Record], measured: list[Row], controls: list[Row], columns: list[Column]
) -> Iterator[str]:
    """Yield one line for each thing that the table alone does not say."""
    yield from _not_beaten(measured, columns)
    yield from _without_twin(measured, controls)
    yield from _empty(records)
    yield from _undefined([*measured, *controls], columns)
    yield from _unranked(columns)


def _not_beaten(measured: list[Row], columns: list[Column]) -> Iterator[str]:
    for name, mark in MARKS.items():
        found: dict[str, list[str]] = defaultdict(list)
        for row in measured:
            for cell, column in zip(row.cells, columns, strict=True):
                if cell and name in cell.unbeaten:
                    found[f"{column.group} {clean(column.metric)}"].append(row.name)
        for what, labels in found.items():
            yield f"{mark} {what}: not beyond the {name} control: {_some(labels)}."


def _without_twin(measured: list[Row], controls: list[Row]) -> Iterator[str]:
    missing = [
        row.name
        for row in measured
        if row.records[0].probe.training is None  # a trained one is compared with its capacity
        and not any(_is_twin(control, row) for control in controls)
    ]
    if missing:
        yield f"Without a random-init control (--random-init): {_some(missing)}."


def _empty(records: Sequence[Record]) -> Iterator[str]:
    missing: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for record in records:
        if record.status != "ok":
            reason = _about_any(record.reason or "no reason was recorded", record.model.name)
            task = clean(record.task.name)
            missing[record.status, reason, task][clean(record.model.name, 60)] = None
    tasks: dict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (status, reason, task), labels in sorted(missing.items()):
        tasks[status, reason, tuple(labels)].append(task)
    for (status, reason, who), names in tasks.items():
        yield f"{_some(names)} {status}: {_some(who)} ({reason})."


def _about_any(reason: str, model: str) -> str:
    """Say a reason without the model's name, so that models with the same reason share a line."""
    return clean(reason.removeprefix(f"{model} "), 200).rstrip(".")


def _undefined(rows: list[Row], columns: list[Column]) -> Iterator[str]:
    found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for row in rows:
        for cell, column in zip(row.cells, columns, strict=True):
            if cell and cell.state == "undefined":
                reason = (cell.reason or "").rstrip(".")
                found[row.name, reason][f"{column.group} {clean(column.metric)}"] = None
    for (label, reason), metrics in found.items():
        yield f"n/a: {label}: {_some(metrics)} ({reason})."


def _unranked(columns: list[Column]) -> Iterator[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for column in columns:
        if column.unranked:
            reasons[column.unranked].append(f"{column.group} {clean(column.metric)}")
    for reason, metrics in reasons.items():
        yield f"{_some(metrics)}: {reason}."


def _some(names: Sequence[str] | dict[str, None]) -> str:
    distinct = list(dict.fromkeys(names))
    more = len(distinct) - _NAMES_SHOWN
    return ", ".join(distinct[:_NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
