"""Interpolation: captions met on the way from an image's nearest caption to the root.

The protocol of ProLIP (Chun, Kim, Park, Yun: Probabilistic Language-Image Pre-Training, ICLR 2025,
arXiv 2410.18857) and of MERU's traversals (Desai et al., ICML 2023, arXiv 2304.09172, section 5).
Its precision and recall are not those of the `retrieval` task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.degenerate import points_trouble, undefined
from hiereval.geometry import first_alike
from hiereval.hooks import EndsDecide
from hiereval.item_statistics import F1, Mean
from hiereval.sweep import sweep
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
        spaces = blind.pool_spaces(dataset)
        return {name: self._score(space, dataset, alike=True) for name, space in spaces.items()}

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each image that has a chain; of equally similar captions the earlier is predicted.

        An image whose similarities are NaN is left out.
        """
        return self._score(space, dataset, alike=False)

    def _score(self, space: Space, dataset: Chains, *, alike: bool) -> Scores:
        """Score them; `alike`: all captions are equally near to all images, as in a blind space."""
        assert space.image is not None
        truth = Truth.of(dataset)
        pool = torch.tensor(list(dict.fromkeys(dataset.pool.tolist())))
        ids = [dataset.images[i].name for i in truth.images.tolist()]
        trouble = points_trouble(space, images=True)
        if len(pool) == 1:
            trouble = "there is one caption only"
        if trouble:
            return Scores(ids, {}, undefined(self.metrics, trouble))
        pool = pool[first_alike(space.text[pool]).unique()]  # of one point the first is nearest
        candidates = _exact(space, space.text[pool])
        images = space.image[truth.images[:1] if alike else truth.images]
        start = _nearest(space, _exact(space, images), candidates).expand(len(truth.images))
        texts = torch.full((len(start), self.steps), -1)
        known = start >= 0
        nearest, which = start[known].unique(return_inverse=True)
        fraction = torch.arange(self.steps, dtype=candidates.dtype) / self.steps
        along = _by_ends if isinstance(space, EndsDecide) else _by_all
        best = along(space, candidates[nearest], fraction, candidates)[which]
        texts[known] = _taken(pool, best)
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
            details=lambda i: {
                "predictions": [
                    {"caption": dataset.texts[text], "step": step, "tier": tier}
                    for step, text, tier in truth.met(i, texts[i])
                ]
            },
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


def _by_all(space: Space, starts: Tensor, fraction: Tensor, candidates: Tensor) -> Tensor:
    """Return [n, s] the candidate nearest to each point of the ways from n starts to the root."""
    rows = max(1, CHUNK // (len(fraction) * candidates.shape[1]))
    paths = [
        _nearest(space, space.toward_root(some, fraction).flatten(0, 1), candidates)
        for some in starts.split(rows)
    ]
    return torch.cat(paths).view(-1, len(fraction))


def _by_ends(space: Space, starts: Tensor, fraction: Tensor, candidates: Tensor) -> Tensor:
    """Return the same where the ends of a way decide.

    A candidate that another one is nearer to both ends than is nowhere nearest. Sorted by their
    distance from the root, the others are those at which a sweep from the start changes: a few
    for each start, which are compared with all points of its way.
    """
    distance = -space.similarity(space.root.to(starts.dtype)[None], candidates)[0]
    path = sweep(space, starts, candidates, distance)
    few = torch.bincount(path.image, minlength=len(starts)).tolist()
    found = torch.full((len(starts), len(fraction)), -1)
    for i, places in enumerate(path.position.split(few)):
        own = path.order[places].sort().values  # of equally similar ones the earlier
        points = space.toward_root(starts[i : i + 1], fraction)[0]
        found[i] = _taken(own, _nearest(space, points, candidates[own]))
    return found


def _taken(table: Tensor, at: Tensor) -> Tensor:
    """Return table[at], -1 for -1."""
    return table[at.clamp(min=0)].masked_fill(at < 0, -1)


def _nearest(space: Space, points: Tensor, candidates: Tensor) -> Tensor:
    """Return each point's most similar candidate, -1 where similarities are NaN."""
    best = []
    for part in points.split(max(1, CHUNK // len(candidates))):
        value, index = space.similarity(part, candidates).max(1)
        best.append(index.masked_fill(value.isnan(), -1))
    return torch.cat(best)
