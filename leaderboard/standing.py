"""Ranks of a board: findings alone have one, and what cannot be told apart shares it.

From paired draws over the items that all models share where their samples are kept, else from
their intervals alone, which is conservative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.rows import Row
from hiereval.records import Record

if TYPE_CHECKING:
    import numpy as np

    from hiereval.ties import Rank

# records and a metric -> its resampled values [b, records], None where samples are missing
Paired = Callable[[Sequence[Record], str], "np.ndarray | None"]


def ranked(
    rows: list[Row], columns: list[Column], paired: Paired | None
) -> tuple[list[Row], list[Column]]:
    """Give each finding its rank in its column, and each column what its ties were made from.

    A value that nothing stands beside has no rank.
    """
    columns = list(columns)
    places: dict[str, dict[int, Rank]] = {row.id: {} for row in rows}
    for index, column in enumerate(columns):
        standing = [row for row in rows if (c := row.cells[index]) and c.value is not None]
        found = [row for row in standing if (c := row.cells[index]) and c.finding]
        if column.higher_is_better is None or column.unranked or len(standing) < 2 or not found:
            continue
        draws = paired and draws_of(found, index, column, paired)
        for row, rank in zip(found, _ranks(found, index, column, draws), strict=True):
            places[row.id][index] = rank
        columns[index] = replace(
            column, ties="intervals alone" if draws is None else "paired draws"
        )
    return [_with(row, own) if (own := places[row.id]) else row for row in rows], columns


def _with(row: Row, places: dict[int, Rank]) -> Row:
    cells = list(row.cells)
    for index, rank in places.items():
        if cell := cells[index]:
            cells[index] = cell._replace(rank=rank.best, worst_rank=rank.worst)
    return replace(row, cells=tuple(cells))


def _ranks(rows: Sequence[Row], index: int, column: Column, draws: np.ndarray | None) -> list[Rank]:
    import numpy as np

    from hiereval import ties

    cells = [cell for row in rows if (cell := row.cells[index])]
    sign = -1.0 if column.higher_is_better is False else 1.0
    values = [sign * cell.value for cell in cells if cell.value is not None]
    level = min(cell.level for cell in cells)
    if draws is not None:
        return ties.of_draws(np.array(values), sign * draws, level)
    ends = [(cell.low, cell.high) if sign > 0 else (_minus(cell.high), _minus(cell.low))
            for cell in cells]  # fmt: skip
    return ties.of_intervals(values, [low for low, _ in ends], [high for _, high in ends], level)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def draws_of(rows: Sequence[Row], index: int, column: Column, paired: Paired) -> np.ndarray | None:
    """Return the rows' draws [b, m], a trained probe's the mean over its seeds."""
    sources = [cell.sources for row in rows if (cell := row.cells[index])]
    by_id = {record.record_id: record for row in rows for record in row.records}
    draws = paired([by_id[name] for names in sources for name in names], column.metric)
    if draws is None:
        return None
    import numpy as np

    ends = np.cumsum([len(names) for names in sources])[:-1]
    return np.stack([part.mean(axis=1) for part in np.split(draws, ends, axis=1)], axis=1)
