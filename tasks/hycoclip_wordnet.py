"""HyCoCLIP's WordNet metrics: what a wrong ImageNet class has in common with the true one.

Pal et al.: Compositional Entailment Learning for Hyperbolic Vision-Language Models (HyCoCLIP).
ICLR 2025, arXiv 2410.06912, section 4; also reported by UNCHA, PHyCLIP and Hyper3-CLIP. A class's
ancestors are those strictly above it, as in the released code: 3,466 wrong pairs of classes get
full marks in all but TIE. `hierarchical-classification` counts the class itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from hiereval.datasets.hierarchy import Hierarchy
from hiereval.datasets.imagenet import LabelledImages
from hiereval.degenerate import points_trouble, undefined
from hiereval.geometry import similarities
from hiereval.item_statistics import Mean
from hiereval.nulls import Dealt
from hiereval.types import Dataset, Metric, Modality, Null, Scores, Space

CHUNK = 2048  # images scored at once


@dataclass(frozen=True)
class HycoclipWordnet:
    """Mistakes on ImageNet by HyCoCLIP's five measures, prompts averaged as there."""

    template: str = "all"  # the centre of all the dataset's prompts, or one of them

    name: ClassVar[str] = "hycoclip-wordnet"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = LabelledImages
    datasets: ClassVar[tuple[str, ...]] = ("hycoclip-wordnet",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "tie",
            "edges between the predicted and the true class",
            Mean("tie"),
            range=(0.0, inf),
            higher_is_better=False,
            role="headline",
        ),
        Metric(
            "lca",
            "1 + ancestors of the predicted class that are not the true one's",
            Mean("lca"),
            range=(1.0, inf),
            higher_is_better=False,
        ),
        Metric(
            "jaccard",
            "overlap of both classes' strict ancestors",
            Mean("jaccard"),
            role="headline",
        ),
        Metric(
            "hierarchical_precision",
            "share of the predicted class's strict ancestors that are true",
            Mean("precision"),
        ),
        Metric(
            "hierarchical_recall",
            "share of the true class's strict ancestors that are predicted",
            Mean("recall"),
        ),
        Metric("accuracy", "share of images whose class is predicted", Mean("correct")),
    )

    def unfit(self, dataset: LabelledImages) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        if self.template != "all" and self.template not in dataset.templates:
            known = ", ".join(map(repr, dataset.templates))
            return (
                f"the template {self.template!r} is none of this data's ({known}), and 'all' "
                "averages over them"
            )
        return None if len(dataset.classes) > 1 else "there is only one class"

    def score(self, space: Space, dataset: LabelledImages, generator: Generator) -> Scores:
        """Predict the class (ties: the first) whose averaged prompt is most similar."""
        assert space.image is not None
        ids = [image.name for image in dataset.images]
        templates = dataset.templates if self.template == "all" else (self.template,)
        rows = [dataset.templates.index(template) for template in templates]
        prompts = space.text[torch.from_numpy(dataset.class_prompts[rows].T)]  # [c, t, d]
        classes = space.centre(prompts) if len(rows) > 1 else prompts[:, 0]
        trouble = points_trouble(space, images=True)
        lost = (~classes.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
        if trouble is None and lost:
            trouble = f"the prompts of the class {dataset.classes[lost[0]]!r} cancel out"
        if trouble is not None:
            return Scores(ids, {}, undefined(self.metrics, trouble))
        chunks = space.image.split(CHUNK)
        predicted = torch.cat([similarities(space, x, classes).argmax(dim=1).cpu() for x in chunks])
        labels = torch.from_numpy(dataset.labels)
        worth = Worth.of(dataset.hierarchy)
        dealt = Dealt(
            self.metrics,
            groups=torch.zeros_like(labels),
            items=lambda deals: worth.items(labels, predicted[deals]),
            size=len(worth.tables) * len(labels),
        )
        return Scores(
            ids=ids,
            items={
                "predicted": predicted,
                "label": labels,
                **worth.items(labels, predicted),
            },
            summary={"templates": list(templates)},
            details=lambda i: {
                "class": dataset.classes[int(labels[i])],
                "predicted_class": dataset.classes[int(predicted[i])],
            },
            nulls={"images": Null(dealt, draws=1000 if len(labels) <= 10_000 else 200)},
        )

    def blind(self, dataset: LabelledImages) -> dict[str, Scores]:
        """Return what uniformly random answers are worth: the mean over all classes.

        An item is an image; without images (`hycoclip-wordnet:classes`) it is a class.
        """
        worth = Worth.of(dataset.hierarchy)
        labels = torch.from_numpy(dataset.labels)
        items = {key: table.mean(dim=1)[labels] for key, table in worth.tables.items()}
        names = [image.name for image in dataset.images] or list(dataset.classes)
        return {"uniform": Scores(names, items)}


@dataclass(frozen=True, eq=False)
class Worth:
    """What each answer is worth for each true class: tables [true, predicted] by item.

    With A(c) all nodes strictly above c: tie is the shortest path, lca = |A(p)| - |A(p) & A(t)| + 1
    (not symmetric), jaccard |&| / |or|, precision |&| / |A(p)|, recall |&| / |A(t)|. The last three
    are NaN where a class has nothing above it.
    """

    tables: dict[str, Float64[Tensor, "c c"]]

    @classmethod
    def of(cls, hierarchy: Hierarchy) -> Worth:
        strictly = hierarchy.ancestors & ~np.eye(len(hierarchy.nodes), dtype=bool)
        above = torch.from_numpy(strictly[hierarchy.classes]).double()
        shared, size = above @ above.T, above.sum(dim=1)
        true, predicted = size[:, None], size[None, :]
        return cls(
            {
                "tie": torch.from_numpy(hierarchy.distance).double(),
                "lca": predicted - shared + 1,
                "jaccard": shared / (true + predicted - shared),
                "precision": shared / predicted,
                "recall": shared / true,
                "correct": torch.eye(len(size), dtype=torch.float64),
            }
        )

    def items(
        self, true: Int64[Tensor, " n"], predicted: Int64[Tensor, "*b n"]
    ) -> dict[str, Float64[Tensor, "*b n"]]:
        """Return what these answers are worth."""
        return {key: table[true, predicted] for key, table in self.tables.items()}
