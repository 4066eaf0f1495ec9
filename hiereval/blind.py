"""Blind scores: what a metric gives away to a score that sees no image and no model.

A blind space stands in for a model's: its radius, nearness and angle are one number of each text
(its words, characters, place in the data, ...), the same for every image. The task scores it as
it scores any space, so a ceiling is reached by the very statistic that the model is measured by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor

from hiereval.estimates import metrics_of, ones
from hiereval.hooks import Blind
from hiereval.types import Chains, Dataset, Metric, Scores, Space, Task


@dataclass(frozen=True, eq=False)
class BlindSpace:
    """Texts on a line, the least number at the root, and every image beyond the largest.

    A larger number is a larger radius and nearer to every image; the angle at a text is smaller
    the larger the number of the other. A second coordinate tells points apart, and is never
    looked at. With a generator similarities are drawn at random, anew for every pair.
    """

    text: Float64[Tensor, "t 2"]
    image: Float64[Tensor, "i 2"]
    root: Float64[Tensor, " 2"]
    drawn: Generator | None = None

    @property
    def radius(self) -> Float64[Tensor, " t"]:
        return self.text[:, 0] - self.root[0]

    def similarity(self, x: Float[Tensor, "n 2"], y: Float[Tensor, "m 2"]) -> Float[Tensor, "n m"]:
        if self.drawn is not None:
            return torch.rand(len(x), len(y), dtype=torch.float64, generator=self.drawn)
        return -(x[:, None, 0] - y[None, :, 0]).abs()

    def exterior_angle(
        self, general: Float[Tensor, "*n 2"], specific: Float[Tensor, "*n 2"]
    ) -> Float[Tensor, "*n"]:
        return general[..., 0] - specific[..., 0]

    def toward_root(
        self, x: Float[Tensor, "n 2"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s 2"]:
        return x[:, None] - fraction[None, :, None] * (x - self.root)[:, None]

    def centre(self, x: Float[Tensor, "n m 2"]) -> Float[Tensor, "n 2"]:
        return x.mean(dim=1)


def line(number: Float64[Tensor, " t"], n_images: int = 0, drawn: Generator | None = None) -> Space:
    """Return the blind space in which each text is this number."""
    low, high = number.min(), number.max()
    own, other = (torch.arange(n, dtype=torch.float64) for n in (len(number), n_images))
    return BlindSpace(
        torch.stack([number, own], 1),
        torch.stack([high.expand(n_images), other], 1),
        torch.stack([low, low.new_tensor(-1.0)]),
        drawn,
    )


def uniform(n_texts: int, n_images: int) -> Space:
    """Return the blind space of uniformly random similarities."""
    number = torch.arange(n_texts, dtype=torch.float64)
    return line(number, n_images, torch.Generator().manual_seed(0))


def text_spaces(texts: Sequence[str], n_images: int = 0) -> dict[str, Space]:
    """Return the blind spaces of texts; a "minus-" space grades the other way round."""
    numbers: dict[str, list[float]] = {
        "words": [len(text.split()) for text in texts],
        "characters": [len(text) for text in texts],
        "full-stop": [text.rstrip().endswith(".") for text in texts],
        "capital": [text[:1].isupper() for text in texts],
    }
    spaces: dict[str, Space] = {}
    for name, values in numbers.items():
        number = torch.tensor(values, dtype=torch.float64)
        spaces[name] = line(number, n_images)
        spaces[f"minus-{name}"] = line(-number, n_images)
    return spaces


def pool_spaces(dataset: Chains) -> dict[str, Space]:
    """Return the blind spaces for retrieval: also how often a caption stands in the pool, and
    where it first does."""
    pool = torch.from_numpy(dataset.pool)
    often = torch.bincount(pool, minlength=len(dataset.texts)).double()
    place = torch.full((len(dataset.texts),), len(pool))
    place.scatter_reduce_(0, pool, torch.arange(len(pool)), "amin")
    n = len(dataset.images)
    return text_spaces(dataset.texts, n) | {
        "frequency": line(often, n),
        "minus-frequency": line(-often, n),
        "position": line(place.double(), n),
    }


def scores(task: Task, dataset: Dataset, spaces: Mapping[str, Space]) -> dict[str, Scores]:
    """Return what the task makes of each blind space: a task's `blind` in one line."""
    return {
        name: task.score(space, dataset, torch.Generator().manual_seed(0))
        for name, space in spaces.items()
    }


def ceilings(
    task: Task, dataset: Dataset, metrics: Sequence[Metric]
) -> Mapping[str, dict[str, float]]:
    """Return for each metric what the task's blind scores reach, where they are defined."""
    reached = _reached(task, dataset) if isinstance(task, Blind) else {}
    return {
        metric.name: {
            name: values[metric.name] for name, values in reached.items() if metric.name in values
        }
        for metric in metrics
    }


_KNOWN: WeakKeyDictionary[Dataset, dict[str, dict[str, dict[str, float]]]] = WeakKeyDictionary()


def _reached(task: Any, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Return blind score -> metric -> value; computed once for all models of a process."""
    known = _KNOWN.setdefault(dataset, {})
    key = f"{task.name} {task!r}"
    if key not in known:
        known[key] = {name: _values(task, found) for name, found in task.blind(dataset).items()}
    return known[key]


def _values(task: Task, found: Scores) -> dict[str, float]:
    if not len(found.ids):
        return {}
    weights = ones(len(found.ids))
    values = {
        metric.name: metric.statistic(found.items, weights).item()
        for metric in metrics_of(task, found.items)
        if metric.name not in found.undefined
    }
    return {name: value for name, value in values.items() if value == value}
