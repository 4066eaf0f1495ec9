"""Interpolation: captions met on the way from an image's nearest caption to the root.

The protocol of ProLIP (Chun, Kim, Park, Yun: Probabilistic Language-Image Pre-Training, ICLR 2025,
arXiv 2410.18857) and of MERU's traversals (Desai et al., ICML 2023, arXiv 2304.09172, section 5).
Its precision and recall are not those of the `retrieval` task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.degenerate import points_trouble, undefined
from hiereval.estimates import F1, Mean
from hiereval.truth import Truth
from hiereval.types import Chains, Dataset, Metric, Modality, Null, NullKind, Scores, Space

CHUNK = 1 << 24  # similarities held at once


@dataclass(frozen=True)
class Interpolation:
    """Captions nearest to points between an image's nearest caption and the root."""

    steps: int = 50  # points on the way; the root itself is none of them

    name: ClassVar[str] = "interpolation"
    version: ClassVar[int] = 2  # 2: in float64
    dataset_type: ClassVar[type[Dataset]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("hierarcaps",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "precision",
            "share of predicted captions that are true, interpolating to the root",
            Mean("precision"),
        ),
        Metric(
            "recall", "share of tiers that are found, interpolating to the root", Mean("recall")
        ),
        Metric(
            "any_recall",
            "share of images for which any true caption is found, interpolating to the root",
            Mean("any"),
        ),
        Metric(
            "f1",
            "harmonic mean of the averaged precision and recall",
            F1(Mean("precision"), Mean("recall")),
            role="headline",
        ),
    )

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"The steps {self.steps} must be at least 1.")

    def unfit(self, dataset: Chains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if dataset.chain_image is not None else f"{dataset.name} has no images"

    def blind(self, dataset: Chains) -> Mapping[str, Scores]:
        """Return what paths reach that are the same for every image."""
        return blind.scores(self, dataset, blind.pool_spaces(dataset))

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each image that has a chain; of equally similar captions the earlier is predicted.

        An image whose similarities are NaN is left out.
        """
        assert space.image is not None
        truth = Truth.of(dataset)
        pool = torch.tensor(list(dict.fromkeys(dataset.pool.tolist())))
        ids = [dataset.images[i].name for i in truth.images.tolist()]
        trouble = points_trouble(space, images=True)
        if len(pool) == 1:
            trouble = "there is one caption only"
        if trouble:
            return Scores(ids, {}, undefined(self.metrics, trouble))
        candidates = _exact(space, space.text[pool])
        start = _nearest(space, _exact(space, space.image[truth.images]), candidates)
        texts = torch.full((len(start), self.steps), -1)
        known = start >= 0
        nearest, which = start[known].unique(return_inverse=True)
        fraction = torch.arange(self.steps, dtype=candidates.dtype) / self.steps
        rows = max(1, CHUNK // (self.steps * candidates.shape[1]))
        paths = [
            _nearest(space, space.toward_root(some, fraction).flatten(0, 1), candidates)
            for some in candidates[nearest].split(rows)
        ]
        texts[known] = pool[torch.cat(paths)].view(-1, self.steps)[which]
        image, step = (texts >= 0).nonzero(as_tuple=True)
        predicted = image, texts[image, step]
        found = truth.found(*predicted)
        return Scores(
            ids=ids,
            items={
                "precision": found.precision,
                "recall": found.recall,
                "any": found.tiers.amax(1),
            },
            nulls=self._nulls(truth, predicted),
            details=lambda i: _path(dataset, truth, texts, i),
        )

    def _nulls(self, truth: Truth, predicted: tuple[Tensor, Tensor]) -> dict[NullKind, Null]:
        """Images dealt out: the paths stay, only the truth that they are compared with moves."""
        crossed = cache(lambda: truth.crossed(*predicted))

        def items(dealt: Tensor) -> dict[str, Tensor]:
            precision, tiers = crossed().found(crossed().at(dealt))
            return {"precision": precision, "recall": tiers.mean(-1), "any": tiers.amax(-1)}

        return nulls.of_images(self.metrics, len(truth.images), items, size=40)


def _exact(space: Space, x: Tensor) -> Tensor:
    """Return the points in float64, unit vectors to its precision: near the root captions'
    similarities to a query differ by less than float32 resolves."""
    return space.toward_root(x.double(), torch.zeros(1, dtype=torch.float64))[:, 0]


def _nearest(space: Space, points: Tensor, candidates: Tensor) -> Tensor:
    """Return each point's most similar candidate, -1 where similarities are NaN."""
    best = []
    for part in points.split(max(1, CHUNK // len(candidates))):
        value, index = space.similarity(part, candidates).max(1)
        best.append(index.masked_fill(value.isnan(), -1))
    return torch.cat(best)


def _path(dataset: Chains, truth: Truth, texts: Tensor, i: int) -> Mapping[str, Any]:
    """Return the captions met for image i, each with the first step that gives it."""
    path: list[dict[str, Any]] = []
    last = -1
    for step, (text, tier) in enumerate(
        zip(texts[i].tolist(), truth.tier(texts)[i].tolist(), strict=True)
    ):
        if text not in (-1, last):
            tier = tier + 1 if tier >= 0 else None
            path.append({"caption": dataset.texts[text], "step": step, "tier": tier})
            last = text
    return {"predictions": path}
