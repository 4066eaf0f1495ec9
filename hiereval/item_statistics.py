"""The statistics of metrics: items and weights [b, n], how often each was drawn, to [b] float64.

With weights of ones that is the value, with the counts of a resample a bootstrap replicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from hiereval.ranks import Ranking, auroc, average_precision, precisions, wins
from hiereval.types import Metric

Items = Mapping[str, Tensor]


@dataclass(frozen=True)
class Mean:
    """The mean of items[key] ([n] or [n, c]) over all finite entries; NaN means undefined."""

    key: str
    column: int | None = None

    def _values(self, items: Items) -> Float64[Tensor, "n c"]:
        values = items[self.key].double().reshape(len(items[self.key]), -1)
        return values if self.column is None else values[:, self.column, None]

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return self._values(items).isfinite().any(-1)

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        values = self._values(items)
        finite = values.isfinite()
        total = weights @ values.where(finite, values.new_zeros(())).sum(-1)
        return total / (weights @ finite.double().sum(-1))

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        values = _row(items, self.key, self.column)
        return values.masked_fill(~values.isfinite(), torch.nan).nanmean(1)


@dataclass(frozen=True)
class F1:
    """The harmonic mean of averaged precision and averaged recall; 0 where both are 0."""

    precision: Mean
    recall: Mean

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return self.precision.defined(items) & self.recall.defined(items)

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        return self._of(self.precision(items, weights), self.recall(items, weights))

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        return self._of(self.precision.batch(items), self.recall.batch(items))

    @staticmethod
    def _of(p: Float64[Tensor, " b"], r: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return (2 * p * r / (p + r)).masked_fill((p == 0) & (r == 0), 0.0)


@dataclass(frozen=True)
class Auroc:
    """How often items[positive] exceeds items[negative] (ties count half), over all pairs, or
    over pairs within equal items[strata[0]] (of positives) and items[strata[1]] (of negatives)."""

    positive: str  # [n] or [n, c]; NaN entries are left out
    negative: str
    strata: tuple[str, str] | None = None
    column: int | None = None  # of all of them

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return _any_finite(items, self.column, self.positive, self.negative)

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        positive = _column(items, self.positive, self.column)
        negative = _column(items, self.negative, self.column)
        if self.strata is None:
            return auroc(Ranking.of(positive, negative), weights)
        own, other = (_column(items, key, self.column) for key in self.strata)
        strata = [
            Ranking.of(
                positive.masked_fill(own != stratum, torch.nan),
                negative.masked_fill(other != stratum, torch.nan),
            )
            for stratum in own.unique()
        ]
        return auroc(strata, weights)

    def pairs(self, items: Items) -> int | None:
        """Return how many pairs lie within strata; None without strata: all of them."""
        if self.strata is None:
            return None
        finite = [_column(items, k, self.column).isfinite() for k in (self.positive, self.negative)]
        own, other = (
            _column(items, key, self.column)[where]
            for key, where in zip(self.strata, finite, strict=True)
        )
        return sum(int((own == s).sum() * (other == s).sum()) for s in own.unique())

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        """Strata must be the same in all samples."""
        positive, negative = (_row(items, k, self.column) for k in (self.positive, self.negative))
        if self.strata is None:
            won, pairs = wins(positive, negative)
            return won / pairs
        own, other = (_row(items, key, self.column)[0] for key in self.strata)
        parts = [
            wins(positive[:, own == stratum], negative[:, other == stratum])
            for stratum in own.unique()
        ]
        won, pairs = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
        return won / pairs


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision of items[positive] ranked among items[negative], ties grouped."""

    positive: str
    negative: str

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return _any_finite(items, None, self.positive, self.negative)

    def chance(self, items: Items) -> float | None:
        """Return the share of positives, which a random ranking scores; None without any score."""
        positive, negative = (
            int(items[k].isfinite().sum()) for k in (self.positive, self.negative)
        )
        return positive / (positive + negative) if positive + negative else None

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        return average_precision(Ranking.of(items[self.positive], items[self.negative]), weights)

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        return precisions(_row(items, self.positive), _row(items, self.negative)).nanmean(1)


@dataclass(frozen=True)
class MeanOf:
    """The mean of several statistics; NaN where any of them is."""

    parts: tuple[Mean | Auroc, ...]

    def defined(self, items: Items) -> Bool[Tensor, " n"]:
        return torch.stack([part.defined(items) for part in self.parts]).any(0)

    def __call__(self, items: Items, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        return torch.stack([part(items, weights) for part in self.parts]).mean(0)

    def pairs(self, items: Items) -> int | None:
        """Return the pairs of the part that has the fewest."""
        counts = [part.pairs(items) for part in self.parts if isinstance(part, Auroc)]
        return min((count for count in counts if count is not None), default=None)

    def batch(self, items: Items) -> Float64[Tensor, " b"]:
        return torch.stack([part.batch(items) for part in self.parts]).mean(0)


def with_chance(metrics: Sequence[Metric], items: Items) -> tuple[Metric, ...]:
    """Return the metrics with the chance level that average precision has on these items."""
    return tuple(
        replace(metric, chance=metric.statistic.chance(items))
        if isinstance(metric.statistic, AveragePrecision) and metric.statistic.positive in items
        else metric
        for metric in metrics
    )


def _column(items: Items, key: str, column: int | None) -> Tensor:
    values = items[key]
    return values if column is None else values[:, column]


def _row(items: Items, key: str, column: int | None = None) -> Float64[Tensor, "b m"]:
    """Return each sample's values as one row, those of one column [b, n, column] or all."""
    values = items[key].double()
    return (values if column is None else values[:, :, column]).flatten(1)


def _any_finite(items: Items, column: int | None, *keys: str) -> Bool[Tensor, " n"]:
    parts = [_column(items, key, column) for key in keys]
    return torch.cat([part.reshape(len(part), -1).isfinite() for part in parts], 1).any(1)
