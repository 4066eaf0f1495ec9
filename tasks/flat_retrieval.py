"""Flat retrieval: R@k between images and their most specific captions, as usually reported.

What a probe or a fine-tuned tower keeps of ordinary image-text retrieval (its retention);
the metric is that of Karpathy & Fei-Fei, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.degenerate import points_trouble, undefined
from hiereval.geometry import first_alike, tied
from hiereval.item_statistics import Mean
from hiereval.truth import Truth, by_image
from hiereval.types import Chains, Dataset, Metric, Modality, Null, NullKind, Scores, Space

CUTS = (1, 5, 10)
CHUNK = 1 << 24  # similarities held at once
TABLE = 1 << 25  # of more images x captions no null is drawn: it keeps both ranks of each
# what `ranked` is
Ranks = Callable[[Space, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class FlatRetrieval:
    """R@1, R@5 and R@10 both ways between images and their most specific captions."""

    name: ClassVar[str] = "flat-retrieval"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("hierarcaps",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(
            Metric(
                f"image_to_text_r{k}",
                f"share of images with an own caption among the {k} nearest captions",
                Mean("image_to_text", column),
                role="retention",
            )
            for column, k in enumerate(CUTS)
        ),
        *(
            Metric(
                f"text_to_image_r{k}",
                f"share of captions with an own image among the {k} nearest images",
                Mean(f"text_to_image_{k}"),
                role="retention",
            )
            for k in CUTS
        ),
    )

    def unfit(self, dataset: Chains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if dataset.chain_image is not None else f"{dataset.name} has no images"

    def blind(self, dataset: Chains) -> Mapping[str, Scores]:
        """Return what rankings reach that are the same for every image."""
        spaces = blind.pool_spaces(dataset)
        return {name: self._score(space, dataset, ranked_alike) for name, space in spaces.items()}

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each image that has a chain; `text_to_image_*` [n, m] holds its m captions.

        Equal strings are one candidate, correct for each of their images. Wrong candidates that
        tie with the best correct one count as nearer. A query to which all candidates are
        equally similar is undefined.
        """
        return self._score(space, dataset, ranked)

    def _score(self, space: Space, dataset: Chains, ranks: Ranks) -> Scores:
        truth = Truth.of(dataset)
        pairs = torch.stack([truth.images[truth.item], truth.chains[:, -1]], 1)
        return retrieved(self.metrics, space, dataset, pairs, ranks)


def retrieved(
    metrics: Sequence[Metric],
    space: Space,
    dataset: Dataset,
    pairs: Int64[Tensor, "p 2"],
    ranks: Ranks,
) -> Scores:
    """Score the images of `pairs` (image, text) that are true, both ways, among one another."""
    assert space.image is not None
    rows, image = pairs[:, 0].unique(return_inverse=True)
    texts, caption = pairs[:, 1].unique(return_inverse=True)
    pairs = torch.stack([image, caption], 1).unique(dim=0)  # sorted
    ids = [dataset.images[i].name for i in rows.tolist()]
    trouble = points_trouble(space, images=True)
    if min(len(texts), len(ids)) == 1:
        trouble = "there is one caption or one image only"
    if trouble:
        return Scores(ids, {}, undefined(metrics, trouble))
    images, captions = space.image[rows], space.text[texts]
    to_text, to_image = ranks(space, images, captions, pairs)
    rank = by_image(pairs, to_image, len(ids))
    return Scores(
        ids=ids,
        items={
            "image_to_text": torch.stack([_within(to_text, k) for k in CUTS], 1),
            **{f"text_to_image_{k}": _within(rank, k) for k in CUTS},
        },
        nulls=_nulls(metrics, space, images, captions, pairs),
        details=lambda i: {
            "image_to_text_rank": _listed(to_text[i : i + 1] + 1)[0],
            "text_to_image_ranks": dict(
                zip(
                    [dataset.texts[t] for t in texts[pairs[pairs[:, 0] == i, 1]].tolist()],
                    _listed(rank[i] + 1),
                    strict=False,
                )
            ),
        },
    )


def ranked(
    space: Space, images: Tensor, captions: Tensor, pairs: Int64[Tensor, "p 2"]
) -> tuple[Tensor, Tensor]:
    """Return for each image, and for each caption, how many wrong ones stand before its own."""
    return (
        wrong_before(space, images, captions, pairs, transposed=False),
        wrong_before(space, captions, images, pairs.flip(1), transposed=True),
    )


def ranked_alike(
    space: Space, images: Tensor, captions: Tensor, pairs: Int64[Tensor, "p 2"]
) -> tuple[Tensor, Tensor]:
    """Return the same of images to which all captions are equally near, as in a blind space: one
    order of captions for all, and none of the images."""
    near = _at_least(space, images[:1], captions)[0][0]
    to_text = _wrong(near[None, pairs[:, 1]], pairs[:, 0], len(images))[0]
    return to_text.double(), torch.full((len(captions),), torch.nan, dtype=torch.float64)


def _nulls(
    metrics: Sequence[Metric], space: Space, images: Tensor, captions: Tensor, pairs: Tensor
) -> dict[NullKind, Null]:
    """Images dealt out to the places that have captions."""
    item, caption = pairs.unbind(1)

    @cache
    def tables() -> tuple[Tensor, Tensor]:
        return _at_least(space, images, captions)

    def items(dealt: Tensor) -> dict[str, Tensor]:
        by_image, by_caption = tables()
        near = by_image[dealt[:, item], caption], by_caption[dealt[:, item], caption]
        to_text = _wrong(near[0], item, len(images))
        to_image = _wrong(near[1], caption, len(captions))[:, caption]
        return {
            "image_to_text": torch.stack([_within(to_text, k) for k in CUTS], -1),
            **{f"text_to_image_{k}": _within(to_image, k) for k in CUTS},
        }

    if len(images) * len(captions) > TABLE:
        return {}
    return nulls.of_images(metrics, len(images), items, size=20 * len(pairs) // len(images))


def _at_least(space: Space, images: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
    """Return [i, t] how many captions are at least as near to an image as a caption is, and how
    many images to a caption; NaN where all are equally near."""
    similarity = space.similarity(images, captions)
    found = []
    for rows in (
        tied(similarity, first_alike(captions)),
        tied(similarity.T, first_alike(images)),
    ):
        ordered = rows.contiguous().sort(dim=1).values
        nearer = rows.shape[1] - torch.searchsorted(ordered, rows.contiguous())
        told_apart = (ordered[:, :1] < ordered[:, -1:]) & rows.isfinite().all(1, keepdim=True)
        found.append(nearer.float().masked_fill(~told_apart, torch.nan))  # exact below 2^24
    return found[0], found[1].T


def _wrong(near: Tensor, query: Tensor, n: int) -> Tensor:
    """Return [b, n] how many wrong candidates are at least as near as a query's best correct one,
    from the counts [b, p] of its correct ones."""
    where = query.expand_as(near)
    best = near.new_full((len(near), n), torch.inf).scatter_reduce(1, where, near, "amin")
    tied = torch.zeros_like(best).scatter_add_(
        1, where, (near == best.gather(1, where)).to(near.dtype)
    )
    return best - tied


def wrong_before(
    space: Space, queries: Tensor, candidates: Tensor, pairs: Tensor, *, transposed: bool
) -> Tensor:
    """Return for each query how many wrong candidates are at least as near as its best correct one.

    `pairs` [p, 2] are the correct (query, candidate). NaN where all candidates are equally near.
    `transposed`: the space takes (candidates, queries), which are the images and the texts.

    Candidate 0 is right for both queries; the second lies nearer to candidate 1:

    >>> from hiereval.geometry import SphereSpace
    >>> candidates, queries = torch.eye(3), torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    >>> space, right = SphereSpace(candidates, None, candidates[0]), torch.tensor([[0, 0], [1, 0]])
    >>> wrong_before(space, queries, candidates, right, transposed=False).tolist()
    [0.0, 1.0]
    """
    counts = []
    alike = first_alike(candidates)
    for rows in torch.arange(len(queries)).split(max(1, CHUNK // len(candidates))):
        part = queries[rows]
        near = (
            space.similarity(candidates, part).T
            if transposed
            else space.similarity(part, candidates)
        )
        similarity = tied(near, alike)
        mine = (pairs[:, 0] >= rows[0]) & (pairs[:, 0] <= rows[-1])
        query, candidate = pairs[mine, 0] - rows[0], pairs[mine, 1]
        correct = similarity[query, candidate]
        best = similarity.new_full((len(rows),), -torch.inf)
        best = best.scatter_reduce(0, query, correct, "amax")
        # NumPy counts booleans several times as fast as torch
        reached = np.count_nonzero((similarity >= best[:, None]).numpy(), axis=1)
        own = torch.bincount(query[correct >= best[query]], minlength=len(rows))
        count = (torch.from_numpy(reached) - own).double()
        told_apart = similarity.amin(1) < similarity.amax(1)  # False for NaN too
        counts.append(count.masked_fill(~told_apart, torch.nan))
    return torch.cat(counts)


def _within(wrong: Tensor, k: int) -> Tensor:
    return (wrong < k).double().masked_fill(wrong.isnan(), torch.nan)


def _listed(ranks: Tensor) -> list[int | None]:
    return [int(rank) if rank == rank else None for rank in ranks.tolist()]
