"""Two models, probes or states of one model on the same items: a paired bootstrap.

Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16; Holm, A simple sequentially
rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979. What is a matter of
better or worse is corrected for the number of comparisons; harm is read on its own interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from hiereval.choice import listed, matches
from hiereval.errors import HierevalError, nearest
from hiereval.estimates import interval, n_defined, ones, resample
from hiereval.item_statistics import Mean
from hiereval.matching import data_label, of_probe, pairs, probe_label, shared
from hiereval.samples import Samples, metrics_of
from hiereval.types import Metric, Role

ROUNDING = 1e-12
FAMILY = ("headline", "quality")  # roles that Holm's correction runs over


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of both sides over their shared items; null with the reason if undefined."""

    task: str
    parameters: dict[str, Any]
    dataset: str
    split: str
    probe_a: str
    probe_b: str
    metric: str
    role: Role
    higher_is_better: bool | None
    n: int  # shared items
    a: float | None
    b: float | None
    difference: float | None = None  # b - a
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None  # of headline and quality metrics alone
    spread: float | None = None  # what two encoders without structure differ by at most
    undefined_reason: str | None = None

    @property
    def below_spread(self) -> bool:
        """Whether two encoders without structure would differ as much."""
        return (
            self.difference is not None
            and self.spread is not None
            and abs(self.difference) <= self.spread
        )

    @property
    def harm(self) -> bool:
        """Whether B is worse by its own interval, whatever the correction says."""
        if self.higher_is_better is None or self.low is None or self.high is None:
            return False
        return self.high < -ROUNDING if self.higher_is_better else self.low > ROUNDING

    def clear(self, level: float) -> bool:
        """Whether it holds: corrected p below 1 - level, and more than the structureless spread."""
        return self.p_holm is not None and self.p_holm < 1 - level and not self.below_spread


@dataclass
class Comparison:
    """All differences, and what could not be compared or only in part."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare(
    a: Sequence[Samples],
    b: Sequence[Samples],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
    metrics: str = "headline",
    probes: tuple[str, str] | None = None,
) -> Comparison:
    """Compare two sides' samples, task by task, on the items they share.

    Tasks are paired if name, version, parameters, data and, where a side has several, the probe
    are the same; `probes` names A's and B's instead (`NAME`, or `NAME:shuffled`). `metrics` is
    "headline" (and what is to be retained), "all", or names and globs. Holm's correction runs over
    the headline and quality metrics that have a p-value here.
    """
    if probes is not None:
        a, b = (of_probe(side, name) for side, name in zip((a, b), probes, strict=True))
    result = Comparison()
    wanted = Wanted(metrics)
    for first, second in pairs(a, b, result.notes, across=probes is not None):
        one, other = shared([first, second])
        where = f"{first.identity.task.name} on {data_label(first)}"
        if not one.scores.ids:
            result.notes.append(f"{where}: not compared, the two sides share no item.")
            continue
        n = len(one.scores.ids)
        if n < max(first.identity.n, second.identity.n):
            result.notes.append(
                f"{where}: compared on the {n:,} shared items of {first.identity.n:,} "
                f"(A) and {second.identity.n:,} (B)."
            )
        result.differences += _differences(one, other, wanted, seed, resamples, level)
    wanted.check()
    family = [d for d in result.differences if d.p is not None and d.role in FAMILY]
    adjusted = dict(
        zip(map(id, family), holm([d.p for d in family if d.p is not None]), strict=True)
    )
    result.differences = [replace(d, p_holm=adjusted.get(id(d))) for d in result.differences]
    return result


class Wanted:
    """Which metrics are asked for: "headline", "all", or comma-separated names and globs."""

    def __init__(self, given: str) -> None:
        self.given = given
        self.patterns = listed(given)
        self.known: dict[str, None] = {}
        self.found = False

    def of(self, metrics: Sequence[Metric]) -> list[Metric]:
        """Return the wanted ones; a task without headline metrics gives all that can be better."""
        self.known.update(dict.fromkeys(metric.name for metric in metrics))
        chosen = [metric for metric in metrics if self._wants(metric)]
        if self.given == "headline" and not any(m.role == "headline" for m in metrics):
            chosen = [metric for metric in metrics if metric.role != "descriptive"]
        self.found = self.found or bool(chosen)
        return chosen

    def check(self) -> None:
        """Raise HierevalError if what was asked for is a metric of no task that was compared."""
        if self.known and not self.found:
            raise HierevalError(
                f"The metrics {self.given!r} must be headline, all, or name one of "
                f"{', '.join(self.known)}.{nearest(self.given, self.known)}"
            )

    def _wants(self, metric: Metric) -> bool:
        if self.given == "all":
            return True
        if self.given == "headline":
            return metric.role in ("headline", "retention")
        return matches(metric.name, self.patterns)


def p_value(replicates: Float64[Tensor, " b"], items: int) -> float:
    """Return the two-sided bootstrap p-value of a difference, in (0, 1].

    p = min(1, 2 min(1 + #{d* <= 0}, 1 + #{d* >= 0}) / (1 + B)) over the B defined replicates d*:
    where 0 stands among them. A d* within 1e-12 of 0 is 0. p is never 0: B draws cannot show that.
    Nor is it below 2^(1 - items), the least that exchanging the two models item by item can show:
    a few items that happen to agree resample to nothing else.

    >>> agree = torch.ones(99, dtype=torch.float64)
    >>> [p_value(agree, items) for items in (1, 3, 30)]
    [1.0, 0.25, 0.02]
    """
    defined = replicates[replicates.isfinite()]
    low, high = int((defined <= ROUNDING).sum()), int((defined >= -ROUNDING).sum())
    p = min(1.0, 2.0 * (1 + min(low, high)) / (1 + len(defined)))
    return max(p, 2.0 ** (1 - max(1, items)))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the given order: max over smaller p_j of (m - j) p_j."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


# --- bootstrap -----------------------------------------------------------------------------------


def _differences(
    a: Samples, b: Samples, wanted: Wanted, seed: int, resamples: int, level: float
) -> list[Difference]:
    """Return one Difference a metric; both sides see the same draws."""
    metrics = wanted.of(metrics_of(a.identity.task, a.scores.items or b.scores.items))
    values = {m.name: tuple(_value(m, side) for side in (a, b)) for m in metrics}
    defined = [m for m in metrics if None not in values[m.name]]
    drawn = replicates((a, b), defined, seed=seed, resamples=resamples)
    found = []
    for m in metrics:
        first, second = values[m.name]
        row = Difference(
            task=a.identity.task.name,
            parameters=a.identity.task.parameters,
            dataset=a.identity.dataset.name,
            split=a.identity.dataset.split,
            probe_a=probe_label(a),
            probe_b=probe_label(b),
            metric=m.name,
            role=m.role,
            higher_is_better=m.higher_is_better,
            n=len(a.scores.ids),
            a=first,
            b=second,
            spread=_spread(a, b, m.name, level),
        )
        if first is None or second is None:
            found.append(replace(row, undefined_reason=_reason(m, a, b, first)))
            continue
        differences = drawn[m.name][:, 1] - drawn[m.name][:, 0]
        low, high = interval(differences, level)
        p = p_value(differences, max(n_defined(m, side.scores) for side in (a, b)))
        found.append(replace(row, difference=second - first, low=low, high=high, p=p))
    return found


def replicates(
    sides: Sequence[Samples], metrics: Sequence[Metric], *, seed: int, resamples: int
) -> dict[str, Float64[Tensor, "b m"]]:
    """Return each metric's resampled values for every side, from the same draws of the items.

    The sides hold the same items in the same order. A mean over all items is one matrix product:
    draws [b, n] times items [n, m].
    """
    drawn: dict[str, list[Tensor]] = {metric.name: [] for metric in metrics}
    columns = {metric.name: _means(metric, sides) for metric in metrics}
    n = len(sides[0].scores.ids)
    for weights in resample(n, resamples, seed) if metrics else ():
        for metric in metrics:
            means = columns[metric.name]
            drawn[metric.name].append(
                torch.stack([metric.statistic(s.scores.items, weights) for s in sides], 1)
                if means is None
                else weights @ means
            )
    return {name: torch.cat(parts) for name, parts in drawn.items()}


def _means(metric: Metric, sides: Sequence[Samples]) -> Float64[Tensor, "n m"] | None:
    """Return items [n, m] / n of a mean to which every item gives one number, else None."""
    mean = metric.statistic
    if not isinstance(mean, Mean):
        return None
    values = [side.scores.items[mean.key].double() for side in sides]
    values = values if mean.column is None else [v[:, mean.column] for v in values]
    if not all(v.ndim == 1 and bool(v.isfinite().all()) for v in values):
        return None
    return torch.stack(values, 1) / len(values[0])


def _spread(a: Samples, b: Samples, metric: str, level: float) -> float | None:
    """Return what two encoders with the sides' nulls differ by at most, in `level` of cases.

    A side without a null of its own, as a control is, counts as wide as the other.
    """
    known = [sd for side in (a, b) if (sd := side.identity.null_sd.get(metric)) is not None]
    if not known:
        return None
    return NormalDist().inv_cdf((1.0 + level) / 2.0) * math.hypot(known[0], known[-1])


def _value(metric: Metric, samples: Samples) -> float | None:
    if metric.name in samples.scores.undefined:
        return None
    value = float(metric.statistic(samples.scores.items, ones(len(samples.scores.ids))))
    return value if value == value else None


def _reason(metric: Metric, a: Samples, b: Samples, first: float | None) -> str:
    side, name = (a, "A") if first is None else (b, "B")
    given = side.scores.undefined.get(metric.name, "it is undefined on the shared items")
    return f"{name}: {given}"
