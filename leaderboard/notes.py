"""What a reader must know beside the numbers: bars not passed, and why cells are empty."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hiereval.choice import some
from hiereval.findings import Bar
from hiereval.identity import AGREE
from hiereval.leaderboard.repeats import REPEATED
from hiereval.leaderboard.wording import clean, number

if TYPE_CHECKING:
    from hiereval.leaderboard.cells import Cell
    from hiereval.leaderboard.columns import Column
    from hiereval.leaderboard.repeats import Repeat
    from hiereval.leaderboard.rows import Row
    from hiereval.records import Record

MARKS: dict[Bar, str] = {"null": "†", "twins": "‡", "blind": "§", "capacity": "¶"}
BARS: dict[Bar, str] = {
    "null": "the reassignment null",
    "twins": "the random-init twins",
    "blind": "every blind score",
    "capacity": "shuffled tiers and empty-root",
}
_NAMES_SHOWN = 6


def notes(
    records: Sequence[Record],
    measured: list[Row],
    controls: list[Row],
    columns: list[Column],
    left_out: Sequence[Repeat] = (),
) -> Iterator[str]:
    """Yield one line for each thing that the table alone does not say."""
    yield from _not_beyond(measured, columns)
    yield from _without_twins(measured)
    yield from _without_null(measured, columns)
    yield from _blind(columns)
    yield from _empty(records)
    yield from _undefined([*measured, *controls], columns)
    yield from _unranked(columns)
    yield from _ties(columns)
    yield from _left_out(left_out)


def _not_beyond(measured: list[Row], columns: list[Column]) -> Iterator[str]:
    found: dict[Bar, dict[int, list[str]]] = {bar: defaultdict(list) for bar in MARKS}
    for row in measured:
        for place, cell in enumerate(row.cells):
            for bar in cell.failed if cell else ():
                found[bar][place].append(row.name)
    for bar, mark in MARKS.items():
        for place, labels in found[bar].items():
            what = f"{mark} {_named(columns[place])}: not beyond {BARS[bar]}"
            yield f"{what}: {some(labels, _NAMES_SHOWN)}."


def _without_twins(measured: list[Row]) -> Iterator[str]:
    missing = [row.name for row in measured if not row.twins and not _is_trained(row)]
    if missing:
        yield (
            "Without random-init twins (--controls random-init), so never a finding: "
            f"{some(missing, _NAMES_SHOWN)}."
        )
    few = [row.name for row in measured if row.twins == 1 and not _is_trained(row)]
    if few:
        yield f"With one random-init twin, whose spread is not known: {some(few, _NAMES_SHOWN)}."


def _is_trained(row: Row) -> bool:
    """A trained probe is compared with its own capacity."""
    return row.records[0].probe.training is not None


def _without_null(measured: list[Row], columns: list[Column]) -> Iterator[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for row, cell, column in _cells(measured, columns):
        if "null" in cell.missing:
            found[_named(column)].append(row.name)
    if found:
        names = [name for labels in found.values() for name in labels]
        who = some(found, _NAMES_SHOWN)
        yield f"Without a null, so never a finding: {who}: {some(names, _NAMES_SHOWN)}."


def _blind(columns: list[Column]) -> Iterator[str]:
    reached = [
        f"{_named(column)} {number(column.ceiling[1])} ({clean(column.ceiling[0])})"
        for column in columns
        if column.ceiling
    ]
    if reached:
        yield f"Blind scores, which see no image and no model, reach: {', '.join(reached)}."


def _ties(columns: list[Column]) -> Iterator[str]:
    alone = [_named(column) for column in columns if column.ties == "intervals alone"]
    if alone:
        yield (
            "Ties are from intervals alone, which is conservative, where samples (--log-samples) "
            f"are missing: {some(alone, _NAMES_SHOWN)}."
        )


def _left_out(repeats: Sequence[Repeat]) -> Iterator[str]:
    if not repeats:
        return
    models = Counter(clean(repeat.record.model.name, 60) for repeat in repeats)
    who = some([f"{name} ({count:,})" for name, count in models.items()], _NAMES_SHOWN)
    apart = max(repeat.apart for repeat in repeats)
    values = f"differ by up to {apart:.2g}" if apart > AGREE else "are the same"
    yield f"Left out are runs {REPEATED}: {who}. Their values {values}."


def _cells(rows: list[Row], columns: list[Column]) -> Iterator[tuple[Row, Cell, Column]]:
    for row in rows:
        for cell, column in zip(row.cells, columns, strict=True):
            if cell:
                yield row, cell, column


def _named(column: Column) -> str:
    return f"{column.group} {clean(column.metric)}"


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
        yield f"{some(names, _NAMES_SHOWN)} {status}: {some(who, _NAMES_SHOWN)} ({reason})."


def _about_any(reason: str, model: str) -> str:
    """Say a reason without the model's name, so that models with the same reason share a line."""
    return clean(reason.removeprefix(f"{model} "), 200).rstrip(".")


def _undefined(rows: list[Row], columns: list[Column]) -> Iterator[str]:
    found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for row, cell, column in _cells(rows, columns):
        if cell.state == "undefined":
            found[row.name, (cell.reason or "").rstrip(".")][_named(column)] = None
    for (label, reason), metrics in found.items():
        yield f"n/a: {label}: {some(metrics, _NAMES_SHOWN)} ({reason})."


def _unranked(columns: list[Column]) -> Iterator[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for column in columns:
        if column.unranked:
            reasons[column.unranked].append(_named(column))
    for reason, metrics in reasons.items():
        yield f"{some(metrics, _NAMES_SHOWN)}: {reason}."
