"""Reassignment nulls: what a metric reaches where the same vectors say nothing.

A bootstrap interval answers "other chains, this encoder". Whether the encoder is better than
nothing is another question, and resampling chains cannot answer it: captions repeat, and an
encoder without structure is one draw. So the encoder's own vectors (or radii, or images) are
dealt out at random to the distinct strings (or images) and scored again, many times: a
permutation test (Fisher 1935; Good, Permutation Tests, 2000, chapter 3). Dealing within equal
word count keeps all that length explains.

A deal only permutes indices. Nothing is encoded again, and what a task can score as a gather it
does not compute again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from hiereval.estimates import Estimate, batch, interval, metrics_of
from hiereval.item_statistics import Items
from hiereval.types import Dataset, Metric, Null, NullKind, Scores, Task

LEVEL = 0.95  # of a null's range
NUMBERS = 1 << 23  # held at once by a block of draws, whatever the data's size
ROUNDING = 1e-12  # of float64 sums: a draw that differs by less is as good


@dataclass(frozen=True)
class NullEstimate:
    """A metric's distribution where nothing is known, and how often it is as good as the value."""

    mean: float
    sd: float
    low: float
    high: float
    p: float
    draws: int  # in which it was defined


@dataclass(frozen=True)
class Bars:
    """What a metric's value has to be beyond: nulls by what was dealt out, blind scores by name."""

    nulls: Mapping[str, NullEstimate] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)


def bars(
    task: Task,
    dataset: Dataset,
    scores: Scores,
    estimates: Mapping[str, Estimate],
    *,
    seed: int,
    draws: int | None = None,
) -> dict[str, Bars]:
    """Return the bars of each metric that has any; descriptive metrics have none.

    `draws` caps each null's own number; with 0 nothing is drawn and nothing scored blindly.
    """
    from hiereval.blind import ceilings

    if draws == 0:
        return {}
    metrics = [m for m in metrics_of(task, scores.items) if is_judged(m)]
    nulls = evaluate(metrics, scores, estimates, seed=seed, draws=draws)
    blind = ceilings(task, dataset, metrics)
    return {m.name: Bars(nulls.get(m.name, {}), blind.get(m.name, {})) for m in metrics}


def is_judged(metric: Metric) -> bool:
    """Whether some values of the metric are better than others."""
    return metric.higher_is_better is not None and metric.role != "descriptive"


def evaluate(
    metrics: Sequence[Metric],
    scores: Scores,
    estimates: Mapping[str, Estimate],
    *,
    seed: int,
    draws: int | None = None,
) -> dict[str, dict[str, NullEstimate]]:
    """Return each defined metric's nulls, by what was dealt out."""
    found: dict[str, dict[str, NullEstimate]] = {}
    for kind, null in scores.nulls.items():
        generator = torch.Generator().manual_seed(seed)
        drawn = null.draw(null.draws if draws is None else min(draws, null.draws), generator)
        for metric in metrics:
            value = estimates[metric.name].value
            if value is not None and metric.name in drawn:
                estimate = compare(metric, value, drawn[metric.name])
                if estimate is not None:
                    found.setdefault(metric.name, {})[kind] = estimate
    return found


def compare(metric: Metric, value: float, drawn: Float64[Tensor, " b"]) -> NullEstimate | None:
    """Return the draws' distribution and p = (1 + draws at least as good) / (draws + 1).

    Draws in which the metric is undefined are left out; None where it is in all.
    """
    drawn = drawn[drawn.isfinite()]
    low, high = interval(drawn, LEVEL)
    if low is None or high is None:
        return None
    gain = drawn - value if metric.higher_is_better else value - drawn
    as_good = int((gain >= -ROUNDING).sum())
    return NullEstimate(
        mean=drawn.mean().item(),
        sd=drawn.std(correction=0).item(),
        low=low,
        high=high,
        p=(1 + as_good) / (len(drawn) + 1),
        draws=len(drawn),
    )


# --- dealing out ---------------------------------------------------------------------------------


def deal(groups: Int64[Tensor, " t"], draws: int, generator: Generator) -> Int64[Tensor, "b t"]:
    """Return for each draw which thing every place receives: a permutation within equal groups.

    >>> deal(torch.tensor([0, 0, 1]), 2, torch.Generator().manual_seed(2)).tolist()
    [[1, 0, 2], [0, 1, 2]]
    """
    places = groups.sort(stable=True).indices
    keys = torch.rand(draws, len(groups), dtype=torch.float64, generator=generator)
    # keys of a group lie between its number and the next: one sort deals within all groups
    things = torch.from_numpy(np.argsort((keys + groups.unique(return_inverse=True)[1]).numpy()))
    return torch.empty_like(things).index_copy_(1, places, things)


@dataclass(frozen=True)
class Dealt:
    """A null's `draw`: things dealt out within groups and scored by the metrics' own statistics.

    `items` turns deals [b, t] into the task's items of b samples, as `batch` statistics take them.
    A block of draws holds about NUMBERS numbers, at `size` for one draw.
    """

    metrics: tuple[Metric, ...]
    groups: Int64[Tensor, " t"]
    items: Callable[[Int64[Tensor, "b t"]], Items]
    size: int

    def __call__(self, draws: int, generator: Generator) -> dict[str, Tensor]:
        rows = max(1, NUMBERS // max(1, self.size))
        blocks = []
        for start in range(0, draws, rows):
            dealt = deal(self.groups, min(rows, draws - start), generator)
            items = self.items(dealt)
            blocks.append({m.name: batch(m.statistic, items, len(dealt)) for m in self.metrics})
        return {m.name: torch.cat([block[m.name] for block in blocks]) for m in self.metrics}


def word_counts(texts: Iterable[str]) -> Int64[Tensor, " t"]:
    """Return how many words each text has: the length that "within-length" keeps."""
    return torch.tensor([len(text.split()) for text in texts])


def groups_of_texts(texts: Sequence[str]) -> dict[NullKind, Int64[Tensor, " t"]]:
    """Return within what the vectors of texts are dealt out: anywhere, and by word count."""
    lengths = word_counts(texts)
    return {"free": torch.zeros_like(lengths), "within-length": lengths}


def reassigned(
    metrics: Sequence[Metric],
    groups: Mapping[NullKind, Int64[Tensor, " t"]],
    items: Callable[[Int64[Tensor, "b t"]], Items],
    *,
    size: int,
    draws: int = 1000,
) -> dict[NullKind, Null]:
    """Return a null for each way of dealing out; `items` and `size` are those of `Dealt`."""
    judged = tuple(metric for metric in metrics if is_judged(metric))
    return {kind: Null(Dealt(judged, group, items, size), draws) for kind, group in groups.items()}


def of_images(
    metrics: Sequence[Metric],
    n: int,
    items: Callable[[Int64[Tensor, "b n"]], Items],
    *,
    size: int,
    draws: int = 1000,
) -> dict[NullKind, Null]:
    """Return the null of n images dealt out; one image of one draw holds `size` numbers."""
    groups: dict[NullKind, Tensor] = {"images": torch.zeros(n, dtype=torch.int64)}
    return reassigned(metrics, groups, items, size=size * n, draws=draws)
