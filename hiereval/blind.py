"""Blind scores: what a metric gives away to a score that sees no image and no model.

A blind space stands in for a model's: its radius, nearness and angle are one number of each text
(its words, characters, place in the data, ...), the same for every image. The task scores it as
it scores any space, so a ceiling is reached by the very statistic that the model is measured by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hiereval.estimates import ones
from hiereval.types import Blind, Dataset, Metric, Scores, Space, Task


@dataclass(frozen=True, eq=False)
class BlindSpace:
    """A space in which each text is one number, and images are told apart but never looked at.

    A larger number is a larger radius, nearer to every image, and a smaller exterior angle for
    whatever is more general.
    """

    score: Float64[Tensor, " t"]
    n_images: int

    @property
    def text(self) -> Float64[Tensor, "t 1"]:
        return self.score[:, None]

    @property
    def image(self) -> Float64[Tensor, "i 1"]:
        return torch.arange(self.n_images, dtype=torch.float64)[:, None]

    @property
    def root(self) -> Float64[Tensor, " 1"]:
        return torch.zeros(1, dtype=torch.float64)

    @property
    def radius(self) -> Float64[Tensor, " t"]:
        return self.score

    def similarity(self, x: Float[Tensor, "n 1"], y: Float[Tensor, "m 1"]) -> Float[Tensor, "n m"]:
        return y.T.expand(len(x), len(y))

    def exterior_angle(
        self, general: Float[Tensor, "*n 1"], specific: Float[Tensor, "*n 1"]
    ) -> Float[Tensor, "*n"]:
        return -specific[..., 0]

    def toward_root(
        self, x: Float[Tensor, "n 1"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s 1"]:
        return x[:, None].expand(len(x), len(fraction), 1)

    def centre(self, x: Float[Tensor, "n m 1"]) -> Float[Tensor, "n 1"]:
        return x.mean(dim=1)


def text_spaces(texts: Sequence[str], n_images: int = 0) -> dict[str, Space]:
    """Return the blind spaces of texts; a "minus-" space grades the other way round."""
    scores: dict[str, Iterable[float]] = {
        "words": [len(text.split()) for text in texts],
        "characters": [len(text) for text in texts],
        "full-stop": [text.rstrip().endswith(".") for text in texts],
        "capital": [text[:1].isupper() for text in texts],
    }
    spaces: dict[str, Space] = {}
    for name, values in scores.items():
        score = torch.tensor(list(values), dtype=torch.float64)
        spaces[name] = BlindSpace(score, n_images)
        spaces[f"minus-{name}"] = BlindSpace(-score, n_images)
    return spaces


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
        for metric in found.metrics or task.metrics
        if metric.name not in found.undefined
    }
    return {name: value for name, value in values.items() if value == value}
