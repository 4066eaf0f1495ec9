"""Taxonomy: ordering and retrieval over ranks of any table, such as kingdom to species.

The table of ranks follows Sastry et al., Global and Local Entailment Learning for Natural World
Imagery (RCME), ICCV 2025, arXiv 2506.21476; ordering and sweep are those of Alper &
Averbuch-Elor, ECCV 2024, arXiv 2407.08521, with precision and recall taken rank by rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.datasets.ranked_names import RankedNames
from hiereval.degenerate import points_trouble, radii_trouble, undefined
from hiereval.item_statistics import Mean, MeanOf
from hiereval.ranks import kendall
from hiereval.sweep import rank_levels, sweep
from hiereval.types import Dataset, Metric, Modality, Null, NullKind, Scores, Space


@dataclass(frozen=True)
class Taxonomy:
    """Names by rank: do the radii grow from rank 1 to rank N? (text only)."""

    name: ClassVar[str] = "taxonomy"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = RankedNames
    datasets: ClassVar[tuple[str, ...]] = ("taxonomy",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "tau_d",
            "Kendall's tau-b of radius and rank, mean over distinct rows of names",
            Mean("tau"),
            range=(-1.0, 1.0),
            chance=0.0,
        ),
    )

    def unfit(self, dataset: RankedNames) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None

    def blind(self, dataset: RankedNames) -> Mapping[str, Scores]:
        """Return what words, characters, ... score as radii."""
        return blind.scores(self, dataset, blind.text_spaces(dataset.texts))

    def score(self, space: Space, dataset: RankedNames, generator: Generator) -> Scores:
        """Score each distinct row of names; a row whose radii are all equal has no tau."""
        rows = np.unique(dataset.ranks, axis=0, return_index=True)[1]
        ranks = dataset.ranks[np.sort(rows)]  # in the table's order
        radius = space.radius[torch.from_numpy(ranks)].double()
        tau = kendall(radius)
        reason = radii_trouble(radius.reshape(-1))
        if reason is None and bool(tau.isnan().all()):
            reason = "the radii of every row are all equal"
        names = [[dataset.texts[t] for t in row] for row in ranks]
        return Scores(
            ids=[" > ".join(row) for row in names],
            items={"tau": tau},
            undefined=undefined(self.metrics, reason),
            nulls=nulls.reassigned(
                self.metrics,
                nulls.groups_of_texts(dataset.texts),
                lambda dealt: {"tau": kendall(space.radius.double()[dealt][:, ranks])},
                size=2 * ranks.size * ranks.shape[1],
            ),
            details=lambda i: {"names": names[i], "radii": radius[i].tolist()},
        )


def metrics(k: int) -> tuple[Metric, ...]:
    """Return the retrieval metrics of tables of k ranks."""
    steps = range(1, k + 1)
    precision = tuple(Mean("precision", j - 1) for j in steps)
    recall = tuple(Mean("recall", j - 1) for j in steps)
    return (
        Metric("precision", "mean over ranks of their precision", MeanOf(precision)),
        Metric("recall", "mean over ranks of their recall", MeanOf(recall)),
        *(
            Metric(
                f"precision_rank{j}",
                f"share of the predicted names of rank {j} that are true",
                precision[j - 1],
            )
            for j in steps
        ),
        *(
            Metric(
                f"recall_rank{j}",
                f"share of images whose name of rank {j} is predicted",
                recall[j - 1],
            )
            for j in steps
        ),
    )


@dataclass(frozen=True)
class TaxonomyRetrieval:
    """Names found for an image by growing the radius: precision and recall rank by rank."""

    steps: int = 50  # levels, each with equally many more names

    name: ClassVar[str] = "taxonomy-retrieval"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = RankedNames
    datasets: ClassVar[tuple[str, ...]] = ("taxonomy",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = metrics(7)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"The steps {self.steps} must be at least 1.")

    def metrics_of(self, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
        """Return the metrics of tables of as many ranks as the items have."""
        return metrics(items["precision"].shape[1]) if items else self.metrics

    def unfit(self, dataset: RankedNames) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if dataset.row_image is not None else f"{dataset.name} has no images"

    def blind(self, dataset: RankedNames) -> Mapping[str, Scores]:
        """Return what sweeps reach that predict the same names for every image."""
        spaces = blind.text_spaces(dataset.texts, len(dataset.images))
        return {name: self._score(space, dataset, alike=True) for name, space in spaces.items()}

    def score(self, space: Space, dataset: RankedNames, generator: Generator) -> Scores:
        """Score each row's image.

        Candidates are all names of all ranks, once each. An image's predictions are the most
        similar names within each radius of the rank sweep. Precision at a rank at which nothing
        was predicted is undefined for that image.
        """
        return self._score(space, dataset, alike=False)

    def _score(self, space: Space, dataset: RankedNames, *, alike: bool) -> Scores:
        """Score them; `alike`: all names are equally near to all images, as in a blind space."""
        assert space.image is not None
        assert dataset.row_image is not None
        ranks = torch.from_numpy(dataset.ranks)
        image = torch.from_numpy(dataset.row_image)
        every = metrics(ranks.shape[1])
        ids = [dataset.images[i].name for i in dataset.row_image]
        reason = radii_trouble(space.radius) or points_trouble(space, images=True)
        if reason is not None:
            nothing = torch.full((len(ids), ranks.shape[1]), torch.nan)
            return Scores(ids, {"precision": nothing}, undefined(every, reason))
        path = sweep(space, space.image[:1] if alike else space.image, space.text, space.radius)
        best = path.at(path.count_within(rank_levels(space.radius, self.steps)))
        best = best.expand(len(space.image), -1)
        precision, recall = found(best, ranks, image, len(space.text))
        items = {"precision": precision, "recall": recall}
        return Scores(
            ids=ids,
            items=items,
            undefined={
                metric.name: "no name of a rank was predicted for any image"
                for metric in every
                if metric.statistic(items, torch.ones(1, len(ids), dtype=torch.float64)).isnan()
            },
            nulls=_nulls(every, best, ranks, image, len(space.text)),
            details=lambda i: {
                "names": [dataset.texts[t] for t in dataset.ranks[i]],
                "predictions": [
                    dataset.texts[t] for t in dict.fromkeys(best[image[i]].tolist()) if t >= 0
                ],
            },
        )


def found(
    best: Int64[Tensor, "i l"],
    ranks: Int64[Tensor, "r k"],
    image: Int64[Tensor, " r"],
    n_texts: int,
) -> tuple[Float64[Tensor, "r k"], Float64[Tensor, "r k"]]:
    """Return each row's precision (NaN: nothing predicted) and recall at each rank.

    `best` are the predicted texts of each image, -1 for none; repeats count once.

    Two images predict texts 0 and 3, and 2; names 0 and 1 are of one rank, 3 and 4 of the next:

    >>> best = torch.tensor([[0, 3, 3], [2, -1, -1]])
    >>> precision, recall = found(best, torch.tensor([[0, 3], [1, 4]]), torch.tensor([0, 1]), 5)
    >>> precision.tolist(), recall.tolist()
    ([[1.0, 1.0], [nan, nan]], [[1.0, 1.0], [0.0, 0.0]])
    """
    i, level = (best >= 0).nonzero(as_tuple=True)
    predicted = (i * n_texts + best[i, level]).unique()
    precision, recall = [], []
    for names in ranks.unbind(1):  # the names of one rank
        of_rank = predicted[torch.isin(predicted % n_texts, names)]
        size = torch.bincount(of_rank // n_texts, minlength=len(best))[image].double()
        hit = torch.isin(image * n_texts + names, predicted).double()
        precision.append(hit / size)  # 0 / 0 is NaN
        recall.append(hit)
    return torch.stack(precision, 1), torch.stack(recall, 1)


def _nulls(
    every: tuple[Metric, ...], best: Tensor, ranks: Tensor, image: Tensor, n_texts: int
) -> dict[NullKind, Null]:
    """Images dealt out to the rows: an image keeps its predictions, and meets other names."""
    i, level = (best >= 0).nonzero(as_tuple=True)
    predicted = (i * n_texts + best[i, level]).unique()
    owner, name = predicted // n_texts, predicted % n_texts
    size = torch.stack(
        [
            torch.bincount(owner[torch.isin(name, names)], minlength=len(best)).double()
            for names in ranks.unbind(1)
        ],
        1,
    )  # [i, k] predictions of each rank

    def items(dealt: Tensor) -> dict[str, Tensor]:
        seen = dealt[:, image]
        wanted = seen[:, :, None] * n_texts + ranks
        place = torch.searchsorted(predicted, wanted).clamp(max=len(predicted) - 1)
        hit = (predicted[place] == wanted).double()
        return {"precision": hit / size[seen], "recall": hit}

    return nulls.of_images(every, len(best), items, size=8 * ranks.numel() // len(best) + 1)
