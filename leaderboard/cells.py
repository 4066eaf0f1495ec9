"""One cell of a board: a metric of one row, over the seeds of a trained probe where it has any."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hiereval.beside import Beside, of_metric
from hiereval.findings import Bar, over_seeds
from hiereval.leaderboard.wording import clean
from hiereval.records import MetricValue, Record

_LONGEST = 300  # characters of a reason


class Cell(NamedTuple):
    """A value with its interval, or the reason why there is none.

    For a trained probe `value` is the mean over seeds, `spread` their standard deviation, `low`
    and `high` the outermost bounds of the seeds' intervals, `shuffled` the mean of the probe
    trained on shuffled tiers, `untrained` the value of `empty-root`, and `selectivity` the value
    minus the better of the two: breaking a space by shuffling is no merit.
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
    untrained: float | None = None
    selectivity: float | None = None
    finding: bool | None = None  # None: not known, or there is no better and worse
    because: str = ""  # which bars it passed, or failed, or are missing
    failed: tuple[Bar, ...] = ()
    missing: tuple[Bar, ...] = ()
    rank: int | None = None  # of findings alone; what cannot be told apart shares it
    worst_rank: int | None = None
    sources: tuple[str, ...] = ()  # the records it is made from

    @property
    def over(self) -> str:
        """What `selectivity` is over: the better of `untrained` and the shuffled tiers."""
        if self.value is None or self.untrained is None or self.selectivity is None:
            return ""
        return "untrained" if self.value - self.untrained == self.selectivity else "shuffled tiers"


@dataclass(frozen=True, slots=True)
class Fits:
    """The records of one row and task: a probe's own, and those on shuffled tiers."""

    own: Sequence[Record]
    shuffled: Sequence[Record]
    without: Cell | None  # what stands for every metric where a run has no numbers


def fits(records: Sequence[Record]) -> Fits:
    """Sort out the records of one row and task, one of each seed and order of tiers."""
    own = [record for record in records if not record.probe.shuffled]
    shuffled = [record for record in records if record.probe.shuffled]
    own.sort(key=lambda record: str(record.probe.seed))
    return Fits(own, shuffled, _without_numbers(own))


def _without_numbers(own: Sequence[Record]) -> Cell | None:
    if not own:
        return Cell(None, state="skipped", reason="only shuffled tiers were run")
    for record in own:
        if record.status != "ok":
            return Cell(None, state=record.status, reason=_reason(record.reason))
    return None


def cell(found: Fits, metric: str, beside: Beside) -> Cell | None:
    """Make a cell of one row and task; None where the metric is in none of the records.

    `beside` holds the twins and whatever else the verdict needs. One undefined seed makes the mean
    undefined.
    """
    if found.without is not None:
        return found.without
    held = [record for record in found.own if metric in record.metrics]
    if not held:
        return None
    values = [record.metrics[metric] for record in held]
    for value in values:
        if value.value is None:
            reason = _reason(value.undefined_reason)
            return Cell(None, state="undefined", n=value.n, reason=reason, because=reason)
    verdict = over_seeds([beside.finding(record, metric) for record in held])
    last, because = values[-1], verdict.because
    made = Cell(
        last.value,
        last.ci_low,
        last.ci_high,
        level=last.ci_level,
        n=last.n,
        finding=verdict.finding,
        because=because if len(because) <= _LONGEST else clean(because, _LONGEST),  # printable
        failed=verdict.failed,
        missing=verdict.missing,
        sources=tuple([record.record_id for record in held]),
    )
    if held[0].probe.training is None:
        return made
    untrained = beside.capacity(held[0])["empty-root"]
    return _over_seeds(
        made,
        values,
        of_metric(found.shuffled, metric),
        of_metric(untrained, metric),
    )


def _over_seeds(
    last: Cell,
    values: list[MetricValue],
    shuffled: list[MetricValue],
    untrained: list[MetricValue],
) -> Cell:
    numbers = _numbers(values)
    lows = [value.ci_low for value in values if value.ci_low is not None]
    highs = [value.ci_high for value in values if value.ci_high is not None]
    mean = statistics.fmean(numbers)
    capacity, before = _mean(shuffled), _mean(untrained)
    return last._replace(
        value=mean,
        low=min(lows, default=None),
        high=max(highs, default=None),
        n=min(value.n for value in values),
        level=values[0].ci_level,
        seeds=len(numbers),
        spread=statistics.stdev(numbers) if len(numbers) > 1 else None,
        shuffled=capacity,
        untrained=before,
        selectivity=_selectivity(mean, capacity, before, values[0].higher_is_better),
    )


def _selectivity(
    value: float, shuffled: float | None, untrained: float | None, higher_is_better: bool | None
) -> float | None:
    """Return the value minus the better of the two; None where one is missing or none is better."""
    if shuffled is None or untrained is None or higher_is_better is None:
        return None
    return value - (max if higher_is_better else min)(shuffled, untrained)


def _mean(values: Sequence[MetricValue]) -> float | None:
    """Return the mean, None where there is none or one is undefined."""
    numbers = _numbers(values)
    return statistics.fmean(numbers) if numbers and len(numbers) == len(values) else None


def _numbers(values: Sequence[MetricValue]) -> list[float]:
    return [value.value for value in values if value.value is not None]


def _reason(reason: str | None) -> str:
    return clean(reason or "no reason was recorded", _LONGEST)
