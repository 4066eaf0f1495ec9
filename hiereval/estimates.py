"""Values with intervals: a seeded bootstrap over items, for means and rank statistics alike.

A statistic's weights are ones for the value and multinomial counts for a bootstrap replicate
(Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from hiereval.hooks import Batched, CountsPairs, Defined, MetricsOfItems
from hiereval.item_statistics import Items
from hiereval.types import Metric, Scores, Task

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
    >>> from hiereval.item_statistics import Mean
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
