"""HiMo@K: does an image's similarity to its caption grow as the caption tells more?

Wu et al.: HiMo-CLIP: Modeling Semantic Hierarchy and Monotonicity in Vision-Language Alignment.
AAAI 2026, arXiv 2511.06653.
The released evaluation is github.com/UnicomAI/HiMo-CLIP at f235e973, eval/text_mono/get_himo.py;
it averages over all chains, the paper's text speaks of more than three captions: both are here.
HiMo@2 and HiMo@3 are `strict_rise` on the splits `halves` and `thirds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Generator, Tensor

from hiereval import nulls
from hiereval.blind import text_spaces
from hiereval.datasets.himo_docci import GrowingCaptions
from hiereval.degenerate import constant, points_trouble, undefined
from hiereval.geometry import similarities
from hiereval.growth import Grown
from hiereval.item_statistics import Mean
from hiereval.types import Dataset, Metric, Modality, Null, NullKind, Scores, Space

DRAWS = 500  # of each null
UNKNOWN = "the model does not say which captions it cuts"


@dataclass(frozen=True)
class HiMo:
    """Correlation of place in the chain and similarity to the image; share of strict rises."""

    matched: int = 5  # captions of other images and equal word count drawn for each caption

    name: ClassVar[str] = "himo"
    version: ClassVar[int] = 2  # 2: captions of one vector do not rise
    dataset_type: ClassVar[type[Dataset]] = GrowingCaptions
    datasets: ClassVar[tuple[str, ...]] = ("himo-docci",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "himo_k",
            "Pearson correlation of a caption's place and its similarity to the image, mean",
            Mean("pearson"),
            range=(-1.0, 1.0),
            chance=0.0,
        ),
        Metric(
            "himo_k_over_3",
            "the same over the chains of more than three captions",
            Mean("pearson_over_3"),
            range=(-1.0, 1.0),
            chance=0.0,
        ),
        Metric(
            "himo_k_within_context",
            "the same over the captions that the model does not cut, where a chain has two",
            Mean("pearson_within_context"),
            range=(-1.0, 1.0),
            chance=0.0,
        ),
        Metric(
            "himo_k_matched",
            "the same of what the similarity exceeds that of other images' captions as long",
            Mean("pearson_matched"),
            range=(-1.0, 1.0),
            chance=0.0,
            role="headline",
        ),
        Metric(
            "strict_rise",
            "share of chains whose similarity rises from each caption to the next",
            Mean("rises"),
        ),
        Metric(
            "truncated_captions",
            "captions of a chain that the model cuts, mean",
            Mean("truncated"),
            range=(0.0, float("inf")),
            higher_is_better=None,
            role="descriptive",
        ),
        Metric(
            "truncated_ends",
            "share of chains whose last two captions are both cut",
            Mean("truncated_ends"),
            higher_is_better=None,
            role="descriptive",
        ),
    )

    def __post_init__(self) -> None:
        if self.matched < 1:
            raise ValueError(f"The matched {self.matched} must be at least 1.")

    def unfit(self, dataset: GrowingCaptions) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None

    def score(self, space: Space, dataset: GrowingCaptions, generator: Generator) -> Scores:
        """Score each chain.

        A chain whose similarities are all equal, or whose captions are all one point, correlates
        0 (the released code gives 0 only where rounding leaves the similarities equal).
        """
        assert space.image is not None
        chains = Grown.of(dataset, self.matched, generator)
        table = similarities(space, space.image, space.text)  # [i, t]
        flat = [constant(space.text[row[row >= 0]]) for row in chains.captions]
        return replace(
            self._scored(
                chains,
                own_similarity(space, dataset),
                chains.others(table[chains.image[:, None, None], chains.matched]),
                torch.tensor(flat),
                points_trouble(space, images=True),
            ),
            nulls=_nulls(self.metrics, chains, table),
        )

    def blind(self, dataset: GrowingCaptions) -> dict[str, Scores]:
        """Return what a caption's words, characters, ... score as its similarity to any image."""
        chains = Grown.of(dataset, self.matched, torch.Generator().manual_seed(0))
        flat = torch.zeros(len(chains.captions), dtype=torch.bool)
        numbers = {name: s.radius for name, s in text_spaces(dataset.texts).items()}
        return {
            name: self._scored(
                chains,
                chains.placed(number[chains.captions]),
                chains.others(number[chains.matched]),
                flat,
                None,
            )
            for name, number in numbers.items()
        }

    def _scored(
        self,
        chains: Grown,
        similarity: Float64[Tensor, "c k"],
        others: Float64[Tensor, "c k"],
        flat: Bool[Tensor, " c"],
        trouble: str | None,
    ) -> Scores:
        """Return the scores of similarities; `flat` chains correlate 0."""
        dataset = chains.dataset
        items = chains.items(similarity, others, flat)
        length = chains.there.sum(1)
        reasons = {}
        if dataset.truncated is None:
            reasons = {m.name: UNKNOWN for m in self.metrics if _of_context(m.name)}
        if bool((length <= 3).all()):
            reasons["himo_k_over_3"] = "no chain has more than three captions"
        if bool(items["pearson_matched"].isnan().all()):
            reasons["himo_k_matched"] = "no two captions of a chain are as long as another image's"
        return Scores(
            ids=[f"{dataset.images[i].name} {c}" for c, i in enumerate(dataset.caption_image)],
            items=items,
            undefined={**reasons, **undefined(self.metrics, trouble)},
            summary={"by_k": _by_k(items["pearson"], length)},
            details=lambda i: {
                "image": dataset.images[dataset.caption_image[i]].name,
                "captions": [dataset.texts[t] for t in dataset.captions[i] if t >= 0],
                "similarities": similarity[i][: length[i]].tolist(),
            },
        )


def _nulls(
    metrics: Sequence[Metric], chains: Grown, table: Float[Tensor, "i t"]
) -> dict[NullKind, Null]:
    """Captions' vectors dealt out to all strings and within word count, images to all chains."""

    def sampled(
        images: Int64[Tensor, "b c"],
        texts: Int64[Tensor, "b c k"],
        others: Int64[Tensor, "b c k m"],
    ) -> dict[str, Tensor]:
        similarity = chains.placed(table[images[:, :, None], texts]).flatten(0, 1)
        foreign = chains.others(table[images[:, :, None, None], others]).flatten(0, 1)
        flat = torch.zeros(len(similarity), dtype=torch.bool)
        items = chains.items(similarity, foreign, flat)
        return {key: value.unflatten(0, images.shape) for key, value in items.items()}

    def of_texts(dealt: Int64[Tensor, "b t"]) -> dict[str, Tensor]:
        images = chains.image.expand(len(dealt), -1)
        return sampled(images, dealt[:, chains.captions], dealt[:, chains.matched])

    def of_images(dealt: Int64[Tensor, "b i"]) -> dict[str, Tensor]:
        texts, others = (t.expand(len(dealt), *t.shape) for t in (chains.captions, chains.matched))
        return sampled(dealt[:, chains.image], texts, others)

    size = 20 * chains.captions.numel() + 2 * chains.matched.numel()
    groups = nulls.groups_of_texts(chains.dataset.texts)
    return nulls.reassigned(metrics, groups, of_texts, size=size, draws=DRAWS) | nulls.of_images(
        metrics, len(table), of_images, size=size // len(table), draws=DRAWS
    )


def own_similarity(space: Space, dataset: GrowingCaptions) -> Float64[Tensor, "c k"]:
    """Return the similarity of each caption to its own image in float64, NaN beyond the end."""
    assert space.image is not None
    captions = torch.from_numpy(dataset.captions)
    image = space.image[torch.from_numpy(dataset.caption_image)].double()
    similarity = torch.full(captions.shape, torch.nan, dtype=torch.float64)
    for row, own, point in zip(similarity, captions, image, strict=True):
        texts = space.text[own[own >= 0]].double()
        row[: len(texts)] = similarities(space, point[None], texts)[0]
    return similarity


def _of_context(metric: str) -> bool:
    return "truncated" in metric or "context" in metric


def _by_k(pearson: Float64[Tensor, " c"], length: Int64[Tensor, " c"]) -> dict[str, object]:
    """Return the number and the mean correlation of the chains of each length."""
    return {
        str(k): {"n": int((length == k).sum()), "mean": pearson[length == k].mean().item()}
        for k in length.unique().tolist()
    }
