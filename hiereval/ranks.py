"""Rank statistics: Kendall's tau of short rows, weighted AUROC and average precision.

Scores are sorted once. All resamples then go down the distinct scores of the positives together,
in blocks that stay in the cache. Ties are ties: half a pair in AUROC, one threshold in average
precision, neither concordant nor discordant in tau.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn.functional import embedding_bag

THRESHOLDS, RESAMPLES = 128, 512  # a block


def pair_signs(x: Float[Tensor, "*n k"]) -> Float64[Tensor, "*n p"]:
    """Return sign(x[j] - x[i]) for the p = k (k - 1) / 2 pairs i < j of each row (NaN: NaN)."""
    i, j = torch.triu_indices(x.shape[-1], x.shape[-1], 1)
    difference = (x[..., j] - x[..., i]).double()
    return difference.sign().masked_fill(difference.isnan(), torch.nan)


def kendall(x: Float[Tensor, "*n k"]) -> Float64[Tensor, "*n"]:
    """Return Kendall's tau-b of each row with 1..k; NaN where the row is all equal or not finite.

    In [-1, 1]. Ties shrink the denominator: concordant minus discordant pairs over
    sqrt(untied pairs x all pairs) (Kendall 1945).

    A chain in order, one backwards, one with two ties (4 pairs right of 6, sqrt(4 x 6)), and a
    constant one, which has no order:

    >>> radii = torch.tensor([[1.0, 2, 3, 4], [4, 3, 2, 1], [1, 1, 2, 2], [5, 5, 5, 5]])
    >>> [round(tau, 3) for tau in kendall(radii).tolist()]
    [1.0, -1.0, 0.816, nan]
    """
    signs = pair_signs(x)
    return signs.sum(-1) / (signs.abs().sum(-1) * signs.shape[-1]).sqrt()


@dataclass(frozen=True, eq=False)
class Ranking:
    """The items of p positive and q negative scores, largest first, and g distinct thresholds.

    Four items, each with a positive and a negative score. The positives have three thresholds,
    .9, .4 (twice) and .1; above .4 stands one negative (.5), and one more is equal to it:

    >>> positive, negative = torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([0.5, 0.4, 0.2, 0.0])
    >>> ranking = Ranking.of(positive, negative)
    >>> ranking.first.tolist(), ranking.above.tolist(), ranking.within.tolist()
    ([0, 1, 3], [0, 1, 3], [0, 2, 3])
    """

    positive: Int64[Tensor, " p"]
    negative: Int64[Tensor, " q"]
    first: Int64[Tensor, " g"]  # positives above each threshold
    above: Int64[Tensor, " g"]  # negatives above it
    within: Int64[Tensor, " g"]  # negatives above it or equal to it

    @staticmethod
    def of(positive: Float[Tensor, "n ..."], negative: Float[Tensor, "n ..."]) -> Ranking:
        """Sort the scores of n items, each with any number of either; NaN is left out."""
        p_item, p_score = _largest_first(positive)
        q_item, q_score = _largest_first(negative)
        threshold, count = (-p_score).unique_consecutive(return_counts=True)
        return Ranking(
            p_item,
            q_item,
            first=count.cumsum(0) - count,
            above=torch.searchsorted(-q_score, threshold),
            within=torch.searchsorted(-q_score, threshold, right=True),
        )

    def blocks(self, weights: Float64[Tensor, "n b"]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield, block by block, the weight of positives at each threshold, of negatives above
        it or equal to it, and of negatives equal to it, each [g, b].

        One block here: each sum goes on where the one before stopped, so nothing is added twice.

        >>> ranking = Ranking.of(torch.tensor([[0.9], [0.4]]), torch.tensor([[0.5], [0.4]]))
        >>> weights = torch.tensor([[1.0, 2.0], [1.0, 0.0]]).double()
        >>> for own, within, equal in ranking.blocks(weights):
        ...     print(own.tolist(), within.tolist(), equal.tolist())
        [[1.0, 2.0], [1.0, 0.0]] [[0.0, 0.0], [2.0, 2.0]] [[0.0, 0.0], [1.0, 0.0]]
        """
        seen = weights.new_zeros(weights.shape[1])
        done = 0
        ends = torch.cat([self.first[1:], self.first.new_tensor([len(self.positive)])])
        for g in range(0, len(self.first), THRESHOLDS):
            block = slice(g, g + THRESHOLDS)
            first, above, upto = self.first[block], self.above[block], self.within[block]
            start, end, last = int(first[0]), int(ends[block][-1]), int(upto[-1])
            own = _sums(weights, self.positive[start:end], first - start)
            stops = torch.stack([above, upto], 1).reshape(-1)
            begins = torch.cat([stops.new_tensor([done]), stops[:-1]]) - done
            sums = _sums(weights, self.negative[done:last], begins)
            between, equal = sums[0::2], sums[1::2]
            within = seen + weights.new_ones(len(own), len(own)).tril() @ (between + equal)
            yield own, within, equal
            seen, done = within[-1], last


def auroc(
    rankings: Ranking | list[Ranking], weights: Float64[Tensor, "b n"]
) -> Float64[Tensor, " b"]:
    """Return the share of (positive, negative) pairs ranked right, ties half; NaN without pairs.

    A pair weighs the product of its items' weights. Of several rankings (strata) the pairs within
    each count, so that a stratum enters in proportion to its pairs.

    Of the 16 pairs of these four items, the .9 wins 4, each .4 wins 2 and ties once, the .1 wins 1.
    The second column of weights draws the first item twice and the last not at all:

    >>> ranking = Ranking.of(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([0.5, 0.4, 0.2, 0.0]))
    >>> weights = torch.tensor([[1.0, 1, 1, 1], [2, 1, 1, 0]]).double()
    >>> auroc(ranking, weights).tolist()  # (4 + 2.5 + 2.5 + 1) / 16, (2 x 4 + 1.5 + 1.5) / 16
    [0.625, 0.6875]
    """
    strata = [rankings] if isinstance(rankings, Ranking) else rankings

    def one(w: Float64[Tensor, "n b"]) -> Float64[Tensor, " b"]:
        wrong, pairs = w.new_zeros(w.shape[1]), w.new_zeros(w.shape[1])
        for ranking in strata:
            for own, within, equal in ranking.blocks(w):
                wrong += (own * (within - equal / 2)).sum(0)
            pairs += _total(w, ranking.positive) * _total(w, ranking.negative)
        return (pairs - wrong) / pairs

    return _chunked(one, weights)


def average_precision(ranking: Ranking, weights: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
    """Return sum over thresholds of (recall step x precision); NaN without pairs.

    Tied scores are one threshold, as in scikit-learn's average_precision_score.

    Down to .9 precision is 1/1, down to .4 it is 3/5, down to .1 it is 4/7:

    >>> ranking = Ranking.of(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([0.5, 0.4, 0.2, 0.0]))
    >>> value = average_precision(ranking, torch.ones(1, 4, dtype=torch.float64)).item()
    >>> round(value, 12) == round(1 / 4 * 1 / 1 + 2 / 4 * 3 / 5 + 1 / 4 * 4 / 7, 12)
    True
    """

    def one(w: Float64[Tensor, "n b"]) -> Float64[Tensor, " b"]:
        area, true = w.new_zeros(w.shape[1]), w.new_zeros(w.shape[1])
        for own, within, _ in ranking.blocks(w):
            hits = true + w.new_ones(len(own), len(own)).tril() @ own
            area += (own * (hits / (hits + within)).nan_to_num(0.0)).sum(0)
            true = hits[-1]
        return (area / true).masked_fill(_total(w, ranking.negative) == 0, torch.nan)

    return _chunked(one, weights)


# --- many samples, each ranked for itself --------------------------------------------------------


def wins(
    positive: Float[Tensor, "b p"], negative: Float[Tensor, "b q"]
) -> tuple[Float64[Tensor, " b"], Float64[Tensor, " b"]]:
    """Return for each row how many pairs are ranked right (ties half), and how many there are.

    Their ratio is the AUROC. What is not finite is left out.

    >>> positive, negative = torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 0.0, torch.nan]])
    >>> [count.item() for count in wins(positive, negative)]
    [3.5, 4.0]
    """
    (above, p), (below, q) = _ascending(positive), _ascending(negative)
    less = upto = torch.searchsorted(below, above)
    if not below.shape[1]:
        return torch.zeros_like(p).double(), torch.zeros_like(p).double()
    if bool((below.gather(1, less.clamp(max=below.shape[1] - 1)) == above).any()):
        upto = torch.searchsorted(below, above, right=True)  # there are ties
    absent = below.shape[1] - q[:, None]
    won = ((less + upto).double() / 2 - absent).where(above > -torch.inf, 0.0)
    return won.sum(1), (p * q).double()


def precisions(
    positive: Float[Tensor, "b p"], negative: Float[Tensor, "b q"]
) -> Float64[Tensor, "b p"]:
    """Return the precision at the threshold of each row's positives; their mean is the average
    precision. NaN for a positive that is not finite and in a row without a negative.

    Down to .9 one positive and no negative are taken, down to .5 two and two:

    >>> positive, negative = torch.tensor([[0.9, 0.5]]), torch.tensor([[0.7, 0.5, 0.1]])
    >>> precisions(positive, negative).tolist()  # by ascending score
    [[0.5, 1.0]]
    """
    (at, _), (below, q) = _ascending(positive), _ascending(negative)
    place = torch.arange(at.shape[1]).expand_as(at).clone()
    place[:, 1:][at[:, 1:] == at[:, :-1]] = 0
    true = at.shape[1] - place.cummax(1).values  # equal scores are one threshold
    false = below.shape[1] - torch.searchsorted(below, at)
    found = true / (true + false).double()
    return found.masked_fill((at == -torch.inf) | (q == 0)[:, None], torch.nan)


def _ascending(
    score: Float[Tensor, "b m"],
) -> tuple[Float[Tensor, "b m"], Int64[Tensor, " b"]]:
    """Return each row sorted, what is not finite first as -inf, and how much of it is finite."""
    finite = score.isfinite()
    filled = score.masked_fill(~finite, -torch.inf).numpy()
    # NumPy sorts by vector instructions, several times as fast as torch
    return torch.from_numpy(np.sort(filled, axis=1)), finite.sum(1)


def _largest_first(
    score: Float[Tensor, "n ..."],
) -> tuple[Int64[Tensor, " m"], Float64[Tensor, " m"]]:
    score = score.reshape(len(score), -1).double()
    keep = score.isfinite()
    item = torch.arange(len(score))[:, None].expand_as(score)
    ordered, order = score[keep].sort(descending=True, stable=True)
    return item[keep][order], ordered


def _sums(
    weights: Float64[Tensor, "n b"], items: Int64[Tensor, " m"], begins: Int64[Tensor, " g"]
) -> Float64[Tensor, "g b"]:
    """Return the summed weights of consecutive runs of items; an empty run sums to zero."""
    return embedding_bag(items, weights, begins, mode="sum")


def _total(weights: Float64[Tensor, "n b"], items: Int64[Tensor, " m"]) -> Float64[Tensor, " b"]:
    return torch.bincount(items, minlength=len(weights)).double() @ weights


def _chunked(
    one: Callable[[Tensor], Tensor], weights: Float64[Tensor, "b n"]
) -> Float64[Tensor, " b"]:
    return torch.cat([one(chunk.T.contiguous()) for chunk in weights.split(RESAMPLES)])
