"""The space that a model's raw vectors live in."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from hiereval.gaussians import means
from hiereval.geometry import EuclideanSpace, LorentzSpace, SphereSpace, normalise
from hiereval.products import ProductLorentzSpace
from hiereval.types import ModelId, Space, is_curvature_of


def space_of(
    model: ModelId,
    text: Float[Tensor, "t d"],
    image: Float[Tensor, "i d"] | None,
    root: Float[Tensor, " d"] | None,
) -> Space:
    """Return the Space of raw vectors in the model's geometry, normalised where that is due.

    `root` is a raw vector like the others; None is the vertex of a Lorentz space (in a product,
    of every factor) or the origin. Of Gaussians the space holds the means, on the sphere.
    """
    if model.geometry == "gaussian":
        text, image = means(text), None if image is None else means(image)
        root = None if root is None else means(root)
    if model.geometry in ("sphere", "gaussian"):
        if root is None:
            raise ValueError("A sphere has no origin: give a root vector.")
        image = None if image is None else normalise(image)
        return SphereSpace(normalise(text), image, normalise(root))
    origin = text.new_zeros(text.shape[-1]) if root is None else root
    if model.geometry == "euclidean":
        return EuclideanSpace(text, image, origin)
    curvature = model.curvature
    if not is_curvature_of(model.geometry, curvature):
        several = " (of a product, one for each factor)"
        given = f"{curvature}{several if model.geometry == 'lorentz-product' else ''}"
        raise ValueError(f"A Lorentz space needs a curvature above 0, not {given}.")
    if isinstance(curvature, tuple):
        return ProductLorentzSpace(text, image, origin, curvature)
    assert curvature is not None
    return LorentzSpace(text, image, origin, curvature)
