"""Retention: R@k on the Karpathy splits of COCO and Flickr30K, as retrieval is usually reported.

Karpathy, Fei-Fei: Deep Visual-Semantic Alignments for Generating Image Descriptions. CVPR 2015,
arXiv 1412.2306. Where no two images share a caption the figures are those of CLIP_benchmark
(github.com/LAION-AI/CLIP_benchmark, zeroshot_retrieval). It says what a probe or a fine-tuned
tower has lost elsewhere; `flat-retrieval` does so on the chains themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from hiereval.datasets.karpathy import CaptionedImages
from hiereval.tasks.flat_retrieval import CUTS, FlatRetrieval, ranked, retrieved
from hiereval.types import Dataset, Metric, Modality, Scores, Space


@dataclass(frozen=True)
class Retention:
    """R@1, R@5 and R@10 both ways between images and their five captions."""

    name: ClassVar[str] = "retention"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = CaptionedImages
    datasets: ClassVar[tuple[str, ...]] = ("coco-karpathy", "flickr30k-karpathy")
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = tuple(
        replace(metric, role="retention") for metric in FlatRetrieval.metrics
    )

    def unfit(self, dataset: CaptionedImages) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None

    def score(self, space: Space, dataset: CaptionedImages, generator: Generator) -> Scores:
        """Score each image; `text_to_image_*` [n, m] holds its m distinct captions.

        Equal captions are one candidate, correct for each of their images, and one query for each
        of them; a wrong candidate that ties with the best correct one counts as nearer.
        """
        captions = torch.from_numpy(dataset.captions)
        image = torch.arange(len(captions))[:, None].expand_as(captions)
        pairs = torch.stack([image, captions], 2).flatten(0, 1)
        return retrieved(self.metrics, space, dataset, pairs, ranked)

    def blind(self, dataset: CaptionedImages) -> dict[str, Scores]:
        """Return what a random order of the candidates finds, in the mean over all orders."""
        captions = torch.from_numpy(dataset.captions)
        n, m = captions.shape
        pairs = torch.stack([torch.arange(n)[:, None].expand_as(captions), captions], 2)
        image, caption = pairs.flatten(0, 1).unique(dim=0).unbind(1)  # sorted by image
        own, of = torch.bincount(image, minlength=n), torch.bincount(caption)
        place = torch.arange(m)[None, :]
        queries = {}
        for k in CUTS:
            hit = expected_hit(of, n, k)[caption]
            table = torch.full((n, m), torch.nan, dtype=torch.float64)
            table[place < own[:, None]] = hit
            queries[f"text_to_image_{k}"] = table
        to_text = torch.stack([expected_hit(own, len(of), k) for k in CUTS], 1)
        ids = [image.name for image in dataset.images]
        return {"uniform": Scores(ids, {"image_to_text": to_text, **queries})}


def expected_hit(right: Int64[Tensor, " q"], n: int, k: int) -> Float64[Tensor, " q"]:
    """Return how often k of n candidates, in random order, hold one of the right ones.

    >>> expected_hit(torch.tensor([1, 2]), 4, 2)
    tensor([0.5000, 0.8333], dtype=torch.float64)
    """
    missed = torch.ones(len(right), dtype=torch.float64)
    for j in range(min(k, n)):
        missed = missed * (n - right - j).clamp(min=0) / (n - j)
    return 1.0 - missed
