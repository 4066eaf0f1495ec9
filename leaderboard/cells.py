"""One cell of a board: a metric of one row, over the seeds of a trained probe where it has any."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hiereval.leaderboard.wording import clean
from hiereval.records import MetricValue, Record


@dataclass(frozen=True)
class Cell:
    """A value with its interval, or the reason why there is none.

    For a trained probe `value` is the mean over seeds, `spread` their standard deviation, `low`
    and `high` the outermost bounds of the seeds' intervals, `shuffled` the mean of the
    probe trained on shuffled tiers, and `selectivity` what the value exceeds it by.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95  # of the interval
    n: int = 0
    state: str = "ok"  # ok | undefined | skipped | failed
    reason: str | None = None
    seeds: int = 0  # 0: nothing was trained
    spread: float | None = None
    shuffled: float | None = None
    selectivity: float | None = None
    rank: int | None = None
    unbeaten: tuple[str, ...] = ()  # controls that the interval does not lie beyond

    def beyond(self, values: Sequence[float], higher_is_better: bool) -> bool:
        """Whether the interval, or the value where it has none, is wholly better than all these."""
        assert self.value is not None
        if higher_is_better:
            return (self.value if self.low is None else self.low) > max(values)
        return (self.value if self.high is None else self.high) < min(values)


def cell(records: Sequence[Record], metric: str) -> Cell | None:
    """Make a cell of every record of one row and task; None where there is none.

    One undefined seed makes the mean undefined. Of two records of the same seed and order of
    tiers, the newer counts.
    """
    if not records:
        return None
    newest: dict[tuple[int | None, bool], Record] = {}
    for record in sorted(records, key=lambda record: record.timestamp.timestamp()):
        newest[record.probe.seed, record.probe.shuffled] = record
    own = [record for (_, other), record in sorted(newest.items(), key=str) if not other]
    shuffled = [record for (_, other), record in newest.items() if other]
    if not own:
        return Cell(None, state="skipped", reason="only shuffled tiers were run")
    for record in own:
        if record.status != "ok":
            return Cell(None, state=record.status, reason=_reason(record.reason))
    values = [record.metrics[metric] for record in own if metric in record.metrics]
    if not values:
        return None
    for value in values:
        if value.value is None:
            return Cell(None, state="undefined", n=value.n, reason=_reason(value.undefined_reason))
    if own[0].probe.training is None:
        last = values[-1]
        return Cell(last.value, last.ci_low, last.ci_high, level=last.ci_level, n=last.n)
    return _over_seeds(values, [r.metrics[metric] for r in shuffled if metric in r.metrics])


def _over_seeds(values: list[MetricValue], shuffled: list[MetricValue]) -> Cell:
    numbers = [value.value for value in values if value.value is not None]
    lows = [value.ci_low for value in values if value.ci_low is not None]
    highs = [value.ci_high for value in values if value.ci_high is not None]
    mean = statistics.fmean(numbers)
    known = [value.value for value in shuffled if value.value is not None]
    capacity = statistics.fmean(known) if known and len(known) == len(shuffled) else None
    return Cell(
        mean,
        min(lows, default=None),
        max(highs, default=None),
        n=min(value.n for value in values),
        level=values[0].ci_level,
        seeds=len(numbers),
        spread=statistics.stdev(numbers) if len(numbers) > 1 else None,
        shuffled=capacity,
        selectivity=None if capacity is None else mean - capacity,
    )


def _reason(reason: str | None) -> str:
    return clean(reason or "no reason was recorded", 300)
