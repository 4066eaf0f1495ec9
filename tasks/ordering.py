"""Ordering: do the radii of a chain of captions grow from general to specific?

Alper, Averbuch-Elor: Emergent Visual-Semantic Hierarchies in Image-Text Representations.
ECCV 2024, arXiv 2407.08521, section 5 (d_corr there). In HierarCaps longer captions are nearly
always the more specific ones, so length controls are part of the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import factorial
from typing import ClassVar

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.degenerate import radii_trouble, undefined
from hiereval.item_statistics import Auroc, Mean, MeanOf
from hiereval.ranks import kendall, pair_signs
from hiereval.types import Chains, Dataset, Metric, Modality, Null, NullKind, Scores, Space


@dataclass(frozen=True)
class PartialTau:
    """Kendall's partial correlation of radius and tier given word count (Kendall 1942).

    Each tau is a tau-b over the within-chain pairs of all chains, pooled. NaN where radius or
    tier follows word count exactly, because nothing is left to correlate.
    """

    def defined(self, items: Mapping[str, Tensor]) -> Bool[Tensor, " n"]:
        """Return which items enter."""
        return items["agreement"].isfinite().all(1)

    def __call__(
        self, items: Mapping[str, Tensor], weights: Float64[Tensor, "b n"]
    ) -> Float64[Tensor, " b"]:
        return self._of(weights @ items["agreement"].nan_to_num(0.0))

    def batch(self, items: Mapping[str, Tensor]) -> Float64[Tensor, " b"]:
        """Return each sample's, of items [b, n, ...]."""
        return self._of(items["agreement"].nan_to_num(0.0).sum(1))

    @staticmethod
    def _of(sums: Float64[Tensor, "b 6"]) -> Float64[Tensor, " b"]:
        rt, rw, tw, rr, tt, ww = sums.unbind(1)
        radius_tier, radius_words = rt / (rr * tt).sqrt(), rw / (rr * ww).sqrt()
        tier_words = tw / (tt * ww).sqrt()
        left = (1 - radius_words**2) * (1 - tier_words**2)
        partial = (radius_tier - radius_words * tier_words) / left.sqrt()
        return partial.masked_fill(left <= 0, torch.nan)


def metrics(k: int) -> tuple[Metric, ...]:
    """Return the metrics of chains of k captions."""
    steps = range(1, k)
    matched, styled = (
        [Auroc("upper", "lower", (f"upper_{same}", f"lower_{same}"), j - 1) for j in steps]
        for same in ("words", "style")
    )
    return (
        Metric(
            "tau_d",
            "Kendall's tau-b of radius and tier, mean over chains",
            Mean("tau"),
            range=(-1.0, 1.0),
            chance=0.0,
        ),
        Metric(
            "exact_order",
            "share of chains whose radii strictly increase",
            Mean("exact"),
            chance=1 / factorial(k),
        ),
        *(
            Metric(
                f"adjacent_accuracy_{j}_{j + 1}",
                f"share of chains with a larger radius at tier {j + 1} than at tier {j}",
                Mean("adjacent", j - 1),
                chance=0.5,
            )
            for j in steps
        ),
        Metric(
            "length_matched_auroc",
            "AUROC of radius for the higher of adjacent tiers, among captions of equal word count",
            MeanOf(tuple(matched)),
            chance=0.5,
        ),
        *(
            Metric(
                f"length_matched_auroc_{j}_{j + 1}",
                f"the same for tiers {j} and {j + 1}",
                matched[j - 1],
                chance=0.5,
            )
            for j in steps
        ),
        Metric(
            "style_matched_auroc",
            "the same among captions that also agree in the capital letter and the full stop",
            MeanOf(tuple(styled)),
            chance=0.5,
            role="headline",
        ),
        Metric(
            "adversarial_accuracy",
            "share of a chain's pairs ordered right where the more specific caption is no longer",
            Mean("adversarial"),
            chance=0.5,
        ),
        Metric(
            "tau_partial",
            "Kendall's partial correlation of radius and tier given word count",
            PartialTau(),
            range=(-1.0, 1.0),
            chance=0.0,
        ),
    )


@dataclass(frozen=True)
class Ordering:
    """Radius against tier within chains, with controls for caption length (text only)."""

    name: ClassVar[str] = "ordering"
    version: ClassVar[int] = 2
    dataset_type: ClassVar[type[Dataset]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("hierarcaps",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = metrics(4)

    def unfit(self, dataset: Chains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return _short(dataset)

    def metrics_of(self, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
        """Return the metrics of chains of as many tiers as the items have."""
        return metrics(items["adjacent"].shape[1] + 1) if items else self.metrics

    def blind(self, dataset: Chains) -> Mapping[str, Scores]:
        """Return what words, characters, full stops and capitals score as radii."""
        return blind.scores(self, dataset, blind.text_spaces(dataset.texts))

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each chain by its radii [k]; a chain with a radius that is not finite is left out.

        A tie is no correct order. A chain whose radii are all equal has no tau.
        """
        chains = torch.from_numpy(dataset.chains)
        words = nulls.word_counts(dataset.texts)[chains]
        style = _styles(dataset.texts)[chains]
        radius = space.radius[chains].double()
        items = _items(chains, radius, words, style)
        all_metrics = metrics(chains.shape[1])
        return Scores(
            ids=[f"chain {i}" for i in range(len(chains))],
            items=items,
            undefined=undefined(all_metrics, radii_trouble(radius.reshape(-1)))
            or _undefined(all_metrics, items),
            nulls=_nulls(all_metrics, space.radius.double(), dataset, words, style),
            summary={"radius_by_tier": _by_tier(radius)},
            details=lambda i: {
                "captions": [dataset.texts[t] for t in chains[i].tolist()],
                "radii": radius[i].tolist(),
                "words": words[i].tolist(),
            },
        )


def _by_tier(radius: Float64[Tensor, "c k"]) -> list[dict[str, float]]:
    """Return each tier's mean radius and quartiles over the finite chains, for plots."""
    radius = radius[radius.isfinite().all(1)]
    if not len(radius):
        return []
    low, high = radius.quantile(torch.tensor([0.25, 0.75], dtype=torch.float64), dim=0).tolist()
    return [
        {"tier": j, "mean": mean, "low_quartile": low[j - 1], "high_quartile": high[j - 1]}
        for j, mean in enumerate(radius.mean(0).tolist(), 1)
    ]


def _nulls(
    all_metrics: tuple[Metric, ...],
    radius: Float64[Tensor, " t"],
    dataset: Chains,
    words: Int64[Tensor, "c k"],
    style: Int64[Tensor, "c k"],
) -> dict[NullKind, Null]:
    chains = torch.from_numpy(dataset.chains)

    def items(dealt: Int64[Tensor, "b t"]) -> dict[str, Tensor]:
        return _items(chains, radius[dealt][:, chains], words, style)

    size = 12 * chains.shape[1] * chains.numel()
    return nulls.reassigned(all_metrics, nulls.groups_of_texts(dataset.texts), items, size=size)


def _styles(texts: Sequence[str]) -> Int64[Tensor, " t"]:
    """Return one number for each combination of word count, capital letter and full stop."""
    marks = [2 * text[:1].isupper() + text.rstrip().endswith(".") for text in texts]
    return 4 * nulls.word_counts(texts) + torch.tensor(marks)


def _items(
    chains: Int64[Tensor, "c k"],
    radius: Float64[Tensor, "*b c k"],
    words: Int64[Tensor, "c k"],
    style: Int64[Tensor, "c k"],
) -> dict[str, Tensor]:
    """Return the items of one set of radii, or of b of them."""
    finite = radius.isfinite().all(-1, keepdim=True)
    radius = radius.masked_fill(~finite, torch.nan)
    signs, word_signs = pair_signs(radius), pair_signs(words.double())
    right = (signs > 0).double().masked_fill(~finite, torch.nan)
    adjacent = (radius.diff() > 0).double().masked_fill(~finite, torch.nan)
    tier_signs = torch.ones_like(signs)
    terms = [(signs, tier_signs), (signs, word_signs), (tier_signs, word_signs)]
    terms += [(x, x) for x in (signs, tier_signs, word_signs)]
    shared = _at_both_tiers(chains)
    agreement = [(x * y).sum(-1).expand(radius.shape[:-1]) for x, y in terms]
    of_all = [x.expand(1, *x.shape) if radius.ndim > 2 else x for x in (words, style)]
    return {
        "tau": kendall(radius),
        "exact": adjacent.amin(-1),
        "adjacent": adjacent,
        "adversarial": right.masked_fill(word_signs > 0, torch.nan),
        "agreement": torch.stack(agreement, -1),
        "lower": radius[..., :-1].masked_fill(shared[0], torch.nan),
        "upper": radius[..., 1:].masked_fill(shared[1], torch.nan),
        "lower_words": of_all[0][..., :-1],
        "upper_words": of_all[0][..., 1:],
        "lower_style": of_all[1][..., :-1],
        "upper_style": of_all[1][..., 1:],
    }


def _at_both_tiers(chains: Int64[Tensor, "c k"]) -> tuple[Tensor, Tensor]:
    """Return which captions [c, k - 1] of each tier also stand at the next (or at the last) one."""
    tiers = chains.unbind(1)
    lower = [torch.isin(low, high) for low, high in pairwise(tiers)]
    upper = [torch.isin(high, low) for low, high in pairwise(tiers)]
    return torch.stack(lower, 1), torch.stack(upper, 1)


def _undefined(all_metrics: tuple[Metric, ...], items: Mapping[str, Tensor]) -> dict[str, str]:
    reasons = {
        "tau_partial": "the radius or the tier follows word count exactly",
        "adversarial_accuracy": "no pair has a more specific caption without more words",
        "tau_d": "the radii of every chain are all equal",
        "style_matched_auroc": "no captions of adjacent tiers have equal word counts and marks",
    }
    ones = torch.ones(1, len(items["tau"]), dtype=torch.float64)
    found = {}
    for metric in all_metrics:
        if metric.statistic(items, ones).isnan():
            matched = "no captions of adjacent tiers have equal word counts"
            found[metric.name] = reasons.get(metric.name, matched)
    return found


def _short(dataset: Chains) -> str | None:
    if dataset.chains.shape[1] < 2:
        return f"{dataset.name} has chains of one caption; an order needs two"
    return None
