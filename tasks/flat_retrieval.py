"""Flat retrieval: R@k between images and their most specific captions, as usually reported.

What a probe or a fine-tuned tower keeps of ordinary image-text retrieval (its retention);
the metric is that of Karpathy & Fei-Fei, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from hiereval.degenerate import points_trouble, undefined
from hiereval.estimates import Mean
from hiereval.truth import Truth, by_image
from hiereval.types import Chains, Dataset, Metric, Modality, Scores, Space

CUTS = (1, 5, 10)
CHUNK = 1 << 24  # similarities held at once


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
            )
            for column, k in enumerate(CUTS)
        ),
        *(
            Metric(
                f"text_to_image_r{k}",
                f"share of captions with an own image among the {k} nearest images",
                Mean(f"text_to_image_{k}"),
            )
            for k in CUTS
        ),
    )

    def unfit(self, dataset: Chains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if dataset.chain_image is not None else f"{dataset.name} has no images"

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each image that has a chain; `text_to_image_*` [n, m] holds its m captions.

        Equal strings are one candidate, correct for each of their images. Wrong candidates that
        tie with the best correct one count as nearer. A query to which all candidates are
        equally similar is undefined.
        """
        truth = Truth.of(dataset)
        pairs = torch.stack([truth.images[truth.item], truth.chains[:, -1]], 1)
        return retrieved(self.metrics, space, dataset, pairs)


def retrieved(
    metrics: Sequence[Metric], space: Space, dataset: Dataset, pairs: Int64[Tensor, "p 2"]
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
    to_text = wrong_before(space, images, captions, pairs, transposed=False)
    to_image = wrong_before(space, captions, images, pairs.flip(1), transposed=True)
    rank = by_image(pairs, to_image, len(ids))
    return Scores(
        ids=ids,
        items={
            "image_to_text": torch.stack([_within(to_text, k) for k in CUTS], 1),
            **{f"text_to_image_{k}": _within(rank, k) for k in CUTS},
        },
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


def wrong_before(
    space: Space, queries: Tensor, candidates: Tensor, pairs: Tensor, *, transposed: bool
) -> Tensor:
    """Return for each query how many wrong candidates are at least as near as its best correct one.

    `pairs` [p, 2] are the correct (query, candidate). NaN where all candidates are equally near.
    `transposed`: the space takes (candidates, queries), which are the images and the texts.
    """
    counts = []
    for rows in torch.arange(len(queries)).split(max(1, CHUNK // len(candidates))):
        part = queries[rows]
        similarity = (
            space.similarity(candidates, part).T
            if transposed
            else space.similarity(part, candidates)
        )
        mine = (pairs[:, 0] >= rows[0]) & (pairs[:, 0] <= rows[-1])
        correct = torch.zeros_like(similarity, dtype=torch.bool)
        correct[pairs[mine, 0] - rows[0], pairs[mine, 1]] = True
        best = similarity.masked_fill(~correct, -torch.inf).amax(1, keepdim=True)
        count = ((similarity >= best) & ~correct).sum(1).double()
        told_apart = similarity.amin(1) < similarity.amax(1)  # False for NaN too
        counts.append(count.masked_fill(~told_apart, torch.nan))
    return torch.cat(counts)


def _within(wrong: Tensor, k: int) -> Tensor:
    return (wrong < k).double().masked_fill(wrong.isnan(), torch.nan)


def _listed(ranks: Tensor) -> list[int | None]:
    return [int(rank) if rank == rank else None for rank in ranks.tolist()]
