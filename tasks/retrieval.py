"""Hierarchical retrieval: an image's captions from general to specific, by growing the radius.

Alper, Averbuch-Elor: Emergent Visual-Semantic Hierarchies in Image-Text Representations.
ECCV 2024, arXiv 2407.08521, section 5, and its released evaluation. Precision under equally
spaced radii depends on how the radius is scaled; the rank sweep does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.degenerate import points_trouble, radii_trouble, undefined
from hiereval.item_statistics import F1, Mean
from hiereval.sweep import radius_levels, rank_levels, sweep
from hiereval.truth import Crossed, Found, Truth
from hiereval.types import Chains, Dataset, Metric, Modality, Null, NullKind, Scores, Space

SWEEPS = {
    "": "over equally spaced radii",
    "rank_": "over equally filled radii",
    "rank_full_": "over every distinct radius",
}


def metrics(k: int) -> tuple[Metric, ...]:
    """Return the metrics of chains of k captions."""
    return (
        *(metric for prefix, over in SWEEPS.items() for metric in _precision_recall(prefix, over)),
        *(
            Metric(
                f"recall_tier_{j}",
                f"share of images whose caption of tier {j} is found {SWEEPS['']}",
                Mean("tiers", j - 1),
            )
            for j in range(1, k + 1)
        ),
        Metric(
            "ordered_recall",
            "longest run of increasing tiers on the path, over the number of tiers",
            Mean("ordered_recall"),
        ),
        Metric(
            "mean_predictions",
            "distinct captions predicted for an image",
            Mean("predictions"),
            range=(0.0, float("inf")),
            higher_is_better=None,
            role="descriptive",
        ),
    )


def _precision_recall(prefix: str, over: str) -> tuple[Metric, ...]:
    precision, recall = Mean(f"{prefix}precision"), Mean(f"{prefix}recall")
    return (
        Metric(precision.key, f"share of predicted captions that are true, {over}", precision),
        Metric(recall.key, f"share of tiers that are found, {over}", recall),
        Metric(
            f"{prefix}f1",
            f"harmonic mean of the two averages, {over}",
            F1(precision, recall),
            role="headline" if prefix == "rank_" else "quality",
        ),
    )


@dataclass(frozen=True)
class Retrieval:
    """Captions of an image within growing radii: precision, recall and order, two sweeps."""

    steps: int = 50  # levels of the radius

    name: ClassVar[str] = "retrieval"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("hierarcaps",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = metrics(4)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"The steps {self.steps} must be at least 1.")

    def unfit(self, dataset: Chains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if dataset.chain_image is not None else f"{dataset.name} has no images"

    def metrics_of(self, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
        """Return the metrics of chains of as many tiers as the items have."""
        return metrics(items["tiers"].shape[1]) if items else self.metrics

    def blind(self, dataset: Chains) -> Mapping[str, Scores]:
        """Return what sweeps reach that predict the same captions for every image."""
        spaces = blind.pool_spaces(dataset)
        return {name: self._score(space, dataset, alike=True) for name, space in spaces.items()}

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each image that has a chain.

        Captions are candidates once, however often they stand in the pool; of equally similar
        ones the earlier is predicted. An image whose similarities are NaN is left out.
        """
        return self._score(space, dataset, alike=False)

    def _score(self, space: Space, dataset: Chains, *, alike: bool) -> Scores:
        """Score them; `alike`: all captions are equally near to all images, as in a blind space."""
        assert space.image is not None
        truth = Truth.of(dataset)
        pool = torch.tensor(list(dict.fromkeys(dataset.pool.tolist())))
        radius = space.radius[pool]
        all_metrics = metrics(truth.chains.shape[1])
        ids = [dataset.images[i].name for i in truth.images.tolist()]
        trouble = radii_trouble(radius) or points_trouble(space, images=True)
        if trouble:
            nothing = torch.full((len(ids), truth.chains.shape[1]), torch.nan)
            return Scores(ids, {"tiers": nothing}, undefined(all_metrics, trouble))
        images = space.image[truth.images[:1] if alike else truth.images]
        path = sweep(space, images, space.text[pool], radius)
        levels = radius_levels(radius, self.steps)
        texts = _texts(pool, path.at(path.count_within(levels)))
        by_rank = _texts(pool, path.at(path.count_within(rank_levels(radius, self.steps))))
        image, best = path.everywhere()
        predicted = {
            "": _predictions(texts),
            "rank_": _predictions(by_rank),
            "rank_full_": (image, pool[best]),
        }
        by_sweep = {
            prefix: truth.found_by_all(text) if alike else truth.found(image, text)
            for prefix, (image, text) in predicted.items()
        }
        found, texts = by_sweep[""], texts.expand(len(ids), -1)
        return Scores(
            ids=ids,
            items={
                "precision": found.precision,
                "recall": found.recall,
                "tiers": found.tiers,
                "predictions": found.predictions,
                "ordered_recall": truth.ordered_recall(texts),
                **_named("rank_", by_sweep["rank_"]),
                **_named("rank_full_", by_sweep["rank_full_"]),
            },
            nulls={} if alike else _nulls(all_metrics, truth, predicted, texts),
            details=lambda i: {
                "predictions": [
                    {"caption": dataset.texts[text], "level": levels[level].item(), "tier": tier}
                    for level, text, tier in truth.met(i, texts[i])
                ]
            },
        )


def _texts(pool: Tensor, best: Tensor) -> Tensor:
    return pool[best.clamp(min=0)].masked_fill(best < 0, -1)


def _predictions(texts: Tensor) -> tuple[Tensor, Tensor]:
    """Return (image, text) of every prediction of paths [n, l]."""
    image, level = (texts >= 0).nonzero(as_tuple=True)
    return image, texts[image, level]


def _named(prefix: str, found: Found) -> dict[str, Tensor]:
    return {f"{prefix}precision": found.precision, f"{prefix}recall": found.recall}


def _nulls(
    all_metrics: tuple[Metric, ...],
    truth: Truth,
    predicted: Mapping[str, tuple[Tensor, Tensor]],
    texts: Tensor,
) -> dict[NullKind, Null]:
    """Images dealt out: the predictions stay, only the truth that they are compared with moves."""

    @cache
    def crossed() -> tuple[dict[str, Crossed], Tensor]:
        by_sweep = {prefix: truth.crossed(*pairs) for prefix, pairs in predicted.items()}
        return by_sweep, by_sweep[""].ordered_recall(truth, texts)

    def items(dealt: Tensor) -> dict[str, Tensor]:
        by_sweep, in_order = crossed()
        found = {}
        for prefix, pairs in by_sweep.items():
            at = pairs.at(dealt)
            found[f"{prefix}precision"], tiers = pairs.found(at)
            found[f"{prefix}recall"] = tiers.mean(-1)
            if not prefix:
                found |= {"tiers": tiers, "ordered_recall": in_order[at]}
                found["ordered_recall"][:, pairs.size == 0] = torch.nan
        return found

    return nulls.of_images(all_metrics, len(truth.images), items, size=80)
