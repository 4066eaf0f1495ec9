"""Generation: precision and recall of caption chains that a model wrote itself.

The measures are those of hierarchical retrieval in Alper & Averbuch-Elor: Emergent
Visual-Semantic Hierarchies in Image-Text Representations. ECCV 2024, arXiv 2407.08521; the
predictions come from a file instead of a sweep over the radius ('hiereval score').
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Generator, Tensor

from hiereval import nulls
from hiereval.datasets import predictions
from hiereval.datasets.predictions import PredictedChains
from hiereval.hooks import Answers
from hiereval.item_statistics import F1, Mean
from hiereval.truth import Crossed, Truth
from hiereval.types import Dataset, Metric, Modality, Null, NullKind, Scores, Space


def metrics(k: int) -> tuple[Metric, ...]:
    """Return the metrics of chains of k captions."""
    precision, recall = Mean("precision"), Mean("recall")
    return (
        Metric("precision", "share of generated captions that are true", precision),
        Metric("recall", "share of tiers that are found", recall),
        Metric("f1", "harmonic mean of the two averages", F1(precision, recall)),
        *(
            Metric(
                f"recall_tier_{j}",
                f"share of images whose caption of tier {j} is found",
                Mean("tiers", j - 1),
            )
            for j in range(1, k + 1)
        ),
        Metric(
            "ordered_recall",
            "longest run of increasing tiers in the chain, over the number of tiers",
            Mean("ordered_recall"),
        ),
        Metric(
            "mean_predictions",
            "distinct captions generated for an image",
            Mean("predictions"),
            range=(0.0, float("inf")),
            higher_is_better=None,
            role="descriptive",
        ),
    )


@dataclass(frozen=True)
class Generation:
    """Caption chains from a predictions file against the true ones (see 'hiereval score')."""

    name: ClassVar[str] = "generation"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = PredictedChains
    datasets: ClassVar[tuple[str, ...]] = ("hierarcaps",)
    modalities: ClassVar[frozenset[Modality]] = frozenset()
    metrics: ClassVar[tuple[Metric, ...]] = metrics(4)

    def metrics_of(self, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
        """Return the metrics of chains of as many tiers as the items have."""
        return metrics(items["tiers"].shape[1]) if items else self.metrics

    def unfit(self, dataset: PredictedChains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None

    def read_answers(self, path: Path, truth: Dataset) -> Answers:
        """Return a predictions file's chains beside the true ones."""
        return predictions.read_answers(path, truth)

    def score(self, space: Space, dataset: PredictedChains, generator: Generator) -> Scores:
        """Score each image that has a true chain; strings count once and match exactly.

        An image without a generated caption has found nothing: recall 0, precision undefined.
        """
        truth = replace(Truth.of(dataset.truth), n_texts=len(dataset.vocabulary))
        paths = torch.from_numpy(dataset.paths)[truth.images]
        image, place = (paths >= 0).nonzero(as_tuple=True)
        found = truth.found(image, paths[image, place])
        items = {
            "precision": found.precision,
            "recall": found.recall.nan_to_num(0.0),
            "tiers": found.tiers.nan_to_num(0.0),
            "predictions": found.predictions.nan_to_num(0.0),
            "ordered_recall": truth.ordered_recall(paths).nan_to_num(0.0),
        }
        every = metrics(truth.chains.shape[1])
        reason = "no caption was generated for any image"
        nothing = bool(found.precision.isnan().all())
        tiers = truth.tier(paths)
        return Scores(
            ids=[dataset.images[i].name for i in truth.images.tolist()],
            items=items,
            undefined={"precision": reason, "f1": reason} if nothing else {},
            nulls=_nulls(every, truth, (image, paths[image, place]), paths),
            details=lambda i: {
                "predictions": [
                    {"caption": dataset.vocabulary[text], "tier": tier + 1 if tier >= 0 else None}
                    for text, tier in zip(paths[i].tolist(), tiers[i].tolist(), strict=True)
                    if text >= 0
                ]
            },
        )


def _nulls(
    every: tuple[Metric, ...], truth: Truth, predicted: tuple[Tensor, Tensor], paths: Tensor
) -> dict[NullKind, Null]:
    """Images dealt out: the chains stay, only the truth that they are compared with moves."""

    @cache
    def crossed() -> tuple[Crossed, Tensor]:
        pairs = truth.crossed(*predicted)
        return pairs, pairs.ordered_recall(truth, paths)

    def items(dealt: Tensor) -> dict[str, Tensor]:
        pairs, in_order = crossed()
        at = pairs.at(dealt)
        precision, tiers = pairs.found(at)
        tiers = tiers.nan_to_num(0.0)
        return {
            "precision": precision,
            "recall": tiers.mean(-1),
            "tiers": tiers,
            "ordered_recall": in_order[at],
        }

    return nulls.of_images(every, len(truth.images), items, size=40)
