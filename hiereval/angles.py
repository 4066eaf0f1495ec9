"""Exterior angles of many pairs of points, by index: no [pairs, d] copies are made.

An exterior angle follows from both radii and one inner product. The products of all pairs that
are asked for are computed in one pass (a sampled matrix product), tile by tile, so that the tile
stays in the cache; where all pairs are few enough, they are a table and a lookup.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hiereval.types import Space

TABLE = 1 << 24  # angles that are kept rather than computed anew
TILE = 4096  # specific points whose products are computed together, at least
TILES = 16  # at most: each goes through all general points
CHUNK = 1 << 22  # numbers held at once where a space has no products


@runtime_checkable
class ByProducts(Protocol):
    """A Space whose exterior angle follows from both radii and an inner product of two points."""

    def radius_of(self, x: Tensor) -> Tensor:
        """[n, d] -> [n] distance from the root."""
        ...

    def product_points(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[n, d] -> two [n, e]: x as the left and as the right side of the product."""
        ...

    def angle_of_product(self, product: Tensor, general: Tensor, specific: Tensor) -> Tensor:
        """Product and both radii, each [n] -> exterior angle at the general point [n]."""
        ...


@dataclass(frozen=True, eq=False)
class Angles:
    """Xi of general and specific points, looked up by their indices."""

    space: Space
    general: Float[Tensor, "n d"]
    specific: Float[Tensor, "m d"]

    def of(self, i: Int64[Tensor, "*p"], j: Int64[Tensor, "*p"]) -> Float[Tensor, "*p"]:
        """Return Xi(general[i], specific[j]).

        From inner products it is exact to rounding, and NaN where rounding decides: where two
        points are the same, or the general one is the root.
        """
        return self.both(i, j, backward=0)[0]

    def both(
        self, i: Int64[Tensor, "*p"], j: Int64[Tensor, "*p"], backward: int
    ) -> tuple[Float[Tensor, "*p"], Float[Tensor, "*q"]]:
        """Return the same, and of the first `backward` pairs (along the last axis) also the angle
        the other way round, Xi(specific[j], general[i])."""
        if not isinstance(self.space, ByProducts):
            ri, rj = i[..., :backward], j[..., :backward]
            back = self._direct(self.specific, self.general, rj, ri)
            return self._direct(self.general, self.specific, i, j), back
        if self._is_table:
            at = j * len(self.general) + i
            return _taken(self._forward, at), (
                _taken(self._backward, at[..., :backward]) if backward else at[..., :0].float()
            )
        product = products(*self._sides, i.reshape(-1), j.reshape(-1)).view(i.shape)
        general, specific = _taken(self._radii[0], i), _taken(self._radii[1], j)
        return self.space.angle_of_product(product, general, specific), (
            self.space.angle_of_product(*(x[..., :backward] for x in (product, specific, general)))
        )

    @cached_property
    def _radii(self) -> tuple[Tensor, Tensor]:
        assert isinstance(self.space, ByProducts)
        return self.space.radius_of(self.general), self.space.radius_of(self.specific)

    @cached_property
    def _sides(self) -> tuple[Tensor, Tensor]:
        assert isinstance(self.space, ByProducts)
        left, right = self.space.product_points(self.general)
        if self.specific is not self.general:
            right = self.space.product_points(self.specific)[1]
        return left, right

    @property
    def _is_table(self) -> bool:
        return len(self.general) * len(self.specific) <= TABLE

    @cached_property
    def _forward(self) -> Float[Tensor, " q"]:
        """Return Xi(general[i], specific[j]) of all pairs, one j after another, because most look
        up many i for one j."""
        return self._of_all(backward=False)

    @cached_property
    def _backward(self) -> Float[Tensor, " q"]:
        """Return Xi(specific[j], general[i]) of all pairs in the same order."""
        return self._of_all(backward=True)

    def _of_all(self, *, backward: bool) -> Float[Tensor, " q"]:
        assert isinstance(self.space, ByProducts)
        left, right = self._sides
        general, specific = self._radii
        n = max(1, CHUNK // max(1, len(left)))
        found = []
        for points, radius in zip(right.split(n), specific.split(n), strict=True):
            product = points @ left.T
            radii = general.expand_as(product), radius[:, None].expand_as(product)
            found.append(self.space.angle_of_product(product, *radii[:: -1 if backward else 1]))
        return torch.cat([angles.reshape(-1) for angles in found])

    def _direct(self, first: Tensor, second: Tensor, i: Tensor, j: Tensor) -> Tensor:
        chunk = max(1, CHUNK // first.shape[1])
        pairs = zip(i.reshape(-1).split(chunk), j.reshape(-1).split(chunk), strict=True)
        parts = [self.space.exterior_angle(first[a], second[b]) for a, b in pairs]
        return torch.cat(parts).view(i.shape)


def _taken(table: Float[Tensor, " q"], at: Int64[Tensor, "*p"]) -> Float[Tensor, "*p"]:
    """Return table[at], in half the time that indexing by a tensor of many axes takes."""
    return table.index_select(0, at.reshape(-1)).view(at.shape)


def products(
    x: Float[Tensor, "n e"], y: Float[Tensor, "m e"], i: Int64[Tensor, " p"], j: Int64[Tensor, " p"]
) -> Float[Tensor, " p"]:
    """Return x[i] . y[j], pair by pair.

    Pairs are sorted by tile of y, then by row of x: each row is read once for all its pairs. Where
    y is too long for tiles that stay in the cache there would be more tiles than a row has pairs,
    and most would pass it by.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> products(x, x, torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0])).tolist()
    [4.0, 1.0, 0.0]
    """
    width = max(TILE, -(-len(y) // TILES))
    order = torch.from_numpy(np.argsort((j // width * len(x) + i).numpy()))
    i, j = i.index_select(0, order), j.index_select(0, order)
    ends = torch.bincount(j // width, minlength=-(-len(y) // width)).cumsum(0).tolist()
    found = []
    for tile, (start, end) in enumerate(pairwise([0, *ends])):
        rows = torch.bincount(i[start:end], minlength=len(x)).cumsum(0)
        points = y[tile * width : (tile + 1) * width]
        found.append(_sampled(x, points, rows, j[start:end] - tile * width))
    return x.new_empty(len(i)).index_copy_(0, order, torch.cat(found))


def _sampled(
    x: Float[Tensor, "n e"], y: Float[Tensor, "m e"], rows: Tensor, columns: Int64[Tensor, " p"]
) -> Float[Tensor, " p"]:
    """Return the products of sorted pairs; `rows` [n] says where each row's pairs end."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        pairs = torch.sparse_csr_tensor(
            torch.cat([rows.new_zeros(1), rows]),
            columns,
            x.new_zeros(len(columns)),
            (len(x), len(y)),
            check_invariants=False,
        )
        return torch.sparse.sampled_addmm(pairs, x, y.T, beta=0.0).values()
