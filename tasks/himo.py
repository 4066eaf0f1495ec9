"""HiMo@K: does an image's similarity to its caption grow as the caption tells more?

Wu et al.: HiMo-CLIP, Modeling Semantic Hierarchy and Monotonicity in Vision-Language Alignment.
The released evaluation is github.com/UnicomAI/HiMo-CLIP at f235e973, eval/text_mono/get_himo.py;
it averages over all chains, the paper's text speaks of more than three captions: both are here.
HiMo@2 and HiMo@3 are `strict_rise` on the splits `halves` and `thirds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Generator, Tensor

from hiereval.datasets.himo import GrowingCaptions
from hiereval.degenerate import constant, points_trouble, undefined
from hiereval.estimates import Mean
from hiereval.types import Dataset, Metric, Modality, Scores, Space

UNKNOWN = "the model does not say which captions it cuts"


@dataclass(frozen=True)
class HiMo:
    """Correlation of place in the chain and similarity to the image; share of strict rises."""

    name: ClassVar[str] = "himo"
    version: ClassVar[int] = 1
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
        ),
        Metric(
            "truncated_ends",
            "share of chains whose last two captions are both cut",
            Mean("truncated_ends"),
            higher_is_better=None,
        ),
    )

    def unfit(self, dataset: GrowingCaptions) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None

    def score(self, space: Space, dataset: GrowingCaptions, generator: Generator) -> Scores:
        """Score each chain.

        A chain whose similarities are all equal, or whose captions are all one point, correlates
        0 (the released code gives 0 only where rounding leaves the similarities equal).
        """
        assert space.image is not None
        captions = torch.from_numpy(dataset.captions)
        similarity = own_similarity(space, dataset)
        flat = torch.tensor([constant(space.text[row[row >= 0]]) for row in captions])
        return scored(self, dataset, similarity, flat, points_trouble(space, images=True))


def scored(
    task: HiMo,
    dataset: GrowingCaptions,
    similarity: Float64[Tensor, "c k"],
    flat: Bool[Tensor, " c"],
    trouble: str | None,
) -> Scores:
    """Return the scores of similarities, NaN beyond a chain's end; `flat` chains correlate 0."""
    captions = torch.from_numpy(dataset.captions)
    there = captions >= 0
    length = there.sum(1)
    pearson = place_correlation(similarity).masked_fill(flat, 0.0)
    rises = (similarity.diff() > 0) | ~there[:, 1:]
    items = {
        "pearson": pearson,
        "pearson_over_3": pearson.masked_fill(length <= 3, torch.nan),
        "rises": (rises.all(1) & ~flat).double(),
        **_truncation(dataset, similarity, flat),
    }
    cut = {m.name: UNKNOWN for m in task.metrics if _of_context(m.name)}
    none_longer = "no chain has more than three captions"
    reasons = {} if dataset.truncated is not None else cut
    if bool((length <= 3).all()):
        reasons = {**reasons, "himo_k_over_3": none_longer}
    return Scores(
        ids=[f"{dataset.images[i].name} {c}" for c, i in enumerate(dataset.caption_image)],
        items=items,
        undefined={**reasons, **undefined(task.metrics, trouble)},
        summary={"by_k": _by_k(pearson, length)},
        details=lambda i: {
            "image": dataset.images[dataset.caption_image[i]].name,
            "captions": [dataset.texts[t] for t in dataset.captions[i] if t >= 0],
            "similarities": similarity[i][there[i]].tolist(),
        },
    )


def own_similarity(space: Space, dataset: GrowingCaptions) -> Float64[Tensor, "c k"]:
    """Return the similarity of each caption to its own image in float64, NaN beyond the end."""
    assert space.image is not None
    captions = torch.from_numpy(dataset.captions)
    image = space.image[torch.from_numpy(dataset.caption_image)].double()
    similarity = torch.full(captions.shape, torch.nan, dtype=torch.float64)
    for row, own, point in zip(similarity, captions, image, strict=True):
        texts = space.text[own[own >= 0]].double()
        row[: len(texts)] = space.similarity(point[None], texts)[0]
    return similarity


def place_correlation(values: Float64[Tensor, "c k"]) -> Float64[Tensor, " c"]:
    """Return Pearson's correlation of each row's values with 1, 2, ...; NaN entries are left out.

    0 where the values are all equal, NaN where fewer than two are left.

    >>> place_correlation(torch.tensor([[1.0, 2.0, 4.0], [3.0, 3.0, torch.nan]]).double())
    tensor([0.9820, 0.0000], dtype=torch.float64)
    """
    there = values.isfinite()
    n = there.sum(1, keepdim=True).double()
    place = torch.arange(1.0, values.shape[1] + 1, dtype=torch.float64).expand_as(values)
    x, y = (_centred(side, there) for side in (place, values))
    spread = x.square().sum(1).sqrt() * y.square().sum(1).sqrt()
    low = values.masked_fill(~there, torch.inf).amin(1)
    level = low == values.masked_fill(~there, -torch.inf).amax(1)
    correlation = ((x * y).sum(1) / spread).clamp(-1.0, 1.0).masked_fill(level, 0.0)
    return correlation.masked_fill(n[:, 0] < 2, torch.nan)


def _centred(values: Float64[Tensor, "c k"], there: Bool[Tensor, "c k"]) -> Float64[Tensor, "c k"]:
    """Return values less their row's mean, 0 where they do not enter."""
    kept = values.masked_fill(~there, 0.0)
    mean = kept.sum(1, keepdim=True) / there.sum(1, keepdim=True)
    return (kept - mean).masked_fill(~there, 0.0)


def _truncation(
    dataset: GrowingCaptions, similarity: Float64[Tensor, "c k"], flat: Bool[Tensor, " c"]
) -> dict[str, Tensor]:
    """Return what the model cuts of each chain, and the correlation over what it does not."""
    captions = torch.from_numpy(dataset.captions)
    if dataset.truncated is None:
        unknown = torch.full((len(captions),), torch.nan, dtype=torch.float64)
        names = ("pearson_within_context", "truncated", "truncated_ends")
        return dict.fromkeys(names, unknown)
    cut = torch.from_numpy(dataset.truncated)[captions.clamp(min=0)] & (captions >= 0)
    last = (captions >= 0).sum(1, keepdim=True) - 1
    within = place_correlation(similarity.masked_fill(cut, torch.nan))
    return {
        "pearson_within_context": torch.where(flat & within.isfinite(), 0.0, within),
        "truncated": cut.sum(1).double(),
        "truncated_ends": (cut.gather(1, last) & cut.gather(1, last - 1))[:, 0].double(),
    }


def _of_context(metric: str) -> bool:
    return "truncated" in metric or "context" in metric


def _by_k(pearson: Float64[Tensor, " c"], length: Int64[Tensor, " c"]) -> dict[str, object]:
    """Return the number and the mean correlation of the chains of each length."""
    return {
        str(k): {"n": int((length == k).sum()), "mean": pearson[length == k].mean().item()}
        for k in length.unique().tolist()
    }
