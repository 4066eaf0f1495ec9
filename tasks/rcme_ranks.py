"""RCME ranks: order of the radii and names found for an image over the ranks of a taxonomy.

Sastry et al.: Global and Local Entailment Learning for Natural World Imagery (RCME), ICCV 2025,
arXiv 2506.21476; the released evaluation is github.com/mvrl/RCME at 05e49d37,
rcme/eval/order_metrics.py. Rows that repeat count each time, and equal radii as the right order;
the tasks `taxonomy` and `taxonomy-retrieval` do neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.datasets.ranked_names import RankedNames
from hiereval.degenerate import points_trouble, radii_trouble, undefined
from hiereval.item_statistics import F1, Mean
from hiereval.ranks import kendall, pair_signs
from hiereval.sweep import radius_levels, sweep
from hiereval.truth import Truth, by_image
from hiereval.types import Dataset, Metric, Modality, Null, NullKind, Scores, Space

DRAWS = 200  # of each null
PRECISION, RECALL = Mean("precision"), Mean("recall")


@dataclass(frozen=True)
class RcmeRanks:
    """Kendall's tau of radius and rank, precision and recall over equally spaced radii."""

    steps: int = 50  # levels of the radius

    name: ClassVar[str] = "rcme-ranks"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = RankedNames
    datasets: ClassVar[tuple[str, ...]] = ("rare-species",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "d_corr",
            "Kendall's tau of radius and rank, equal radii in the right order, mean over rows",
            Mean("d_corr"),
            range=(-1.0, 1.0),
        ),
        Metric(
            "tau_d",
            "Kendall's tau-b of radius and rank, ties as ties, mean over rows",
            Mean("tau"),
            range=(-1.0, 1.0),
            chance=0.0,
            role="headline",
        ),
        Metric("precision", "share of the names found that are true of the image", PRECISION),
        Metric("recall", "share of the ranks whose name is found", RECALL),
        Metric("f1", "harmonic mean of the two averages", F1(PRECISION, RECALL), role="headline"),
    )

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"The steps {self.steps} must be at least 1.")

    def unfit(self, dataset: RankedNames) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if dataset.row_image is not None else f"{dataset.name} has no images"

    def score(self, space: Space, dataset: RankedNames, generator: Generator) -> Scores:
        """Score each image; `d_corr` and `tau` [n, m] hold its m rows'.

        Candidates are all names of all rows; of equally similar ones the first to appear is
        found. A row whose radii are all equal has no tau-b.
        """
        return self._score(space, dataset, alike=False)

    def blind(self, dataset: RankedNames) -> dict[str, Scores]:
        """Return what names' words, characters, ... reach, the same names for every image.

        `rarity` takes names that stand in many rows for general ones, and the rarest within each
        radius for nearest; `commonest` finds nothing but the name that stands in most rows.
        """
        often = torch.bincount(torch.from_numpy(dataset.ranks).reshape(-1)).double()
        n = len(dataset.images)
        spaces = blind.text_spaces(dataset.texts, n) | {"rarity": blind.line(-often, n)}
        truth = truth_of(dataset)
        one = often.argmax().expand(len(truth.images), 1)
        swept = {name: self._score(space, dataset, alike=True) for name, space in spaces.items()}
        return swept | {"commonest": scored(truth, dataset, -often, one)}

    def _score(self, space: Space, dataset: RankedNames, *, alike: bool) -> Scores:
        """Score them; `alike`: all names are equally near to all images, as in a blind space."""
        assert space.image is not None
        truth = truth_of(dataset)
        ids = [dataset.images[i].name for i in truth.images.tolist()]
        trouble = radii_trouble(space.radius) or points_trouble(space, images=True)
        if trouble is not None:
            return Scores(ids, {}, undefined(self.metrics, trouble))
        images = space.image[truth.images[:1] if alike else truth.images]
        path = sweep(space, images, space.text, space.radius)
        best = path.at(path.count_within(radius_levels(space.radius, self.steps)))
        best = best.expand(len(truth.images), -1)
        found = scored(truth, dataset, space.radius.double(), best)
        return replace(found, nulls=_nulls(self.metrics, truth, dataset, space, best))


def _nulls(
    metrics: Sequence[Metric], truth: Truth, dataset: RankedNames, space: Space, best: Tensor
) -> dict[NullKind, Null]:
    """Vectors dealt out to all names and within word count; images, under the names found."""
    radius = space.radius.double()
    image, level = (best >= 0).nonzero(as_tuple=True)
    text = best[image, level]

    def of_texts(dealt: Int64[Tensor, "b t"]) -> dict[str, Tensor]:
        rows = radius[dealt[:, truth.chains]].flatten(0, 1)  # [b r, k]
        taus = {"d_corr": ordered_tau(rows), "tau": kendall(rows)}
        return {key: tau.view(len(dealt), -1) for key, tau in taus.items()}

    def of_images(dealt: Int64[Tensor, "b n"]) -> dict[str, Tensor]:
        found = [truth.found(sample[image], text) for sample in dealt]
        return {
            "precision": torch.stack([one.precision for one in found]),
            "recall": torch.stack([one.recall for one in found]),
        }

    order = tuple(m for m in metrics if m.name in ("d_corr", "tau_d"))
    names = tuple(m for m in metrics if m not in order)
    groups = nulls.groups_of_texts(dataset.texts)
    size = 40 * truth.chains.numel()
    n = len(truth.images)
    return nulls.reassigned(order, groups, of_texts, size=size, draws=DRAWS) | nulls.of_images(
        names, n, of_images, size=size // n, draws=DRAWS
    )


def scored(
    truth: Truth,
    dataset: RankedNames,
    radius: Float64[Tensor, " t"],
    best: Int64[Tensor, "n levels"],
) -> Scores:
    """Return the scores of the texts' radii and of the texts found for each image."""
    image, level = (best >= 0).nonzero(as_tuple=True)
    found = truth.found(image, best[image, level])
    rows = radius[truth.chains]
    order = truth.item.argsort(stable=True)
    pairs = torch.stack([truth.item[order], order], 1)  # (image, row), sorted
    return Scores(
        ids=[dataset.images[i].name for i in truth.images.tolist()],
        items={
            "d_corr": by_image(pairs, ordered_tau(rows), len(truth.images)),
            "tau": by_image(pairs, kendall(rows), len(truth.images)),
            "precision": found.precision,
            "recall": found.recall,
        },
        details=lambda i: {
            "names": [
                [dataset.texts[t] for t in row] for row in truth.chains[truth.item == i].tolist()
            ],
            "found": [dataset.texts[t] for t in dict.fromkeys(best[i].tolist()) if t >= 0],
        },
    )


def truth_of(dataset: RankedNames) -> Truth:
    """Return the images and the rows of names that are true of each."""
    assert dataset.row_image is not None
    images, item = torch.from_numpy(dataset.row_image).unique(return_inverse=True)
    return Truth(images, item, torch.from_numpy(dataset.ranks), len(dataset.texts))


def ordered_tau(radius: Float64[Tensor, "r k"]) -> Float64[Tensor, " r"]:
    """Return Kendall's tau of each row's order by radius with 1..k, equal radii in given order.

    What an argsort that keeps the order of equal values makes of ties: they are right, and a row
    of one radius scores 1.

    >>> ordered_tau(torch.tensor([[1.0, 1.0, 2.0], [3.0, 2.0, 2.0]]).double())
    tensor([ 1.0000, -0.3333], dtype=torch.float64)
    """
    signs = pair_signs(radius)
    return torch.where(signs == 0, 1.0, signs).mean(1)
