"""Rank statistics: Kendall's tau of short rows, weighted AUROC and average precision.

Scores are sorted once; each resample is then a cumulative sum of weights. Ties are ties: half a
pair in AUROC, one threshold in average precision, neither concordant nor discordant in tau.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

CHUNK = 1 << 20  # pair weights held at once: they stay in the cache


def pair_signs(x: Float[Tensor, "n k"]) -> Float64[Tensor, "n p"]:
    """Return sign(x[j] - x[i]) for the p = k (k - 1) / 2 pairs i < j of each row (NaN: NaN)."""
    i, j = torch.triu_indices(x.shape[1], x.shape[1], 1)
    return (x[:, j] - x[:, i]).double().sign()


def kendall(x: Float[Tensor, "n k"]) -> Float64[Tensor, " n"]:
    """Return Kendall's tau-b of each row with 1..k; NaN where the row is all equal or not finite.

    In [-1, 1]. Ties shrink the denominator: concordant minus discordant pairs over
    sqrt(untied pairs x all pairs) (Kendall 1945).
    """
    signs = pair_signs(x)
    return signs.sum(1) / (signs.abs().sum(1) * signs.shape[1]).sqrt()


@dataclass(frozen=True, eq=False)
class Pairs:
    """Positive and negative scores of items, sorted: `low[p]` negatives in order come before
    those equal to positive p, `high[p]` before those above it, `first[p]` before its stratum."""

    positive: Int64[Tensor, " p"]  # item of each positive, by ascending score
    negative: Int64[Tensor, " q"]  # item of each negative, by ascending stratum and score
    first: Int64[Tensor, " p"]
    low: Int64[Tensor, " p"]
    high: Int64[Tensor, " p"]
    last: Int64[Tensor, " p"]
    tied: Int64[Tensor, " p"]  # positives in order before those equal to positive p

    @staticmethod
    def of(
        positive: Tensor,
        negative: Tensor,
        positive_stratum: Tensor | None = None,
        negative_stratum: Tensor | None = None,
    ) -> Pairs:
        """Sort scores [n] or [n, c] (NaN left out), optionally within integer strata."""
        p_item, p_score, p_stratum = _flat(positive, positive_stratum)
        q_item, q_score, q_stratum = _flat(negative, negative_stratum)
        _, rank = torch.cat([p_score, q_score]).unique(return_inverse=True)
        _, stratum = torch.cat([p_stratum, q_stratum]).unique(return_inverse=True)
        n_ranks = len(rank) + 1
        base = stratum * n_ranks
        key = base + rank
        p_key, p_order = key[: len(p_item)].sort(stable=True)
        q_key, q_order = key[len(p_item) :].sort(stable=True)
        p_base = base[: len(p_item)][p_order]
        return Pairs(
            positive=p_item[p_order],
            negative=q_item[q_order],
            first=torch.searchsorted(q_key, p_base),
            low=torch.searchsorted(q_key, p_key),
            high=torch.searchsorted(q_key, p_key, right=True),
            last=torch.searchsorted(q_key, p_base + n_ranks),
            tied=torch.searchsorted(p_key, p_key),
        )


def auroc(pairs: Pairs, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
    """Return the share of (positive, negative) pairs ranked right, ties half; NaN without pairs.

    A pair weighs the product of its items' weights; with strata only pairs within one count, so
    that each stratum's AUROC enters in proportion to its pairs.
    """

    def one(w: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        below = _cumulative(w, pairs.negative)
        own = w[:, pairs.positive]
        start = below[:, pairs.first]
        right = (below[:, pairs.low] + below[:, pairs.high]) / 2 - start
        return (own * right).sum(1) / (own * (below[:, pairs.last] - start)).sum(1)

    return _chunked(one, pairs, weights)


def average_precision(pairs: Pairs, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
    """Return sum over thresholds of (recall step x precision); NaN without a positive.

    Tied scores are one threshold, as in scikit-learn's average_precision_score. Strata are not
    supported.
    """

    def one(w: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        negatives, positives = _cumulative(w, pairs.negative), _cumulative(w, pairs.positive)
        own = w[:, pairs.positive]
        true = positives[:, -1:] - positives[:, pairs.tied]
        false = negatives[:, -1:] - negatives[:, pairs.low]
        precision = true / (true + false)
        return (own * precision.nan_to_num(0.0)).sum(1) / positives[:, -1]

    return _chunked(one, pairs, weights)


def _flat(
    score: Tensor, stratum: Tensor | None
) -> tuple[Int64[Tensor, " m"], Float64[Tensor, " m"], Int64[Tensor, " m"]]:
    """Return item, score and stratum of every finite entry of [n] or [n, c]."""
    score = score.reshape(len(score), -1).double()
    keep = score.isfinite()
    item = torch.arange(len(score))[:, None].expand_as(score)
    groups = torch.zeros_like(item) if stratum is None else stratum.reshape(score.shape).long()
    return item[keep], score[keep], groups[keep]


def _cumulative(
    weights: Float64[Tensor, "b n"], index: Int64[Tensor, " m"]
) -> Float64[Tensor, "b m+1"]:
    total = weights.new_zeros(len(weights), len(index) + 1)
    torch.cumsum(weights[:, index], 1, out=total[:, 1:])
    return total


def _chunked(
    one: Callable[[Tensor], Tensor], pairs: Pairs, weights: Float64[Tensor, "b n"]
) -> Float64[Tensor, " b"]:
    size = len(pairs.positive) + len(pairs.negative)
    if not len(pairs.positive) or not len(pairs.negative):
        return weights.new_full((len(weights),), torch.nan)
    return torch.cat([one(chunk) for chunk in weights.split(max(1, CHUNK // size))])
