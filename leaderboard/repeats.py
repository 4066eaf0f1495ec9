"""One measurement that was run several times: one run stands on a board, the others are left out.

Runs with another --seed, or other numbers of resamples or of a null's draws, would share a cell.
Their intervals and p-values differ by the draws alone; so do the values of a task that draws its
negatives.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from hiereval.leaderboard.columns import dataset_key, task_key
from hiereval.leaderboard.rows import row_key
from hiereval.records import Record

REPEATED = "of what stands here already, with another --seed or other numbers of draws"


@dataclass(frozen=True)
class Repeat:
    """A run that is left out, and the one that stands."""

    record: Record
    stands: Record

    @property
    def apart(self) -> float:
        """The largest difference between two values of one metric; 0 where nothing differs."""
        return max(_apart(self.record, self.stands), default=0.0)


def one_of_each(records: Iterable[Record]) -> tuple[list[Record], list[Repeat]]:
    """Return the records that stand, one of each measurement, and those that are left out.

    One with numbers stands before one without; then that of the most resamples, of the most draws
    of its nulls, and the newest.
    """
    standing: dict[tuple[object, ...], Record] = {}
    others: list[tuple[tuple[object, ...], Record]] = []
    for record in records:
        key = *dataset_key(record), *row_key(record), *task_key(record), *_fit(record)
        there = standing.setdefault(key, record)
        if there is not record:
            lesser, standing[key] = sorted((there, record), key=_order)
            others.append((key, lesser))
    return list(standing.values()), [Repeat(record, standing[key]) for key, record in others]


def _fit(record: Record) -> tuple[int | None, bool]:
    return record.probe.seed, record.probe.shuffled


def _order(record: Record) -> tuple[bool, int, float, datetime]:
    draws = math.inf if record.null_draws is None else record.null_draws  # None: all of a task's
    return record.status == "ok", record.bootstrap_resamples, draws, record.timestamp


def _apart(a: Record, b: Record) -> Iterator[float]:
    for name in a.metrics.keys() & b.metrics.keys():
        one, other = a.metrics[name].value, b.metrics[name].value
        if one is not None and other is not None:
            yield abs(one - other)
