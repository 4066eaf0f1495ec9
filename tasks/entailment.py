"""Entailment: does a caption's exterior angle tell its refinement from a contradiction?

Alper, Averbuch-Elor: Emergent Visual-Semantic Hierarchies in Image-Text Representations.
ECCV 2024, arXiv 2407.08521, section 3. P is a positive chain, N a negative one: N[k] is a wrong
refinement of P[k-1], made to contradict P[k].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.angles import Angles
from hiereval.degenerate import points_trouble, undefined
from hiereval.estimates import ones
from hiereval.item_statistics import Auroc, AveragePrecision, Mean, with_chance
from hiereval.types import Chains, Dataset, Metric, Modality, Null, NullKind, Scores, Space

Negatives = Literal["both", "released", "documented"]
DRAWS = 200  # of each null: one costs an inner product of every pair


@dataclass(frozen=True)
class Entailment:
    """Exterior angles of caption pairs: triplets, positives against negatives, direction."""

    negatives: Negatives = "both"  # which pairs auroc and average_precision rank against

    name: ClassVar[str] = "entailment"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("hierarcaps-expanded",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "triplet_accuracy_released",
            "share of triplets with Xi(P[k], P[k+1]) < Xi(P[k], N[k]), as in the released code",
            Mean("released"),
            chance=0.5,
        ),
        Metric(
            "triplet_accuracy_documented",
            "share of triplets with Xi(P[k], P[k+1]) < Xi(P[k], N[k+1]), as in the paper",
            Mean("documented"),
            chance=0.5,
            role="headline",
        ),
        Metric(
            "auroc",
            "AUROC of minus the exterior angle over all positive and negative pairs",
            Auroc("positive", "negative"),
            chance=0.5,
        ),
        Metric(
            "average_precision",
            "average precision of minus the exterior angle (chance: the share of positives)",
            AveragePrecision("positive", "negative"),
        ),
        Metric(
            "direction_accuracy",
            "share of pairs with Xi(general, specific) < Xi(specific, general)",
            Mean("direction"),
            chance=0.5,
        ),
    )

    def metrics_of(self, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
        """Return the metrics, average precision with its chance on these items."""
        return with_chance(self.metrics, items)

    def unfit(self, dataset: Chains) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        if dataset.negatives is None:
            return f"{dataset.name} has no negative captions"
        if dataset.chains.shape[1] < 2:
            return f"{dataset.name} has chains of one caption; entailment needs two"
        return None

    def score(self, space: Space, dataset: Chains, generator: Generator) -> Scores:
        """Score each chain by the angles of its pairs, each [k - 1].

        An angle is undefined (NaN) where its two captions are the same string or have the same
        vector, and where the general one stands at the root; what needs it is left out.
        """
        assert dataset.negatives is not None
        chains, wrong = torch.from_numpy(dataset.chains), torch.from_numpy(dataset.negatives)
        general, specific = chains[:, :-1], chains[:, 1:]
        forward = _angles(space, general, specific)
        backward = _angles(space, specific, general)
        released = _angles(space, general, wrong[:, :-1])
        documented = _angles(space, general, wrong[:, 1:])
        items = self._items(forward, backward, released, documented)
        trouble = undefined(self.metrics, points_trouble(space, images=False))
        return Scores(
            ids=[f"chain {i}" for i in range(len(chains))],
            items=items,
            undefined=trouble or _undefined(self.metrics, items),
            nulls=self._nulls(space, dataset),
            details=lambda i: {
                "captions": [dataset.texts[t] for t in chains[i].tolist()],
                "negatives": [dataset.texts[t] for t in wrong[i].tolist()],
                "angles": _listed(forward[i]),
                "angles_backward": _listed(backward[i]),
                "angles_negative_released": _listed(released[i]),
                "angles_negative_documented": _listed(documented[i]),
            },
        )

    def blind(self, dataset: Chains) -> Mapping[str, Scores]:
        """Return what a caption's words, characters, ... score as minus its angle, and whether it
        is one of the negative captions."""
        assert dataset.negatives is not None
        negative = torch.zeros(len(dataset.texts), dtype=torch.float64)
        negative[torch.from_numpy(dataset.negatives).reshape(-1)] = -1.0
        spaces = blind.text_spaces(dataset.texts) | {"pool-membership": blind.line(negative)}
        return blind.scores(self, dataset, spaces)

    def _items(
        self, forward: Tensor, backward: Tensor, released: Tensor, documented: Tensor
    ) -> dict[str, Tensor]:
        """Return the items of angles [c, k - 1], or of b samples of them [b, c, k - 1]."""
        ranked = {
            "both": torch.cat([released, documented], -1),
            "released": released,
            "documented": documented,
        }
        return {
            "released": _less(forward, released),
            "documented": _less(forward, documented),
            "direction": _less(forward, backward),
            "positive": -forward,
            "negative": -ranked[self.negatives],
        }

    def _nulls(self, space: Space, dataset: Chains) -> dict[NullKind, Null]:
        """Vectors dealt out to all strings, within equal word count, and within a tier: a tier
        alone tells P[k+1] from N[k], but not from N[k+1]."""
        assert dataset.negatives is not None
        chains, wrong = torch.from_numpy(dataset.chains), torch.from_numpy(dataset.negatives)
        steps = chains.shape[1] - 1
        general = chains[:, :-1].repeat(1, 3)
        other = torch.cat([chains[:, 1:], wrong[:, :-1], wrong[:, 1:]], 1)
        angles = Angles(space, space.text, space.text)

        def items(dealt: Tensor) -> dict[str, Tensor]:
            angle, backward = angles.both(dealt[:, general], dealt[:, other], backward=steps)
            angle = angle.double().masked_fill(general == other, torch.nan)
            forward, released, documented = angle.split(steps, -1)
            backward = backward.double().masked_fill(forward.isnan(), torch.nan)
            return self._items(forward, backward, released, documented)

        groups = nulls.groups_of_texts(dataset.texts) | {"within-tier": _tiers(chains, wrong)}
        return nulls.reassigned(self.metrics, groups, items, size=10 * general.numel(), draws=DRAWS)


def _tiers(chains: Tensor, wrong: Tensor) -> Tensor:
    """Return the first tier at which each text stands, in a chain or as a negative."""
    text = torch.cat([chains, wrong])
    tier = torch.arange(chains.shape[1]).expand_as(text)
    first = torch.full((int(text.max()) + 1,), chains.shape[1])
    return first.scatter_reduce_(0, text.reshape(-1), tier.reshape(-1), "amin")


def _angles(space: Space, general: Tensor, specific: Tensor) -> Tensor:
    """Return Xi of text pairs [c, j] in float64, NaN for a pair of one and the same text."""
    columns = [
        space.exterior_angle(space.text[a], space.text[b])
        for a, b in zip(general.unbind(1), specific.unbind(1), strict=True)
    ]
    return torch.stack(columns, 1).double().masked_fill(general == specific, torch.nan)


def _less(x: Tensor, y: Tensor) -> Tensor:
    """Return 1.0 where x < y, 0.0 elsewhere, NaN where either is."""
    return (x < y).double().masked_fill(x.isnan() | y.isnan(), torch.nan)


def _listed(row: Tensor) -> list[float | None]:
    return [value if value == value else None for value in row.tolist()]


def _undefined(metrics: tuple[Metric, ...], items: Mapping[str, Tensor]) -> dict[str, str]:
    reason = "every exterior angle is undefined: captions are equal or stand at the root"
    weights = ones(len(items["positive"]))
    found = [metric for metric in metrics if metric.statistic(items, weights).isnan()]
    return undefined(found, reason)
