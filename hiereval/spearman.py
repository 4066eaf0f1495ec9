"""Spearman's rank correlation of resampled items, exact, for all resamples at once.

A resample is a row of weights: how often each item was drawn. The correlation here equals the
plain one on the list that holds item i weights[i] times (Spearman 1904, ties by average ranks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

CHUNK = 1 << 17  # ranks held at once: they stay in the cache


def average_ranks(
    values: Float64[Tensor, " n"], weights: Float64[Tensor, "b n"]
) -> Float64[Tensor, "b n"]:
    """Return each item's rank, from 1, in each resample; ties share their average rank.

    Exact: ranks are multiples of one half. An item that was not drawn gets a rank without use.

    As they are, and resampled as 3, 1, 1, 2:

    >>> weights = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 0.0, 1.0]]).double()
    >>> average_ranks(torch.tensor([3.0, 1.0, 3.0, 2.0]).double(), weights).tolist()
    [[3.5, 1.0, 3.5, 2.0], [4.0, 1.5, 4.0, 3.0]]
    """
    distinct, group = values.unique(return_inverse=True)
    size = weights.new_zeros(len(weights), len(distinct)).index_add_(1, group, weights)
    return (size.cumsum(dim=1) - size + (size + 1.0) / 2.0)[:, group]


def spearman(
    x: Float64[Tensor, " n"], y: Float64[Tensor, " n"], weights: Float64[Tensor, "b n"]
) -> Float64[Tensor, " b"]:
    """Return each resample's rho in [-1, 1]; NaN where x or y has fewer than two values in it.

    x and y must not be NaN. All sums are of multiples of 1/4, exact below 2^53, so the order of
    the items cannot matter.
    """

    def one(w: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
        middle = (w.sum(1, keepdim=True) + 1.0) / 2.0  # the mean rank
        a, b = average_ranks(x, w) - middle, average_ranks(y, w) - middle
        spread = (w * a * a).sum(1).sqrt() * (w * b * b).sum(1).sqrt()
        rho = (w * a * b).sum(1) / spread
        return rho.clamp(-1.0, 1.0).masked_fill(spread == 0, torch.nan)

    return torch.cat([one(chunk) for chunk in weights.split(max(1, CHUNK // max(1, len(x))))])


def spearman_rows(x: Float64[Tensor, "b n"], y: Float64[Tensor, "b n"]) -> Float64[Tensor, " b"]:
    """Return rho of each row of x with the same row of y; NaN where either does not vary."""
    a, b = (2.0 * _row_ranks(z) - (z.shape[1] + 1.0) for z in (x, y))  # whole numbers, mean zero
    spread = (a * a).sum(1).sqrt() * (b * b).sum(1).sqrt()
    return ((a * b).sum(1) / spread).clamp(-1.0, 1.0).masked_fill(spread == 0, torch.nan)


def _row_ranks(x: Float64[Tensor, "b n"]) -> Float64[Tensor, "b n"]:
    """Return each number's rank in its row, from 1; ties share their average rank."""
    ordered = torch.from_numpy(np.sort(x.numpy(), axis=1))  # by vector instructions
    less = torch.searchsorted(ordered, x.contiguous())
    upto = torch.searchsorted(ordered, x.contiguous(), right=True)
    return (less + upto + 1).double() / 2.0


@dataclass(frozen=True)
class Spearman:
    """The correlation of items[x] and items[y] over pairs without NaN, where items[where]."""

    x: str
    y: str
    where: str | None = None  # name of a boolean item; None: all items

    def defined(self, items: Mapping[str, Tensor]) -> Bool[Tensor, " n"]:
        """Return which items enter."""
        keep = items[self.x].isfinite() & items[self.y].isfinite()
        return keep if self.where is None else keep & items[self.where]

    def __call__(
        self, items: Mapping[str, Tensor], weights: Float64[Tensor, "b n"]
    ) -> Float64[Tensor, " b"]:
        keep = self.defined(items)
        return spearman(
            items[self.x][keep].double(), items[self.y][keep].double(), weights[:, keep]
        )

    def batch(self, items: Mapping[str, Tensor]) -> Float64[Tensor, " b"]:
        """Return each sample's, of items [b, n]; `where` is the same in all samples."""
        x, y = (items[key].double() for key in (self.x, self.y))
        if self.where is not None:
            keep = items[self.where][0]
            x, y = x[:, keep], y[:, keep]
        if not x.shape[1]:
            return x.new_full((len(x),), torch.nan)
        rows = [one.expand(max(len(x), len(y)), -1) for one in (x, y)]
        whole = rows[0].isfinite().all(1) & rows[1].isfinite().all(1)
        rho = spearman_rows(rows[0].nan_to_num(0.0), rows[1].nan_to_num(0.0))
        for i in (~whole).nonzero()[:, 0].tolist():
            a, b = (row[i] for row in rows)
            keep = a.isfinite() & b.isfinite()
            rho[i] = spearman(a[keep], b[keep], a.new_ones(1, int(keep.sum())))[0]
        return rho
