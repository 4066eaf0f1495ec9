"""Hierarchical classification: how far off in the hierarchy are an image's wrong answers?

Zero-shot classes from prompts (Radford et al., CLIP, ICML 2021). Mistakes are weighed as in Dekel
et al., Large Margin Hierarchical Classification, ICML 2004 (tree-induced error), Bertinetto et
al., Making Better Mistakes, CVPR 2020, arXiv 1912.09393 (height of the lowest common ancestor),
Kiritchenko et al., 2005 (hierarchical precision and recall); the set as reported for ImageNet and
WordNet by Pal et al., HyCoCLIP, ICLR 2025, arXiv 2410.06912. Superclasses: BREEDS, Santurkar et
al., ICLR 2021, arXiv 2008.04859.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32, Int64
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.datasets.hierarchy import Hierarchy
from hiereval.datasets.imagenet import LabelledImages
from hiereval.degenerate import points_trouble, undefined
from hiereval.geometry import similarities
from hiereval.item_statistics import Mean
from hiereval.types import Dataset, Metric, Modality, Null, NullKind, Scores, Space

CHUNK = 2048  # images scored at once
NUMBERS = 1 << 24  # draws x images that are dealt out


def _metrics() -> tuple[Metric, ...]:
    def metric(name: str, key: str, description: str, **more: Any) -> Metric:
        return Metric(name, description, Mean(key), **more)

    far: dict[str, Any] = {"range": (0.0, inf), "higher_is_better": False}
    return (
        metric("accuracy", "correct", "share of images whose class is the most similar one"),
        metric(
            "tree_induced_error", "tie", "edges between the predicted and the true class", **far
        ),
        metric(
            "lca_height", "height", "height of their lowest common ancestor (0: correct)", **far
        ),
        metric("mistake_severity", "severity", "height of that ancestor over the mistakes", **far),
        metric("lca_depth", "depth", "depth of that ancestor", range=(0.0, inf)),
        metric("jaccard", "jaccard", "overlap of both classes' ancestors"),
        metric("hierarchical_precision", "precision", "share of predicted ancestors that are true"),
        metric("hierarchical_recall", "recall", "share of true ancestors that are predicted"),
        metric("superclass_r1", "superclass_1", "share of images whose superclass comes first"),
        metric("superclass_r5", "superclass_5", "share whose superclass is among the first 5"),
    )


@dataclass(frozen=True)
class HierarchicalClassification:
    """Zero-shot classification whose mistakes count by their distance in the class hierarchy."""

    template: str = "a photo of a {}."  # one of the dataset's, or "all": mean similarity over them
    count_root: bool = False  # whether the root counts as an ancestor of a class

    name: ClassVar[str] = "hierarchical-classification"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = LabelledImages
    datasets: ClassVar[tuple[str, ...]] = ("breeds", "imagenet-wordnet")
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = _metrics()

    def unfit(self, dataset: LabelledImages) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        if self.template != "all" and self.template not in dataset.templates:
            known = ", ".join(map(repr, dataset.templates))
            return (
                f"the template {self.template!r} is none of this data's ({known}); a line in "
                "imagenet/templates.txt adds one, and 'all' averages over them"
            )
        return None if len(dataset.classes) > 1 else "there is only one class"

    def blind(self, dataset: LabelledImages) -> Mapping[str, Scores]:
        """Return what answers reach that are random, or the same for every image."""
        n = len(dataset.images)
        spaces = blind.text_spaces(dataset.texts, n) | {
            "uniform": blind.uniform(len(dataset.texts), n)
        }
        return blind.scores(self, dataset, spaces)

    def score(self, space: Space, dataset: LabelledImages, generator: Generator) -> Scores:
        """Predict a class (ties: the first) and a superclass ranking for every image."""
        assert space.image is not None
        ids = [image.name for image in dataset.images]
        trouble = points_trouble(space, images=True)
        if trouble is not None:
            return Scores(ids, {}, undefined(self.metrics, trouble))
        rows = slice(None)
        if self.template != "all":
            which = dataset.templates.index(self.template)
            rows = slice(which, which + 1)
        labels = torch.from_numpy(dataset.labels)
        predicted = torch.cat(
            [
                _similarity(space, chunk, dataset.class_prompts[rows]).argmax(dim=1).cpu()
                for chunk in space.image.split(CHUNK)
            ]
        )
        ranks = self._superclass_ranks(space, dataset, rows)
        rank = _own_rank(ranks, torch.from_numpy(dataset.superclass_of)[labels])
        items: dict[str, Tensor] = {
            "predicted": predicted,
            "label": labels,
            "correct": (predicted == labels).double(),
            "superclass_rank": rank,
            **_first(rank),
            **mistakes(dataset.hierarchy, dataset.labels, predicted.numpy(), self.count_root),
        }
        return Scores(
            ids=ids,
            items=items,
            undefined=_undefined(items, dataset),
            nulls=self._nulls(dataset, predicted, ranks),
            details=lambda i: {
                "class": dataset.classes[int(labels[i])],
                "predicted_class": dataset.classes[int(predicted[i])],
            },
        )

    def _superclass_ranks(
        self, space: Space, dataset: LabelledImages, rows: slice
    ) -> Int32[Tensor, "i s"]:
        """Return the place of every superclass at each image, 0 the best; ties: the first."""
        assert space.image is not None
        if not dataset.superclasses:
            return torch.zeros(len(dataset.images), 0, dtype=torch.int32)
        parts = [
            _similarity(space, chunk, dataset.superclass_prompts[rows])
            .sort(dim=1, descending=True, stable=True)
            .indices.argsort(dim=1)
            for chunk in space.image.split(CHUNK)
        ]
        return torch.cat(parts).to("cpu", torch.int32)

    def _nulls(
        self, dataset: LabelledImages, predicted: Tensor, ranks: Tensor
    ) -> dict[NullKind, Null]:
        """Images dealt out to the labels, each with the answer that it got."""
        labels = torch.from_numpy(dataset.labels)
        true = torch.from_numpy(dataset.superclass_of)[labels]
        known, label = labels.unique(return_inverse=True)
        given, answer = predicted.unique(return_inverse=True)

        @cache
        def worth() -> dict[str, Tensor]:
            pairs = torch.cartesian_prod(known, given).numpy().T
            return mistakes(dataset.hierarchy, pairs[0], pairs[1], self.count_root) | {
                "correct": torch.from_numpy(pairs[0] == pairs[1]).double()
            }

        def items(dealt: Tensor) -> dict[str, Tensor]:
            pair = label * len(given) + answer[dealt]
            rank = _own_rank(ranks[dealt], true.expand_as(dealt))
            return {key: table[pair] for key, table in worth().items()} | _first(rank)

        draws = min(1000, max(200, NUMBERS // len(labels)))
        return nulls.of_images(
            self.metrics, len(labels), items, size=20 + ranks.shape[1], draws=draws
        )


def _own_rank(ranks: Int32[Tensor, "*b s"], own: Int64[Tensor, "*b"]) -> Float64[Tensor, "*b"]:
    """Return the place of each image's superclass; NaN where it has none (-1)."""
    if not ranks.shape[-1]:
        return torch.full(own.shape, torch.nan, dtype=torch.float64)
    rank = ranks.gather(-1, own.clamp(min=0)[..., None])[..., 0].double()
    return rank.masked_fill(own < 0, torch.nan)


def _first(rank: Float64[Tensor, "*b"]) -> dict[str, Tensor]:
    return {
        "superclass_1": (rank < 1).double().where(rank.isfinite(), rank),
        "superclass_5": (rank < 5).double().where(rank.isfinite(), rank),
    }


def _similarity(
    space: Space, images: Float[Tensor, "m d"], prompts: np.ndarray
) -> Float[Tensor, "m c"]:
    """Return the similarity of images and classes, the mean over the rows of prompts [t, c]."""
    parts = [similarities(space, images, space.text[torch.from_numpy(row)]) for row in prompts]
    return torch.stack(parts).mean(dim=0) if len(parts) > 1 else parts[0]


def mistakes(
    hierarchy: Hierarchy,
    true: Int64[np.ndarray, " n"],
    predicted: Int64[np.ndarray, " n"],
    count_root: bool = False,
) -> dict[str, Tensor]:
    """Return what each prediction is worth in the hierarchy, float64 [n] each.

    A class's ancestors hold the class itself; the root only if `count_root`, since all share it.
    `severity` is NaN for a correct prediction.
    """
    pairs, where = np.unique(np.stack([true, predicted]), axis=1, return_inverse=True)
    t, p = pairs
    lowest = np.concatenate(
        [
            hierarchy.lowest_common_ancestor(t[i : i + CHUNK], p[i : i + CHUNK])
            for i in range(0, len(t), CHUNK)
        ]
    )
    above = hierarchy.ancestors[hierarchy.classes].copy()
    if not count_root:
        above[:, 0] = hierarchy.classes == 0  # a class that is the root keeps itself
    shared = (above.astype(np.float64) @ above.T.astype(np.float64))[t, p]
    size = above.sum(axis=1)
    height = hierarchy.height[lowest].astype(np.float64)
    worth = {
        "tie": hierarchy.distance[t, p].astype(np.float64),
        "height": np.where(t == p, 0.0, height),
        "severity": np.where(t == p, np.nan, height),
        "depth": hierarchy.depth[lowest].astype(np.float64),
        "jaccard": shared / (size[t] + size[p] - shared),
        "precision": shared / size[p],
        "recall": shared / size[t],
    }
    where = where.reshape(-1)
    return {key: torch.from_numpy(values[where]) for key, values in worth.items()}


def _undefined(items: Mapping[str, Tensor], dataset: LabelledImages) -> dict[str, str]:
    """Return why a metric has no value here."""
    reasons = {}
    if bool(items["correct"].all()):
        reasons["mistake_severity"] = "there is no mistake"
    if not dataset.superclasses:
        both = "this data names no superclasses (imagenet/superclasses.txt)"
        reasons |= {"superclass_r1": both, "superclass_r5": both}
    elif len(dataset.superclasses) <= 5:
        reasons["superclass_r5"] = f"there are only {len(dataset.superclasses)} superclasses"
    return reasons
