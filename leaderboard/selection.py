"""The order of a board's rows, and which records it is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hiereval.choice import matches
from hiereval.errors import HierevalError, nearest
from hiereval.leaderboard.wording import clean

if TYPE_CHECKING:
    from hiereval.leaderboard.board import Section
    from hiereval.leaderboard.columns import Column
    from hiereval.leaderboard.rows import Row
    from hiereval.records import Record


def chosen(
    records: Iterable[Record], datasets: Sequence[str] = (), tasks: Sequence[str] = ()
) -> list[Record]:
    """Keep the records of these datasets and tasks: names or globs; none given keeps all.

    A name that matches no record raises HierevalError with the nearest one.
    """
    kept = list(records)
    filters: list[tuple[str, Sequence[str], Callable[[Record], str]]] = [
        ("dataset", datasets, lambda record: record.dataset.name),
        ("task", tasks, lambda record: record.task.name),
    ]
    for what, patterns, name in filters:
        there = sorted({name(record) for record in kept}) if patterns else []
        for pattern in patterns:
            if not any(matches(known, [pattern]) for known in there):
                known = ", ".join(clean(known) for known in there)
                raise HierevalError(
                    f"The {what} {pattern!r} must be one that the results hold ({known})."
                    f"{nearest(pattern, there)}"
                )
        if patterns:
            kept = [r for r in kept if matches(name(r), patterns)]
    return kept


def ordered(sections: Sequence[Section], sort: str | None) -> list[Section]:
    """Sort each section's measured rows and controls; ties and gaps go by label, and so do controls
    where nothing is asked for, so that the twins of an architecture stand together.

    Findings come first: what a structureless encoder reaches never stands on top.
    """
    if sort not in (None, "model", "date"):
        known = dict.fromkeys(
            name for s in sections for c in s.columns for name in (c.metric, f"{c.task}.{c.metric}")
        )
        if sort not in known:
            raise HierevalError(
                f"The sort column {sort!r} must be model, date, or a metric on the board "
                f"({', '.join(map(clean, known))}).{nearest(str(sort), known)}"
            )
    return [
        replace(
            section,
            measured=tuple(_sorted(section.measured, section.columns, sort)),
            controls=tuple(_sorted(section.controls, section.columns, sort or "model")),
        )
        for section in sections
    ]


def _sorted(rows: Sequence[Row], columns: Sequence[Column], sort: str | None) -> list[Row]:
    rows = sorted(rows, key=lambda row: (row.label.casefold(), row.probe))
    if sort == "model":
        return rows
    if sort == "date":
        return sorted(rows, key=lambda row: row.date, reverse=True)
    index = _column_number(columns, sort)
    if index is None:
        return rows
    sign = 1 if columns[index].higher_is_better is False else -1

    def place(row: Row) -> tuple[bool, bool, float]:
        cell = row.cells[index]
        value = None if cell is None else cell.value
        return value is None, cell is None or not cell.finding, sign * (value or 0.0)

    return sorted(rows, key=place)


def _column_number(columns: Sequence[Column], sort: str | None) -> int | None:
    """Return the column that is asked for, or the ranked one that blind scores reach least of."""
    if sort is not None:
        names = [(column.metric, f"{column.task}.{column.metric}") for column in columns]
        return next((index for index, name in enumerate(names) if sort in name), None)
    ranked = [i for i, c in enumerate(columns) if c.higher_is_better is not None and not c.unranked]
    return min(ranked, key=lambda i: _given_away(columns[i]), default=None)


def _given_away(column: Column) -> float:
    """Return what blind scores reach, to two digits: a hundredth is chance. Unknown comes last."""
    return 2.0 if column.given_away is None else round(column.given_away, 2)
