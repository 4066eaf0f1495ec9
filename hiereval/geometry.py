"""Spaces: radius, similarity and exterior angle on the sphere, in R^d and on the hyperboloid.

Pure float32 functions of points; the sphere follows Alper & Averbuch-Elor (ECCV 2024, section 3),
the Lorentz model Desai et al. (MERU, ICML 2023, section 3 and appendix). Half-precision radii
collapse to ties, so every space is built in float32 or better whatever the encoder computed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from hiereval.types import ModelId, Space


def normalise(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Return x / |x|; a zero vector becomes NaN, because it has no direction."""
    return x / x.norm(dim=-1, keepdim=True)


def angle_at(
    general: Float[Tensor, "*n d"], specific: Float[Tensor, "*n d"], root: Float[Tensor, " d"]
) -> Float[Tensor, "*n"]:
    """Return the exterior angle at `general` of the ray root -> general, in [0, pi].

    Xi(a, b) = arccos((a - r).(b - a) / (|a - r| |b - a|)), the cosine clamped to [-1, 1].
    NaN where a = r or a = b: the angle is undefined there.
    """
    out, on = general - root, specific - general
    cosine = (out * on).sum(-1) / (out.norm(dim=-1) * on.norm(dim=-1))
    return cosine.clamp(-1.0, 1.0).arccos()


@dataclass(frozen=True, eq=False)
class EuclideanSpace:
    """Points of R^d: similarity is minus the distance."""

    text: Float[Tensor, "t d"]
    image: Float[Tensor, "i d"] | None
    root: Float[Tensor, " d"]

    @cached_property
    def radius(self) -> Float[Tensor, " t"]:
        return (self.text - self.root).norm(dim=-1)

    def similarity(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]
    ) -> Float[Tensor, "n m"]:
        return -torch.cdist(x, y)

    def exterior_angle(
        self, general: Float[Tensor, "*n d"], specific: Float[Tensor, "*n d"]
    ) -> Float[Tensor, "*n"]:
        return angle_at(general, specific, self.root)

    def toward_root(
        self, x: Float[Tensor, "n d"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s d"]:
        return x[:, None] - fraction[None, :, None] * (x - self.root)[:, None]


@dataclass(frozen=True, eq=False)
class SphereSpace(EuclideanSpace):
    """Unit vectors: similarity is the cosine, radius the chord |e(x) - r|."""

    def similarity(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]
    ) -> Float[Tensor, "n m"]:
        return x @ y.T

    def toward_root(
        self, x: Float[Tensor, "n d"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s d"]:
        return normalise(super().toward_root(x, fraction))


def space_of(
    model: ModelId,
    text: Float[Tensor, "t d"],
    image: Float[Tensor, "i d"] | None,
    root: Float[Tensor, " d"] | None,
) -> Space:
    """Return the Space of raw vectors in the model's geometry, normalised where that is due.

    `root` is a raw vector like the others; None is the vertex of a Lorentz space or the origin.
    """
    if model.geometry == "sphere":
        if root is None:
            raise ValueError("A sphere has no origin: give a root vector.")
        image = None if image is None else normalise(image)
        return SphereSpace(normalise(text), image, normalise(root))
    if model.geometry == "euclidean":
        return EuclideanSpace(text, image, text.new_zeros(text.shape[-1]) if root is None else root)
    raise NotImplementedError(model.geometry)
