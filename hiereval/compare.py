"""Two models, probes or states of one model on the same items: a paired bootstrap.

Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16; Holm, A simple sequentially
rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979. What is a matter of
better or worse is corrected for the number of comparisons; harm is read on its own interval.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from hiereval.choice import listed, matches
from hiereval.errors import HierevalError, nearest
from hiereval.estimates import Mean, interval, ones, resample
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
        a, b = (_of_probe(side, name) for side, name in zip((a, b), probes, strict=True))
    result = Comparison()
    wanted = Wanted(metrics)
    for first, second in _pairs(a, b, result.notes, across=probes is not None):
        one, other = shared([first, second])
        where = f"{first.identity.task.name} on {_data(first)}"
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


def p_value(replicates: Float64[Tensor, " b"]) -> float:
    """Return the two-sided bootstrap p-value of a difference, in (0, 1].

    p = min(1, 2 min(1 + #{d* <= 0}, 1 + #{d* >= 0}) / (1 + B)) over the B defined replicates d*:
    where 0 stands among them. A d* within 1e-12 of 0 is 0. p is never 0: B draws cannot show that.
    """
    defined = replicates[replicates.isfinite()]
    low, high = int((defined <= ROUNDING).sum()), int((defined >= -ROUNDING).sum())
    return min(1.0, 2.0 * (1 + min(low, high)) / (1 + len(defined)))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the given order: max over smaller p_j of (m - j) p_j."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


# --- pairing -------------------------------------------------------------------------------------


def _pairs(
    a: Sequence[Samples], b: Sequence[Samples], notes: list[str], *, across: bool
) -> Iterable[tuple[Samples, Samples]]:
    """Return what is comparable, noting the rest."""
    sides = [_grouped(a), _grouped(b)]
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        first, second = (side.get(key, []) for side in sides)
        where = f"{(first or second)[0].identity.task.name} on {_data((first or second)[0])}"
        if not first or not second:
            notes.append(
                f"{where}: not compared, {'A' if not first else 'B'} has no samples of it."
            )
            continue
        if across:
            pairs = _across(first, second)
        elif len(first) > 1 or len(second) > 1:
            probes = {_probe(samples): samples for samples in second}
            pairs = [(s, probes[_probe(s)]) for s in first if _probe(s) in probes]
            if not pairs:
                notes.append(f"{where}: not compared, no probe is on both sides.")
        else:
            pairs = [(first[0], second[0])]
        for one, other in pairs:
            if one.identity.dataset.sha256 == other.identity.dataset.sha256:
                yield one, other
            else:
                notes.append(f"{where}: not compared, the two sides saw different data.")


def _of_probe(side: Sequence[Samples], name: str) -> list[Samples]:
    """Return the samples of one probe: NAME, or NAME:shuffled for what shuffled tiers gave."""
    found = [samples for samples in side if name in _probe_names(samples)]
    if not found:
        known = list(dict.fromkeys(n for samples in side for n in _probe_names(samples)))
        raise HierevalError(
            f"The probe {name!r} must be one of {', '.join(known)}.{nearest(name, known)}"
        )
    return found


def _probe_names(samples: Samples) -> list[str]:
    probe = samples.identity.probe
    return [f"{probe.name}:shuffled" if probe.shuffled else probe.name]


def _across(a: list[Samples], b: list[Samples]) -> list[tuple[Samples, Samples]]:
    """Pair two probes: seed with seed where both have several, else the one with each."""
    if len(a) == 1 or len(b) == 1:
        return [(one, other) for one in a for other in b]
    seeds = {samples.identity.probe.seed: samples for samples in b}
    return [(one, seeds[s]) for one in a if (s := one.identity.probe.seed) in seeds]


def _grouped(side: Sequence[Samples]) -> dict[str, list[Samples]]:
    """Return the samples by task and dataset, of each probe the newest."""
    groups: dict[str, dict[str, Samples]] = {}
    for samples in sorted(side, key=lambda s: s.identity.timestamp):
        task, data = samples.identity.task, samples.identity.dataset
        key = json.dumps([task.name, task.version, task.parameters, data.name, data.split],
                         sort_keys=True)  # fmt: skip
        groups.setdefault(key, {})[_probe(samples)] = samples
    return {key: list(probes.values()) for key, probes in groups.items()}


def _probe(samples: Samples) -> str:
    probe = samples.identity.probe
    seed = "" if probe.seed is None else f", seed {probe.seed}"
    shuffled = ", tiers shuffled" if probe.shuffled else ""
    parameters = "".join(f", {k}={v}" for k, v in probe.parameters.items())
    return f"{probe.name}{parameters}{seed}{shuffled}"


def _data(samples: Samples) -> str:
    return f"{samples.identity.dataset.name}:{samples.identity.dataset.split}"


def shared(sides: Sequence[Samples]) -> list[Samples]:
    """Return every side's samples of the items that all hold, in the first one's order.

    Equal names pair up in their order.
    """
    places = [{key: i for i, key in enumerate(_numbered(side.scores.ids))} for side in sides]
    common = [key for key in places[0] if all(key in place for place in places)]
    return [
        _rows(side, [place[key] for key in common])
        for side, place in zip(sides, places, strict=True)
    ]


def _numbered(ids: Sequence[str]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    numbered = []
    for name in ids:
        numbered.append((name, seen[name]))
        seen[name] += 1
    return numbered


def _rows(samples: Samples, rows: list[int]) -> Samples:
    items = {key: values[rows] for key, values in samples.scores.items.items()}
    ids = [samples.scores.ids[i] for i in rows]
    return replace(samples, scores=replace(samples.scores, ids=ids, items=items, details=None))


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
            probe_a=_probe(a),
            probe_b=_probe(b),
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
        p = p_value(differences)
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
