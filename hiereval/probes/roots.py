"""Learning-free probes: where the root of the hierarchy is taken to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Generator

from hiereval.errors import HierevalError
from hiereval.gaussians import of_unit_mean
from hiereval.geometry import normalise
from hiereval.spaces import space_of
from hiereval.types import Chains, Embeddings, ModelId, Space


@dataclass(frozen=True)
class EmptyRoot:
    """Root at the embedding of the empty string (Alper & Averbuch-Elor, ECCV 2024, section 3)."""

    name: ClassVar[str] = "empty-root"
    trained: ClassVar[bool] = False

    def anchors(self, model: ModelId) -> Sequence[str]:
        """Return the text whose embedding is the root."""
        return (model.root_text,)

    def fit(self, train: Embeddings, data: Chains, generator: Generator) -> Self:
        """Return self: nothing is learned."""
        return self

    def space(self, embeddings: Embeddings) -> Space:
        """Return the space around the model's own root text, in the model's geometry."""
        root = embeddings.anchors[embeddings.model.root_text]
        return space_of(embeddings.model, embeddings.text, embeddings.image, root)


@dataclass(frozen=True)
class MeanRoot:
    """Root at the mean of the dataset's unique texts, back on the sphere where there is one."""

    name: ClassVar[str] = "mean-root"
    trained: ClassVar[bool] = False

    def anchors(self, model: ModelId) -> Sequence[str]:
        """Return nothing: the root is made from the dataset's own texts."""
        return ()

    def fit(self, train: Embeddings, data: Chains, generator: Generator) -> Self:
        """Return self: nothing is learned."""
        return self

    def space(self, embeddings: Embeddings) -> Space:
        """Return the space around the mean; a Lorentz model is refused, its root is the vertex."""
        geometry = embeddings.model.geometry
        if geometry in ("lorentz", "lorentz-product"):
            raise HierevalError(
                "The probe 'mean-root' must be used with a sphere or euclidean model, not with "
                f"{embeddings.model.name!r} ({geometry}). Use --probes origin."
            )
        on_sphere = {"sphere": normalise, "gaussian": of_unit_mean}.get(geometry)
        text = on_sphere(embeddings.text) if on_sphere else embeddings.text
        root = text.double().mean(dim=0).to(text.dtype)
        return space_of(embeddings.model, embeddings.text, embeddings.image, root)


@dataclass(frozen=True)
class Origin:
    """Root at the vertex of a hyperbolic space, or at the zero of a euclidean one."""

    name: ClassVar[str] = "origin"
    trained: ClassVar[bool] = False

    def anchors(self, model: ModelId) -> Sequence[str]:
        """Return nothing: the root is no text."""
        return ()

    def fit(self, train: Embeddings, data: Chains, generator: Generator) -> Self:
        """Return self: nothing is learned."""
        return self

    def space(self, embeddings: Embeddings) -> Space:
        """Return the space around the origin; a sphere is refused, it has none."""
        geometry = embeddings.model.geometry
        if geometry in ("sphere", "gaussian"):
            raise HierevalError(
                "The probe 'origin' must be used with a lorentz or euclidean model, not with "
                f"{embeddings.model.name!r} ({geometry}). Use --probes empty-root."
            )
        return space_of(embeddings.model, embeddings.text, embeddings.image, None)


@dataclass(frozen=True)
class TextRoot:
    """Root at the embedding of a named text: RCME's of the tree of life (ICCV 2025)."""

    text: str = "Eukarya"

    name: ClassVar[str] = "text-root"
    trained: ClassVar[bool] = False

    def anchors(self, model: ModelId) -> Sequence[str]:
        """Return the text whose embedding is the root."""
        return (self.text,)

    def fit(self, train: Embeddings, data: Chains, generator: Generator) -> Self:
        """Return self: nothing is learned."""
        return self

    def space(self, embeddings: Embeddings) -> Space:
        """Return the space around the text, in the model's geometry."""
        root = embeddings.anchors[self.text]
        return space_of(embeddings.model, embeddings.text, embeddings.image, root)
