"""PEP: does a caption's entailment cone hold its own image, against last captions of other rows?

The probabilistic entailment protocol of ARGENT, arXiv 2603.23311, as Hyper3-CLIP implements it
(github.com/Hyper3Labs/hyper3-clip at 727d8b64, src/hyper3_clip/evaluation/hierarchy_entailment.py):
its negatives, both of its scores, its treatment of ties. All of these negatives are most specific
captions, so length alone nearly solves it; the twin (`matched_*`) draws them from the same tier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from hiereval import nulls
from hiereval.angles import Angles
from hiereval.blind import text_spaces
from hiereval.degenerate import points_trouble, undefined
from hiereval.geometry import ULPS
from hiereval.hooks import Cones
from hiereval.item_statistics import Auroc, AveragePrecision, Mean, with_chance
from hiereval.tasks.image_entailment import draw
from hiereval.types import Chains, Dataset, Metric, Modality, Null, NullKind, Role, Scores, Space

DRAWS = 200  # of each null: one costs the angles of all pairs
MIN_RADIUS = 0.1  # K of the cones
SCORES = {"": "1 - 2 angle / pi, at least 0", "margin_": "half aperture minus angle"}
POOLS = {"": "negative", "matched_": "matched_negative"}  # prefix of a metric -> item
NO_CONES = "the space has no entailment cones (a Lorentz space has): there is no half aperture"
SCORE_RANGES = {"": (0.0, 1.0), "margin_": (-math.pi, math.pi / 2)}


def _ranked(pool: str, score: str) -> tuple[Metric, Metric]:
    against = "captions of the same tier" if pool else "other rows' last captions"
    items = f"{score}positive", f"{score}{POOLS[pool]}"
    role: Role = "headline" if pool else "quality"
    return (
        Metric(
            f"{pool}{score}auroc",
            f"AUROC of {SCORES[score]}, own captions against {against}",
            Auroc(*items),
            chance=0.5,
            role=role,
        ),
        Metric(
            f"{pool}{score}average_precision",
            f"average precision of {SCORES[score]}, own captions against {against}",
            AveragePrecision(*items),
            role=role,
        ),
    )


def _described(score: str) -> tuple[Metric, ...]:
    """Return the means and the ties of a score over the published pairs."""
    means = (
        Metric(
            f"{score}mean_{side}",
            f"mean of {SCORES[score]} over the {side} pairs",
            Mean(f"{score}{side}"),
            range=SCORE_RANGES[score],
            higher_is_better=None,
            role="descriptive",
        )
        for side in ("positive", "negative")
    )
    shares = (
        Metric(
            f"{score}{kind}_share",
            f"share of the pairs whose {SCORES[score]} is {what}",
            Mean(f"{score}{kind}"),
            higher_is_better=None,
            role="descriptive",
        )
        for kind, what in (("zero", "exactly 0"), ("modal", "the most frequent value"))
    )
    return (*means, *shares)


@dataclass(frozen=True)
class Pep:
    """Entailment of image by caption: published negatives, and tier-matched ones beside them."""

    negatives: int = 100  # of each row: the first last captions of other rows, in file order
    matched: int = 25  # captions of the same tier drawn for each positive

    name: ClassVar[str] = "pep"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("hierarcaps",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(metric for pool in POOLS for score in SCORES for metric in _ranked(pool, score)),
        *(metric for score in SCORES for metric in _described(score)),
    )

    def __post_init__(self) -> None:
        for name in ("negatives", "matched"):
            if getattr(self, name) < 1:
                raise ValueError(f"The {name} {getattr(self, name)} must be at least 1.")

    def metrics_of(self, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
        """Return the metrics, average precision with its chance on these items."""
        return with_chance(self.metrics, items)

    def unfit(self, dataset: Chains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if dataset.chain_image is not None else f"{dataset.name} has no images"

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each row: its captions [k], its negatives [negatives] and matched [k x matched].

        In a space with cones a caption at the root or at the image has a right angle, as in the
        released code; elsewhere it has no angle and is left out. Negatives that do not exist are
        left out.
        """
        assert space.image is not None
        assert dataset.chain_image is not None
        pairs = self.pairs(dataset, generator)
        image = space.image[torch.from_numpy(dataset.chain_image)]
        cones = space.half_aperture(space.text, MIN_RADIUS) if isinstance(space, Cones) else None
        angles = {key: angles_at(space, texts, image) for key, texts in pairs.items()}
        reasons = undefined(self.metrics, points_trouble(space, images=True))
        reasons = reasons or undefined(self.metrics, _trouble(pairs, angles))
        if cones is None:
            reasons = {m.name: NO_CONES for m in self.metrics if "margin_" in m.name} | reasons
        scores = self._scores(dataset, _items(pairs, angles, cones), reasons)
        return replace(scores, nulls=self._nulls(space, dataset, pairs, cones))

    def blind(self, dataset: Chains) -> dict[str, Scores]:
        """Return what a caption's words, characters, ... score, and whether it is none of the
        negatives' captions."""
        pairs = self.pairs(dataset, torch.Generator().manual_seed(0))
        numbers = {name: space.radius for name, space in text_spaces(dataset.texts).items()}
        pool = pairs["negative"][pairs["negative"] >= 0]
        numbers["pool-membership"] = torch.ones(len(dataset.texts), dtype=torch.float64)
        numbers["pool-membership"][pool] = 0.0
        return {
            name: self._scores(
                dataset,
                {
                    f"{prefix}{key}": number[texts].masked_fill(texts < 0, torch.nan)
                    for prefix in SCORES
                    for key, texts in pairs.items()
                },
                {},
            )
            for name, number in numbers.items()
        }

    def pairs(self, dataset: Chains, generator: Generator) -> dict[str, Int64[Tensor, "c m"]]:
        """Return each row's captions and both kinds of negatives as indices of texts, -1: none."""
        assert dataset.chain_image is not None
        chains, image = torch.from_numpy(dataset.chains), torch.from_numpy(dataset.chain_image)
        drawn = [draw(chains, image, generator) for _ in range(self.matched)]
        return {
            "positive": chains,
            "negative": last_captions(chains, self.negatives),
            "matched_negative": torch.stack(drawn, 2).flatten(1),
        }

    def _scores(
        self, dataset: Chains, items: Mapping[str, Tensor], reasons: Mapping[str, str]
    ) -> Scores:
        ties = {prefix: _ties(items, prefix) for prefix in SCORES if f"{prefix}positive" in items}
        every = {**items, **{key: x for tied in ties.values() for key, x in tied.items()}}
        return Scores(
            ids=[f"row {i}" for i in range(len(dataset.chains))],
            items=every,
            undefined=reasons,
            summary={f"{prefix}distinct_scores": _distinct(items, prefix) for prefix in ties},
            details=lambda i: {
                "captions": [dataset.texts[t] for t in dataset.chains[i]],
                **{key: _listed(items[key][i]) for key in items if key.endswith("positive")},
            },
        )

    def _nulls(
        self, space: Space, dataset: Chains, pairs: Mapping[str, Tensor], cones: Tensor | None
    ) -> dict[NullKind, Null]:
        """Captions' vectors dealt out within equal word count, and images to all rows."""
        assert space.image is not None
        assert dataset.chain_image is not None
        image = torch.from_numpy(dataset.chain_image)
        angles = Angles(space, space.text, space.image)

        def sampled(
            texts: Mapping[str, Int64[Tensor, "b c m"]], images: Int64[Tensor, "b c"]
        ) -> dict[str, Tensor]:
            there = {key: text.clamp(min=0) for key, text in texts.items()}
            found = {
                key: _kept(space, angles.of(text, images[:, :, None].expand_as(text)), pairs[key])
                for key, text in there.items()
            }
            return _items(there, found, cones)

        def of_texts(dealt: Int64[Tensor, "b t"]) -> dict[str, Tensor]:
            return sampled({k: dealt[:, t] for k, t in pairs.items()}, image.expand(len(dealt), -1))

        def of_images(dealt: Int64[Tensor, "b i"]) -> dict[str, Tensor]:
            texts = {key: t.expand(len(dealt), *t.shape) for key, t in pairs.items()}
            return sampled(texts, dealt[:, image])

        scored = [m for m in self.metrics if cones is not None or "margin_" not in m.name]
        size = 10 * sum(texts.numel() for texts in pairs.values())
        n = len(dataset.images)
        within: dict[NullKind, Tensor] = {"within-length": nulls.word_counts(dataset.texts)}
        return nulls.reassigned(scored, within, of_texts, size=size, draws=DRAWS) | nulls.of_images(
            scored, n, of_images, size=size // n, draws=DRAWS
        )


def last_captions(chains: Int64[Tensor, "c k"], n: int) -> Int64[Tensor, "c n"]:
    """Return for each row the first n last captions of other rows, in file order, -1 if fewer.

    A caption that stands in the row itself is passed over; repeated ones are kept.
    """
    last = chains[:, -1].tolist()
    found = torch.full((len(chains), n), -1)
    for i, own in enumerate(map(set, chains.tolist())):
        row: list[int] = []
        for j, text in enumerate(last):
            if len(row) == n:
                break
            if j != i and text not in own:
                row.append(text)
        found[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return found


def angles_at(
    space: Space, texts: Int64[Tensor, "c m"], image: Float[Tensor, "c d"]
) -> Float64[Tensor, "c m"]:
    """Return the exterior angle at each text of the row's image; NaN for -1.

    Where the space has cones, angles keep ULPS of cosine from 0 and pi and are right angles where
    they do not exist, as in the released code.
    """
    columns = [
        space.exterior_angle(space.text[column.clamp(min=0)], image) for column in texts.unbind(1)
    ]
    return _kept(space, torch.stack(columns, 1), texts)


def _kept(
    space: Space, angles: Float[Tensor, "*b c m"], texts: Int64[Tensor, "c m"]
) -> Float64[Tensor, "*b c m"]:
    """Return angles as the released code keeps them (see `angles_at`), NaN where texts are -1."""
    angles = angles.double()
    if isinstance(space, Cones):
        least = math.acos(1 - ULPS)
        angles = angles.nan_to_num(math.pi / 2).clamp(least, math.pi - least)
    return angles.masked_fill(texts < 0, torch.nan)


def _items(
    texts: Mapping[str, Int64[Tensor, "*b c m"]],
    angles: Mapping[str, Float64[Tensor, "*b c m"]],
    cones: Float[Tensor, " t"] | None,
) -> dict[str, Float64[Tensor, "*b c m"]]:
    """Return both scores of each kind of pair; the first alone where there are no cones."""
    items = {key: (1 - 2 * angle / math.pi).clamp(min=0.0) for key, angle in angles.items()}
    if cones is None:
        return items
    margins = {k: cones.double()[texts[k].clamp(min=0)] - angle for k, angle in angles.items()}
    return items | {f"margin_{key}": margin for key, margin in margins.items()}


def _trouble(pairs: Mapping[str, Tensor], angles: Mapping[str, Tensor]) -> str | None:
    for key, texts in pairs.items():
        if bool((texts < 0).all()):
            return "no other row has a caption that could be a negative"
        if bool(angles[key].isnan().all()):
            return "every exterior angle is undefined: captions stand at the root"
    return None


def _pooled(items: Mapping[str, Tensor], prefix: str) -> Float64[Tensor, "c m"]:
    """Return the scores of a row's published pairs side by side."""
    return torch.cat([items[f"{prefix}positive"], items[f"{prefix}negative"]], 1)


def _ties(items: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    scores = _pooled(items, prefix)
    values, counts = scores[scores.isfinite()].unique(return_counts=True)
    mode = values[counts.argmax()] if len(values) else torch.nan
    flags = {"zero": scores == 0, "modal": scores == mode}
    return {
        f"{prefix}{kind}": flag.double().masked_fill(scores.isnan(), torch.nan)
        for kind, flag in flags.items()
    }


def _distinct(items: Mapping[str, Tensor], prefix: str) -> int:
    scores = _pooled(items, prefix)
    return len(scores[scores.isfinite()].unique())


def _listed(values: Tensor) -> list[float | None]:
    return [value if value == value else None for value in values.tolist()]
