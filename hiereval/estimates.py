"""Values with intervals: a seeded bootstrap over items, for means and rank statistics alike.

Every statistic here maps items and weights [b, n] to [b] float64: with weights of ones it is the
value, with multinomial counts it is a bootstrap replicate (Efron & Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from hiereval.ranks import Ranking, auroc, average_precision, precisions, wins
from hiereval.types import (
    Batched,
    CountsPairs,
    Defined,
    Metric,
    MetricsOfItems,
    Scores,
    Task,
)

Items = Mapping[str, Tensor]
CHUNK = 1 << 24  # weights held at once
FEW_DEFINED = 0.01  # of the resamples: where more are undefined, an interval says so
MIN_PAIRS = 1_000  # of a stratified AUROC: about 300 chains of HierarCaps; 100 cover 85 %, not 95


@dataclass(frozen=True)
class Estimate:
    """A metric's value and interval over n items, or None with the reason."""

    value: float | None
    low: float | None
    high: float | None
    n: int  # items with a defined value
    undefined_reason: str | None = None
    caution: str | None = None  # why the interval promises more than it holds


def ones(n: int) -> Float64[Tensor, "1 n"]:
    """Return the weights of the sample itself."""
    return torch.ones(1, n, dtype=torch.float64)


def resample(n: int, resamples: int, seed: int) -> Iterator[Float64[Tensor, "b n"]]:
    """Yield multinomial counts, `resamples` rows in all, the same for the same n and seed.

    Chunks keep at most 2^24 weights in memory, so that n may be a million.

    Two resamples of four items. A row says how often each item was drawn, four draws in all, so a
    weighted mean is the mean of the resample, and a statistic sees every resample at once:

    >>> weights = torch.cat(list(resample(4, 2, seed=0)))
    >>> weights.tolist()
    [[2.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 4.0]]
    >>> Mean("x")({"x": torch.tensor([1.0, 2.0, 3.0, 4.0])}, weights).tolist()
    [2.0, 4.0]
    """
    generator = torch.Generator().manual_seed(seed)
    rows = max(1, CHUNK // max(1, n))
    for start in range(0, resamples, rows):
        b = min(rows, resamples - start)
        drawn = torch.randint(n, (b, n), generator=generator)
        drawn += n * torch.arange(b)[:, None]
        yield torch.bincount(drawn.view(-1), minlength=b * n).view(b, n).double()


def values(metrics: Sequence[Metric], scores: Scores) -> dict[str, float]:
    """Return each metric's value on the sample, NaN where it is undefined."""
    n = len(scores.ids)
    return {
        metric.name: float("nan")
        if n == 0 or metric.name in scores.undefined
        else metric.statistic(scores.items, ones(n)).item()
        for metric in metrics
    }


def bootstrap(
    metrics: Sequence[Metric],
    scores: Scores,
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Return each metric's value and percentile interval over resampled items.

    All metrics share the draws. A metric that is undefined on the sample is None with its reason,
    never 0 or 1; a replicate in which it is undefined (say, no negative drawn) is left out of the
    interval.
    """
    n = len(scores.ids)
    found = values(metrics, scores)
    open_metrics = [metric for metric in metrics if found[metric.name] == found[metric.name]]
    replicates: dict[str, list[Tensor]] = {metric.name: [] for metric in open_metrics}
    for weights in resample(n, resamples, seed) if open_metrics else ():
        for metric in open_metrics:
            replicates[metric.name].append(metric.statistic(scores.items, weights))
    estimates = {}
    for metric in metrics:
        count = n_defined(metric, scores)
        if metric.name in replicates:
            drawn = torch.cat(replicates[metric.name])
            low, high = interval(drawn, level)
            few = caution(metric, scores.items, drawn)
            estimates[metric.name] = Estimate(found[metric.name], low, high, count, caution=few)
        else:
            reason = scores.undefined.get(metric.name, "it is undefined for every item")
            reason = reason if n else "there are no items"
            estimates[metric.name] = Estimate(None, None, None, count, reason)
    return estimates


def interval(replicates: Float64[Tensor, " b"], level: float) -> tuple[float | None, float | None]:
    """Return the central percentile interval of the defined replicates (None if there is none)."""
    defined = replicates[replicates.isfinite()]
    if not len(defined):
        return None, None
    tail = (1.0 - level) / 2.0
    low, high = defined.quantile(torch.tensor([tail, 1.0 - tail], dtype=torch.float64)).tolist()
    return low, high


def caution(metric: Metric, items: Items, replicates: Float64[Tensor, " b"]) -> str | None:
    """Return why the interval promises more than it holds, or None."""
    undefined = int((~replicates.isfinite()).sum())
    if undefined > FEW_DEFINED * len(replicates):
        return (
            f"{undefined:,} of {len(replicates):,} resamples leave it undefined, and are left out "
            "of the interval"
        )
    n = metric.statistic.pairs(items) if isinstance(metric.statistic, CountsPairs) else None
    if n is not None and n < MIN_PAIRS:
        return f"it compares {n:,} pairs: below {MIN_PAIRS:,} an interval holds less than it says"
    return None


def n_defined(metric: Metric, scores: Scores) -> int:
    """Return how many items have a defined value; all of them for a statistic that cannot say."""
    if metric.name in scores.undefined or not len(scores.ids):
        return 0
    if not isinstance(metric.statistic, Defined):
        return len(scores.ids)
    return int(metric.statistic.defined(scores.items).sum())


def batch(
    statistic: Callable[[Items, Tensor], Tensor], items: Items, b: int
) -> Float64[Tensor, " b"]:
    """Return the statistic of each of b samples (every item [b, n, ...], or [1, n, ...] where all
    share it), at once where it has a `batch` method, else one by one."""
    if isinstance(statistic, Batched):
        return statistic.batch(items).expand(b)
    samples = [{k: v[i if len(v) > 1 else 0] for k, v in items.items()} for i in range(b)]
    n = next(iter(items.values())).shape[1]
    return torch.cat([statistic(sample, ones(n)) for sample in samples])


def metrics_of(task: Task, items: Items) -> tuple[Metric, ...]:
    """Return a task's metrics for these items: its own, or those that the items decide."""
    return task.metrics_of(items) if isinstance(task, MetricsOfItems) else task.metrics


def with_chance(metrics: Sequence[Metric], items: Items) -> tuple[Metric, ...]:
    """Return the metrics with the chance level that average precision has on these items."""
    return tuple(
        replace(metric, chance=metric.statistic.chance(items))
        if isinstance(metric.statistic, AveragePrecision) and metric.statistic.positive in items
        else metric
        for metric in metrics
    )


# --- statistics ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mean:
    """The mean of items[key] ([n] or [n, c]) over all finite entries; NaN means undefined."""

    key: str
    column: int | None = None

    def _values(self, items: Items) -> Float64[Tensor, "n c"]:
        values = items[self.key].double().reshape(len(items[self.key]), -1)
        return values if self.column is None else values[:, self.column, None]

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return self._values(items).isfinite().any(-1)

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        values = self._values(items)
        finite = values.isfinite()
        total = weights @ values.where(finite, values.new_zeros(())).sum(-1)
        return total / (weights @ finite.double().sum(-1))

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        values = _row(items, self.key, self.column)
        return values.masked_fill(~values.isfinite(), torch.nan).nanmean(1)


@dataclass(frozen=True)
class F1:
    """The harmonic mean of averaged precision and averaged recall; 0 where both are 0."""

    precision: Mean
    recall: Mean

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return self.precision.defined(items) & self.recall.defined(items)

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        return self._of(self.precision(items, weights), self.recall(items, weights))

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        return self._of(self.precision.batch(items), self.recall.batch(items))

    @staticmethod
    def _of(p: Float64[Tensor, " b"], r: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return (2 * p * r / (p + r)).masked_fill((p == 0) & (r == 0), 0.0)


@dataclass(frozen=True)
class Auroc:
    """How often items[positive] exceeds items[negative] (ties count half), over all pairs, or
    over pairs within equal items[strata[0]] (of positives) and items[strata[1]] (of negatives)."""

    positive: str  # [n] or [n, c]; NaN entries are left out
    negative: str
    strata: tuple[str, str] | None = None
    column: int | None = None  # of all of them

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return _any_finite(items, self.column, self.positive, self.negative)

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        positive = _column(items, self.positive, self.column)
        negative = _column(items, self.negative, self.column)
        if self.strata is None:
            return auroc(Ranking.of(positive, negative), weights)
        own, other = (_column(items, key, self.column) for key in self.strata)
        strata = [
            Ranking.of(
                positive.masked_fill(own != stratum, torch.nan),
                negative.masked_fill(other != stratum, torch.nan),
            )
            for stratum in own.unique()
        ]
        return auroc(strata, weights)

    def pairs(self, items: Items) -> int | None:
        """Return how many pairs lie within strata; None without strata: all of them."""
        if self.strata is None:
            return None
        finite = [_column(items, k, self.column).isfinite() for k in (self.positive, self.negative)]
        own, other = (
            _column(items, key, self.column)[where]
            for key, where in zip(self.strata, finite, strict=True)
        )
        return sum(int((own == s).sum() * (other == s).sum()) for s in own.unique())

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        """Strata must be the same in all samples."""
        positive, negative = (_row(items, k, self.column) for k in (self.positive, self.negative))
        if self.strata is None:
            won, pairs = wins(positive, negative)
            return won / pairs
        own, other = (_row(items, key, self.column)[0] for key in self.strata)
        parts = [
            wins(positive[:, own == stratum], negative[:, other == stratum])
            for stratum in own.unique()
        ]
        won, pairs = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
        return won / pairs


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision of items[positive] ranked among items[negative], ties grouped."""

    positive: str
    negative: str

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return _any_finite(items, None, self.positive, self.negative)

    def chance(self, items: Items) -> float | None:
        """Return the share of positives, which a random ranking scores; None without any score."""
        positive, negative = (
            int(items[k].isfinite().sum()) for k in (self.positive, self.negative)
        )
        return positive / (positive + negative) if positive + negative else None

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        return average_precision(Ranking.of(items[self.positive], items[self.negative]), weights)

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        return precisions(_row(items, self.positive), _row(items, self.negative)).nanmean(1)


@dataclass(frozen=True)
class MeanOf:
    """The mean of several statistics; NaN where any of them is."""

    parts: tuple[Mean | Auroc, ...]

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return torch.stack([part.defined(items) for part in self.parts]).any(0)

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        return torch.stack([part(items, weights) for part in self.parts]).mean(0)

    def pairs(self, items: Items) -> int | None:
        """Return the pairs of the part that has the fewest."""
        counts = [part.pairs(items) for part in self.parts if isinstance(part, Auroc)]
        return min((count for count in counts if count is not None), default=None)

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        return torch.stack([part.batch(items) for part in self.parts]).mean(0)


def _column(items: Items, key: str, column: int | None) -> Tensor:
    values = items[key]
    return values if column is None else values[:, column]


def _row(items: Items, key: str, column: int | None = None) -> Float64[Tensor, "b m"]:
    """Return each sample's values as one row, those of one column [b, n, column] or all."""
    values = items[key].double()
    return (values if column is None else values[:, :, column]).flatten(1)


def _any_finite(items: Items, column: int | None, *keys: str) -> Bool[Tensor, " n"]:
    parts = [_column(items, key, column) for key in keys]
    return torch.cat([part.reshape(len(part), -1).isfinite() for part in parts], 1).any(1)
