"""Spaces: radius, similarity and exterior angle on the sphere, in R^d and on the hyperboloid.

Pure float32 functions of points; the sphere follows Alper & Averbuch-Elor (ECCV 2024, section 3),
the Lorentz model Desai et al. (MERU, ICML 2023, section 3 and appendix). Half-precision radii
collapse to ties, so every space is built in float32 or better whatever the encoder computed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

if TYPE_CHECKING:
    from hiereval.types import Space

ULPS = 16 * torch.finfo(torch.float32).eps  # what entailment cones are kept away from their limits


def normalise(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Return x / |x|; a zero vector becomes NaN, because it has no direction."""
    return x / x.norm(dim=-1, keepdim=True)


def angle_at(
    general: Float[Tensor, "*n d"], specific: Float[Tensor, "*n d"], root: Float[Tensor, " d"]
) -> Float[Tensor, "*n"]:
    """Return the exterior angle at `general` of the ray root -> general, in [0, pi].

    Xi(a, b) = arccos((a - r).(b - a) / (|a - r| |b - a|)), the cosine clamped to [-1, 1].
    NaN where a = r or a = b: the angle is undefined there.

    Seen from the root at 0, b lies further out on a's own ray, further out and aside, straight
    aside, and behind a on the way back:

    >>> a, b = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([[2.0, 0], [2, 1], [1, 1], [0, 0]])
    >>> angle_at(a, b, torch.zeros(2)).rad2deg().round().tolist()
    [0.0, 45.0, 90.0, 180.0]
    """
    out, on = general - root, specific - general
    cosine = (out * on).sum(-1) / (out.norm(dim=-1) * on.norm(dim=-1))
    return cosine.clamp(-1.0, 1.0).arccos()


def first_alike(points: Float[Tensor, "n d"]) -> Int64[Tensor, " n"]:
    """Return for each point the first that equals it in every coordinate, mostly itself.

    >>> first_alike(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -0.0], [1.0, 2.0]])).tolist()
    [0, 1, 0, 3]
    """
    rows = points.cpu().numpy()  # perhaps mapped and large: looked at where the first numbers agree
    first = np.arange(len(rows))
    _, value, count = np.unique(rows[:, 0], return_inverse=True, return_counts=True)
    seen: dict[bytes, int] = {}
    for i in np.flatnonzero(count[value] > 1).tolist():
        first[i] = seen.setdefault((rows[i] + 0.0).tobytes(), i)  # -0 + 0 is 0
    return torch.from_numpy(first)


def similarities(
    space: Space, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]
) -> Float[Tensor, "n m"]:
    """Return `space.similarity(x, y)`, exactly equal for equal points of y.

    A matrix product rounds a column by where it stands: it tells two captions apart that have one
    vector, as where a model cuts both at the same word.
    """
    return tied(space.similarity(x, y), first_alike(y))


def tied(near: Float[Tensor, "n m"], first: Int64[Tensor, " m"]) -> Float[Tensor, "n m"]:
    """Return similarities in which each column is that of the `first_alike` of its point."""
    if bool((first == torch.arange(len(first))).all()):
        return near
    return near[:, first.to(near.device)]


@dataclass(frozen=True, eq=False)
class EuclideanSpace:
    """Points of R^d: similarity is minus the distance."""

    text: Float[Tensor, "t d"]
    image: Float[Tensor, "i d"] | None
    root: Float[Tensor, " d"]
    ends_decide: ClassVar[Literal[True]] = True

    @cached_property
    def radius(self) -> Float[Tensor, " t"]:
        return self.radius_of(self.text)

    def similarity(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        return -torch.cdist(x, y)

    def exterior_angle(
        self, general: Float[Tensor, "*n d"], specific: Float[Tensor, "*n d"]
    ) -> Float[Tensor, "*n"]:
        return angle_at(general, specific, self.root)

    def toward_root(
        self, x: Float[Tensor, "n d"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s d"]:
        return x[:, None] - fraction[None, :, None] * (x - self.root)[:, None]

    def radius_of(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        return (x - self.root).norm(dim=-1)

    def product_points(
        self, x: Float[Tensor, "*n d"]
    ) -> tuple[Float[Tensor, "*n d"], Float[Tensor, "*n d"]]:
        return x - self.root, x - self.root

    def angle_of_product(
        self,
        product: Float[Tensor, "*n"],
        general: Float[Tensor, "*n"],
        specific: Float[Tensor, "*n"],
    ) -> Float[Tensor, "*n"]:
        """Return the angle from (a - r).(b - r) and both radii; NaN where rounding decides."""
        apart = general.square() + specific.square() - 2 * product  # |b - a|^2
        rounding = 8 * torch.finfo(product.dtype).eps * (general.square() + specific.square())
        cosine = (product - general.square()) / (general * apart.sqrt())
        return cosine.clamp(-1.0, 1.0).arccos().masked_fill(~(apart > rounding), torch.nan)

    def centre(self, x: Float[Tensor, "n m d"]) -> Float[Tensor, "n d"]:
        return x.mean(dim=1)


@dataclass(frozen=True, eq=False)
class SphereSpace(EuclideanSpace):
    """Unit vectors: similarity is the cosine, radius the chord |e(x) - r|."""

    def similarity(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        return x @ y.T

    def toward_root(
        self, x: Float[Tensor, "n d"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s d"]:
        return normalise(super().toward_root(x, fraction))

    def centre(self, x: Float[Tensor, "n m d"]) -> Float[Tensor, "n d"]:
        """Return the normalised mean (Radford et al., CLIP); NaN where the m points cancel out."""
        return normalise(super().centre(x))


def half_chord(
    x: Float[Tensor, "*n d"], y: Float[Tensor, "*n d"], curvature: float
) -> Float[Tensor, "*n"]:
    """Return sinh(sqrt(c) distance / 2) of points of the hyperboloid, in float64, at least 0.

    Points are given by their space components, time being sqrt(1/c + |x|^2). The square is
    c/4 (|x - y|^2 - (x_t - y_t)^2), which does not cancel for near points as acosh(-c <x, y>) does.
    """
    x, y = x.double(), y.double()
    difference = x - y
    time = (1 / curvature + x.square().sum(-1)).sqrt() + (1 / curvature + y.square().sum(-1)).sqrt()
    in_time = (difference * (x + y)).sum(-1) / time  # x_t - y_t
    interval = difference.square().sum(-1) - in_time.square()
    return (curvature / 4 * interval.clamp_min(0.0)).sqrt()


@dataclass(frozen=True, eq=False)
class LorentzSpace:
    """Points of the hyperboloid of sectional curvature -c by their space components.

    Similarity is minus the geodesic distance, radius the distance from the root (the vertex, at
    zero, unless a text is the root). Computed in float64, returned in the points' type.
    """

    text: Float[Tensor, "t d"]
    image: Float[Tensor, "i d"] | None
    root: Float[Tensor, " d"]
    curvature: float
    ends_decide: ClassVar[Literal[True]] = True

    @cached_property
    def radius(self) -> Float[Tensor, " t"]:
        return self.radius_of(self.text).to(self.text.dtype)

    def similarity(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        """Return minus the distance of each pair, acosh(-c <x, y>) / sqrt(c).

        Exact to about 1e-7 (1/sqrt(c) + |x|): nearer points may count as one.
        """
        a, b, c = x.double(), y.double(), self.curvature
        time_a = (1 / c + a.square().sum(-1)).sqrt()
        time_b = (1 / c + b.square().sum(-1)).sqrt()
        inner = time_a[:, None] * time_b[None, :] - a @ b.T  # -<x, y>
        return (inner.mul_(c).clamp_min_(1.0).acosh_() / -(c**0.5)).to(x.dtype)

    def exterior_angle(
        self, general: Float[Tensor, "*n d"], specific: Float[Tensor, "*n d"]
    ) -> Float[Tensor, "*n"]:
        """Return pi minus the angle at `general` of the triangle root, general, specific.

        By the hyperbolic law of cosines; NaN where `general` is the root or the specific point.
        The points of `angle_at`, in the space of curvature -1, where a geodesic bends inward:

        >>> a, b = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([[2.0, 0], [2, 1], [1, 1], [0, 0]])
        >>> space = LorentzSpace(a, None, torch.zeros(2), curvature=1.0)
        >>> space.exterior_angle(a, b).rad2deg().round().tolist()
        [0.0, 69.0, 108.0, 180.0]
        """
        root = self.root.expand_as(general)
        inward = half_chord(root, general, self.curvature)
        outward = half_chord(general, specific, self.curvature)
        across = half_chord(root, specific, self.curvature)
        a, b, c = inward.square(), outward.square(), across.square()  # cosh = 1 + 2 square
        sines = 2 * inward * outward * ((1 + a) * (1 + b)).sqrt()
        cosine = (c - a - b - 2 * a * b) / sines
        return cosine.clamp(-1.0, 1.0).arccos().to(general.dtype)

    def half_aperture(
        self, general: Float[Tensor, "*n d"], min_radius: float = 0.1
    ) -> Float[Tensor, "*n"]:
        """Return asin(2 K / (sqrt(c) |x|)), K = `min_radius`, |x| = sinh(sqrt(c) radius) / sqrt(c).

        The cones of Ganea et al. (ICML 2018) as in MERU, around any root; |x| is the norm of the
        space components where the root is the vertex. ULPS is added to the denominator and kept
        from 1, as in the code that published figures come from.
        """
        chord = half_chord(self.root.expand_as(general), general, self.curvature)
        norm = 2 * chord * (1 + chord.square()).sqrt()  # sinh(2 y) = 2 sinh(y) cosh(y)
        ratio = (2 * min_radius / (norm + ULPS)).clamp(max=1.0 - ULPS)
        return ratio.asin().to(general.dtype)

    def radius_of(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
        chord = half_chord(x, self.root.expand_as(x), self.curvature)
        return 2 / self.curvature**0.5 * chord.asinh()

    def product_points(
        self, x: Float[Tensor, "*n d"]
    ) -> tuple[Float[Tensor, "*n e"], Float[Tensor, "*n e"]]:
        """Return (x, x_t) and (-x, x_t) in float64: their product is -<x, y>."""
        x = x.double()
        time = (1 / self.curvature + x.square().sum(-1, keepdim=True)).sqrt()
        return torch.cat([x, time], -1), torch.cat([-x, time], -1)

    def angle_of_product(
        self,
        product: Float[Tensor, "*n"],
        general: Float[Tensor, "*n"],
        specific: Float[Tensor, "*n"],
    ) -> Float[Tensor, "*n"]:
        """Return the angle from -<a, b> and both radii; NaN where rounding decides."""
        scale = self.curvature**0.5 / 2
        a, c = (scale * general).sinh().square(), (scale * specific).sinh().square()
        b = (self.curvature * product - 1) / 2
        sines = 2 * (a * b * (1 + a) * (1 + b)).sqrt()
        rounding = 8 * torch.finfo(product.dtype).eps * (1 + a) * (1 + c)
        cosine = (c - a - b - 2 * a * b) / sines
        return cosine.clamp(-1.0, 1.0).arccos().masked_fill(~(b > rounding), torch.nan)

    def toward_root(
        self, x: Float[Tensor, "n d"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s d"]:
        """Return points at these shares of the geodesic's length from x (0) to the root (1)."""
        root = self.root.expand_as(x)
        length = 2 * half_chord(x, root, self.curvature).asinh()[:, None, None]  # [n, 1, 1]
        share = fraction.double()[None, :, None]  # [1, s, 1]
        there, here = (share * length).sinh(), ((1 - share) * length).sinh()
        point = (here * x.double()[:, None] + there * root.double()[:, None]) / length.sinh()
        return point.where(length > 0, x.double()[:, None]).to(x.dtype)

    def centre(self, x: Float[Tensor, "n m d"]) -> Float[Tensor, "n d"]:
        """Return the exponential map of the mean of the points' logarithms, both at the vertex.

        So the HyCoCLIP family averages prompts: a logarithm is what the text tower gave before its
        projection. The map takes v to sinh(sqrt(c) |v|) / (sqrt(c) |v|) v.
        """
        scale = self.curvature**0.5

        def stretched(v: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
            length = scale * v.norm(dim=-1, keepdim=True)
            return torch.where(length > 0, v * (by(length) / length), v)

        tangent = stretched(x.double(), torch.asinh).mean(dim=1)
        return stretched(tangent, torch.sinh).to(x.dtype)
