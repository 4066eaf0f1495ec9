"""A Gaussian's uncertainty as the coordinate of specificity (ProLIP, ICLR 2025, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Generator

from hiereval.errors import HierevalError
from hiereval.gaussians import UncertaintySpace, of_unit_mean
from hiereval.types import Chains, Embeddings, ModelId, Space


@dataclass(frozen=True)
class Uncertainty:
    """Radius falls with the sum of a caption's variances; angles are seen from the empty text."""

    name: ClassVar[str] = "uncertainty"
    trained: ClassVar[bool] = False

    def anchors(self, model: ModelId) -> Sequence[str]:
        """Return the text whose mean angles are seen from."""
        return (model.root_text,)

    def fit(self, train: Embeddings, data: Chains, generator: Generator) -> Self:
        """Return self: nothing is learned."""
        return self

    def space(self, embeddings: Embeddings) -> Space:
        """Return the Gaussians; a model that gives no variances is refused."""
        model = embeddings.model
        if model.geometry != "gaussian":
            raise HierevalError(
                "The probe 'uncertainty' must be used with a gaussian model, which gives a "
                f"variance with each vector, not with {model.name!r} ({model.geometry}). Use "
                "--probes empty-root."
            )
        image = None if embeddings.image is None else of_unit_mean(embeddings.image)
        root = of_unit_mean(embeddings.anchors[model.root_text])
        return UncertaintySpace(of_unit_mean(embeddings.text), image, root)
