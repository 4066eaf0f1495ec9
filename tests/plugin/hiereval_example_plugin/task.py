"""A task of one number: how much further out the most specific captions stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from hiereval.types import Chains, Metric, Modality, Scores, Space


def mean(items: Mapping[str, Tensor], weights: Tensor) -> Tensor:
    """[b, n] weights -> [b] weighted means."""
    return (weights * items["growth"].double()).sum(1) / weights.sum(1)


@dataclass(frozen=True)
class TierRadius:
    """Radius of the last tier less that of the first, over the mean radius."""

    scale: float = 1.0

    name: ClassVar[str] = "tier-radius"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Chains]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("shapes",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("growth", "Growth of the radius along a chain.", mean, (-1e9, 1e9)),
    )

    def unfit(self, dataset: Chains) -> str | None:
        """Return None: every chain has a first and a last tier."""
        return None

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Return one growth a chain."""
        radius = space.radius
        first, last = (torch.from_numpy(dataset.chains[:, tier]) for tier in (0, -1))
        average = radius.mean()
        if float(average) == 0.0:
            growth = torch.full((len(first),), float("nan"))
        else:
            growth = self.scale * (radius[last] - radius[first]) / average
        return Scores([str(i) for i in range(len(first))], {"growth": growth})
