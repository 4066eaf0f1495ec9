"""Two models on the same items: a paired bootstrap, corrected for many comparisons.

Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16; Holm, A simple sequentially
rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from hiereval.estimates import interval, ones, resample
from hiereval.samples import Samples, metrics_of
from hiereval.types import Metric

ROUNDING = 1e-12


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
    higher_is_better: bool | None
    n: int  # shared items
    a: float | None
    b: float | None
    difference: float | None = None  # b - a
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    undefined_reason: str | None = None


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
) -> Comparison:
    """Compare two models' samples, task by task, on the items they share.

    Tasks are paired if name, version, parameters, data and, where a side has several, the probe
    are the same. Holm's correction runs over every metric that has a p-value here.
    """
    result = Comparison()
    for first, second in _pairs(a, b, result.notes):
        rows_a, rows_b = _shared(first, second)
        where = f"{first.identity.task.name} on {_data(first)}"
        if not rows_a:
            result.notes.append(f"{where}: not compared, the two sides share no item.")
            continue
        if len(rows_a) < max(first.identity.n, second.identity.n):
            result.notes.append(
                f"{where}: compared on the {len(rows_a):,} shared items of {first.identity.n:,} "
                f"(A) and {second.identity.n:,} (B)."
            )
        sides = (_rows(first, rows_a), _rows(second, rows_b))
        result.differences += _differences(*sides, seed, resamples, level)
    adjusted = iter(holm([d.p for d in result.differences if d.p is not None]))
    result.differences = [
        d if d.p is None else replace(d, p_holm=next(adjusted)) for d in result.differences
    ]
    return result


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
    a: Sequence[Samples], b: Sequence[Samples], notes: list[str]
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
        if len(first) > 1 or len(second) > 1:
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


def _shared(a: Samples, b: Samples) -> tuple[list[int], list[int]]:
    """Return the rows of both sides that hold the same item; equal names pair up in order."""
    places = {key: i for i, key in enumerate(_numbered(b.scores.ids))}
    pairs = [(i, places[key]) for i, key in enumerate(_numbered(a.scores.ids)) if key in places]
    return [i for i, _ in pairs], [j for _, j in pairs]


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
    a: Samples, b: Samples, seed: int, resamples: int, level: float
) -> list[Difference]:
    """Return one Difference a metric; both sides see the same draws."""
    metrics = metrics_of(a.identity.task, a.scores.items or b.scores.items)
    n = len(a.scores.ids)
    values = {m.name: tuple(_value(m, side) for side in (a, b)) for m in metrics}
    defined = [m for m in metrics if None not in values[m.name]]
    replicates: dict[str, list[Tensor]] = {m.name: [] for m in defined}
    for weights in resample(n, resamples, seed) if defined else ():
        for m in defined:
            both = [m.statistic(side.scores.items, weights) for side in (a, b)]
            replicates[m.name].append(both[1] - both[0])
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
            higher_is_better=m.higher_is_better,
            n=n,
            a=first,
            b=second,
        )
        if first is None or second is None:
            found.append(replace(row, undefined_reason=_reason(m, a, b, first)))
            continue
        drawn = torch.cat(replicates[m.name])
        low, high = interval(drawn, level)
        p = p_value(drawn)
        found.append(replace(row, difference=second - first, low=low, high=high, p=p))
    return found


def _value(metric: Metric, samples: Samples) -> float | None:
    if metric.name in samples.scores.undefined:
        return None
    value = float(metric.statistic(samples.scores.items, ones(len(samples.scores.ids))))
    return value if value == value else None


def _reason(metric: Metric, a: Samples, b: Samples, first: float | None) -> str:
    side, name = (a, "A") if first is None else (b, "B")
    given = side.scores.undefined.get(metric.name, "it is undefined on the shared items")
    return f"{name}: {given}"
