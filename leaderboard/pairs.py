"""What two rows differ by, from the samples that they share: the statistics of `hiereval diff`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hiereval.leaderboard.board import Section
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.standing import Paired, draws_of

if TYPE_CHECKING:
    from hiereval.leaderboard.rows import Row

MOST = 12  # rows of which every two are compared


def pairs(section: Section, index: int, paired: Paired | None) -> list[list[Any]]:
    """Return [row, row, low, high, p] of every two measured rows of a column, by their numbers.

    The interval is of the second's value minus the first's, at 95 %. Nothing where there are more
    than MOST rows, or where a row has no samples or they share no item.
    """
    column = section.columns[index]
    if paired is None or column.higher_is_better is None:
        return []
    there = [
        (number, row)
        for number, row in enumerate(section.measured)
        if (cell := row.cells[index]) and cell.value is not None
    ]
    if not 2 <= len(there) <= MOST:
        return []
    return _compared(there, index, column, paired)


def _compared(
    there: Sequence[tuple[int, Row]], index: int, column: Column, paired: Paired
) -> list[list[Any]]:
    draws = draws_of([row for _, row in there], index, column, paired)
    if draws is None:
        return []
    import torch

    from hiereval.compare import p_value

    found = []
    n = [cell.n if (cell := row.cells[index]) else 0 for _, row in there]
    for a, (first, _) in enumerate(there):
        for b in range(a + 1, len(there)):
            apart = torch.from_numpy(draws[:, b] - draws[:, a]).double()
            apart = apart[apart.isfinite()]
            if len(apart) > 1:
                low, high = torch.quantile(apart, torch.tensor([0.025, 0.975]).double()).tolist()
                ends = [float(f"{end:.5g}") for end in (low, high)]
                p = p_value(apart, max(n[a], n[b]))
                found.append([first, there[b][0], *ends, float(f"{p:.3g}")])
    return found
