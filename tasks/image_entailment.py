"""Image entailment: does the exterior angle tell an image's own captions from others'?

Alper, Averbuch-Elor: Emergent Visual-Semantic Hierarchies in Image-Text Representations.
ECCV 2024, arXiv 2407.08521, section 3, with the image as the specific side of each pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.angles import Angles
from hiereval.degenerate import points_trouble, undefined
from hiereval.estimates import ones
from hiereval.item_statistics import Auroc, AveragePrecision, with_chance
from hiereval.types import Chains, Dataset, Metric, Modality, Null, NullKind, Scores, Space

DRAWS = 200  # of the null: one costs the rank of every negative
ROUNDS = 64  # draws before a caption counts as having no negative


@dataclass(frozen=True)
class ImageEntailment:
    """Angles of (caption, image): the image's captions against others' of the same tier."""

    negatives: int = 10  # captions of other images drawn for each positive

    name: ClassVar[str] = "image-entailment"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("hierarcaps",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "image_auroc",
            "AUROC of minus the exterior angle at the caption, own images against others",
            Auroc("positive", "negative"),
            chance=0.5,
            role="headline",
        ),
        Metric(
            "image_average_precision",
            "average precision of minus that angle (chance: the share of positives)",
            AveragePrecision("positive", "negative"),
        ),
    )

    def __post_init__(self) -> None:
        if self.negatives < 1:
            raise ValueError(f"The negatives {self.negatives} must be at least 1.")

    def metrics_of(self, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
        """Return the metrics, average precision with its chance on these items."""
        return with_chance(self.metrics, items)

    def unfit(self, dataset: Chains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if dataset.chain_image is not None else f"{dataset.name} has no images"

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each chain by the angles of its captions [k] and of its negatives [k x negatives].

        NaN, and left out: a caption at the root or at its image, a negative that does not exist.
        """
        assert space.image is not None
        assert dataset.chain_image is not None
        chains, image = torch.from_numpy(dataset.chains), torch.from_numpy(dataset.chain_image)
        drawn = torch.stack(
            [draw(chains, image, generator) for _ in range(self.negatives)], 2
        )  # [c, k, negatives]
        items = {
            "positive": -_angles(space, chains[:, :, None], image).squeeze(2),
            "negative": -_angles(space, drawn, image).flatten(1),
        }
        trouble = points_trouble(space, images=True)
        if trouble is None and bool((drawn < 0).all()):
            trouble = "no other image has a caption that could be a negative"
        if trouble is None and bool(
            Auroc("positive", "negative")(items, ones(len(chains))).isnan()
        ):
            trouble = "every exterior angle is undefined: captions stand at the root"
        return Scores(
            ids=[f"chain {i}" for i in range(len(chains))],
            items=items,
            undefined=undefined(self.metrics, trouble),
            nulls=self._nulls(space, chains, drawn, image),
            details=lambda i: {
                "image": dataset.images[int(image[i])].name,
                "captions": [dataset.texts[t] for t in chains[i].tolist()],
                "angles": [-x if x == x else None for x in items["positive"][i].tolist()],
                "negatives": [
                    [dataset.texts[t] for t in tier if t >= 0] for tier in drawn[i].tolist()
                ],
            },
        )

    def blind(self, dataset: Chains) -> Mapping[str, Scores]:
        """Return what a caption's words, characters, ... score as its angle at any image."""
        spaces = blind.text_spaces(dataset.texts, len(dataset.images))
        return blind.scores(self, dataset, spaces)

    def _nulls(
        self, space: Space, chains: Tensor, drawn: Tensor, image: Tensor
    ) -> dict[NullKind, Null]:
        """Images dealt out to the chains, each with its captions and negatives as they are."""
        assert space.image is not None
        captions = torch.cat([chains[:, :, None], drawn], 2)  # [c, k, 1 + negatives]
        angles = Angles(space, space.text, space.image)

        def items(dealt: Tensor) -> dict[str, Tensor]:
            seen = dealt[:, image, None, None].expand(-1, *captions.shape)
            angle = angles.of(captions.clamp(min=0).expand_as(seen), seen).double()
            positive, negative = angle.masked_fill(captions < 0, torch.nan).tensor_split([1], -1)
            return {"positive": -positive, "negative": -negative}

        n = len(space.image)
        size = 10 * captions.numel() // n
        return nulls.of_images(self.metrics, n, items, size=size, draws=DRAWS)


def draw(chains: Tensor, image: Tensor, generator: Generator) -> Tensor:
    """Return for each caption [c, k] one of the same tier of another image's chain, -1 if none.

    Uniform over the chains; never a string that stands in any chain of the caption's own image.
    """
    n_texts = int(chains.max()) + 1
    own = (image[:, None] * n_texts + chains).unique()
    drawn = torch.full_like(chains, -1)
    tier = torch.arange(chains.shape[1]).expand_as(chains)
    for _ in range(ROUNDS):
        todo = drawn < 0
        if not todo.any():
            break
        row = torch.randint(len(chains), (int(todo.sum()),), generator=generator)
        text = chains[row, tier[todo]]
        bad = torch.isin(image[:, None].expand_as(chains)[todo] * n_texts + text, own)
        drawn[todo] = text.masked_fill(bad, -1)
    return drawn


def _angles(space: Space, captions: Tensor, image: Tensor) -> Tensor:
    """Return Xi(caption, image) of text indices [c, k, m] in float64; NaN for -1."""
    assert space.image is not None
    angles = torch.full(captions.shape, torch.nan, dtype=torch.float64)
    for j in range(captions.shape[1]):
        for m in range(captions.shape[2]):
            text = captions[:, j, m]
            angle = space.exterior_angle(space.text[text.clamp(min=0)], space.image[image])
            angles[:, j, m] = angle.double().masked_fill(text < 0, torch.nan)
    return angles
