"""Products of hyperboloids: radius, similarity and exterior angle factor by factor.

PHyCLIP (Yoshikawa & Matsubara, ICLR 2026): a vector is cut into k equal parts, the i-th of which
gives the space components of a point on a hyperboloid of curvature -c_i; the distance is the sum
(l1) of the factors' distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hiereval.geometry import LorentzSpace


@dataclass(frozen=True, eq=False)
class ProductLorentzSpace:
    """Points [k e] of k hyperboloids of e space components each, side by side.

    The root is that of every factor (the vertex, at zero, unless a text is the root). Computed in
    float64, returned in the points' type.
    """

    text: Float[Tensor, "t d"]
    image: Float[Tensor, "i d"] | None
    root: Float[Tensor, " d"]
    curvatures: tuple[float, ...]

    @cached_property
    def factors(self) -> tuple[LorentzSpace, ...]:
        """The k hyperboloids."""
        texts, roots = self.split(self.text), self.split(self.root)
        return tuple(
            LorentzSpace(text, None, root, curvature)
            for text, root, curvature in zip(texts, roots, self.curvatures, strict=True)
        )

    def split(self, x: Float[Tensor, "*n d"]) -> tuple[Float[Tensor, "*n e"], ...]:
        """Return a point's parts, one for each factor, in float64."""
        return x.double().unflatten(-1, (len(self.curvatures), -1)).unbind(-2)

    @cached_property
    def radius(self) -> Float[Tensor, " t"]:
        return self.radius_of(self.text).to(self.text.dtype)

    def radius_of(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        """Return the sum of the factors' radii: the distance from the root."""
        return torch.stack(self._parts("radius_of", x)).sum(0)

    def similarity(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        """Return minus the sum of the factors' distances.

        Two points in two planes, 1 apart in the first and 2 in the second:

        >>> at = lambda distance: [math.sinh(distance), 0.0]
        >>> import math
        >>> x, y = torch.tensor([at(0.0) + at(0.0)]), torch.tensor([at(1.0) + at(2.0)])
        >>> space = ProductLorentzSpace(y, None, torch.zeros(4), curvatures=(1.0, 1.0))
        >>> space.similarity(x, y).tolist(), space.radius.tolist()
        ([[-3.0]], [3.0])
        """
        total = x.new_zeros(len(x), len(y), dtype=torch.float64)
        for factor, a, b in zip(self.factors, self.split(x), self.split(y), strict=True):
            total += factor.similarity(a, b)
        return total.to(x.dtype)

    def exterior_angle(
        self, general: Float[Tensor, "*n d"], specific: Float[Tensor, "*n d"]
    ) -> Float[Tensor, "*n"]:
        """Return the mean of the factors' exterior angles, as the entailment loss weighs them.

        NaN where it is undefined in any factor.
        """
        angles = self._parts("exterior_angle", general, specific)
        return torch.stack(angles).mean(0).to(general.dtype)

    def half_aperture(
        self, general: Float[Tensor, "*n d"], min_radius: float = 0.1
    ) -> Float[Tensor, "*n"]:
        """Return the mean of the factors' half apertures, to compare with the mean angle."""
        widths = self._parts("half_aperture", general, given=(min_radius,))
        return torch.stack(widths).mean(0).to(general.dtype)

    def toward_root(
        self, x: Float[Tensor, "n d"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s d"]:
        """Return points at these shares of every factor's geodesic from x (0) to the root (1)."""
        parts = self._parts("toward_root", x, given=(fraction,))
        return torch.cat(parts, -1).to(x.dtype)

    def centre(self, x: Float[Tensor, "n m d"]) -> Float[Tensor, "n d"]:
        """Return, in every factor, the exponential map of the mean of the points' logarithms."""
        return torch.cat(self._parts("centre", x), -1).to(x.dtype)

    def _parts(
        self, method: str, *points: Float[Tensor, "*n d"], given: tuple[Any, ...] = ()
    ) -> list[Tensor]:
        """Return what a method of each factor gives of the points' parts in it, and of `given`."""
        parts = zip(*(self.split(x) for x in points), strict=True)
        return [
            getattr(factor, method)(*part, *given)
            for factor, part in zip(self.factors, parts, strict=True)
        ]
