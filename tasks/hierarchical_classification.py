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
from math import inf
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from hiereval.datasets.hierarchy import Hierarchy
from hiereval.datasets.imagenet import LabelledImages
from hiereval.degenerate import points_trouble, undefined
from hiereval.estimates import Mean
from hiereval.types import Dataset, Metric, Modality, Scores, Space

CHUNK = 2048  # images scored at once


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
        rank = self._superclass_rank(space, dataset, rows)
        items: dict[str, Tensor] = {
            "predicted": predicted,
            "label": labels,
            "correct": (predicted == labels).double(),
            "superclass_rank": rank,
            "superclass_1": (rank < 1).double().where(rank.isfinite(), rank),
            "superclass_5": (rank < 5).double().where(rank.isfinite(), rank),
            **mistakes(dataset.hierarchy, dataset.labels, predicted.numpy(), self.count_root),
        }
        return Scores(
            ids=ids,
            items=items,
            undefined=_undefined(items, dataset),
            details=lambda i: {
                "class": dataset.classes[int(labels[i])],
                "predicted_class": dataset.classes[int(predicted[i])],
            },
        )

    def _superclass_rank(
        self, space: Space, dataset: LabelledImages, rows: slice
    ) -> Float[Tensor, " i"]:
        """Return the place of each image's superclass, 0 the best; NaN where it has none."""
        assert space.image is not None
        true = torch.from_numpy(dataset.superclass_of[dataset.labels])
        if not dataset.superclasses:
            return torch.full((len(true),), torch.nan, dtype=torch.float64)
        ranks = []
        for chunk, target in zip(space.image.split(CHUNK), true.split(CHUNK), strict=True):
            similarity = _similarity(space, chunk, dataset.superclass_prompts[rows]).cpu()
            own = similarity.gather(1, target.clamp(min=0)[:, None])
            earlier = torch.arange(len(dataset.superclasses))[None] < target[:, None]
            ahead = (similarity > own) | ((similarity == own) & earlier)
            ranks.append(ahead.sum(dim=1).double().masked_fill(target < 0, torch.nan))
        return torch.cat(ranks)


def _similarity(
    space: Space, images: Float[Tensor, "m d"], prompts: np.ndarray
) -> Float[Tensor, "m c"]:
    """Return the similarity of images and classes, the mean over the rows of prompts [t, c]."""
    parts = [space.similarity(images, space.text[torch.from_numpy(row)]) for row in prompts]
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
