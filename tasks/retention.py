"""Retention: R@k on the Karpathy splits of COCO and Flickr30K, as retrieval is usually reported.

Karpathy, Fei-Fei: Deep Visual-Semantic Alignments for Generating Image Descriptions. CVPR 2015,
arXiv 1412.2306. Where no two images share a caption the figures are those of CLIP_benchmark
(github.com/LAION-AI/CLIP_benchmark, zeroshot_retrieval). It says what a probe or a fine-tuned
tower has lost elsewhere; `flat-retrieval` does so on the chains themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator

from hiereval.datasets.karpathy import CaptionedImages
from hiereval.tasks.flat_retrieval import FlatRetrieval, retrieved
from hiereval.types import Dataset, Metric, Modality, Scores, Space


@dataclass(frozen=True)
class Retention:
    """R@1, R@5 and R@10 both ways between images and their five captions."""

    name: ClassVar[str] = "retention"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = CaptionedImages
    datasets: ClassVar[tuple[str, ...]] = ("coco-karpathy", "flickr30k-karpathy")
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = FlatRetrieval.metrics

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
        return retrieved(self.metrics, space, dataset, pairs)
