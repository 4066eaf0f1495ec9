"""The probe `learned-root`: only the root is trained, every embedding stays where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from torch import Generator, Tensor

from hiereval.losses import Losses, Pairing, Weights
from hiereval.probes.descent import Descent, Parameters
from hiereval.probes.frozen import fit_on, fitted, frozen_chains
from hiereval.probes.low_rank import LowRankObjective, Map
from hiereval.spaces import space_of
from hiereval.types import Chains, Embeddings, ModelId, Space


@dataclass
class LearnedRoot:
    """Root trained on frozen embeddings with the RE loss."""

    name: ClassVar[str] = "learned-root"
    trained: ClassVar[bool] = True

    seed: int = 0
    shuffled: bool = False  # each training chain's tiers in a random order: what capacity buys
    pairing: Pairing = "released"
    negatives: bool = True  # False: only the entailed pairs' angles
    entail: float = 1.0
    hard: float = 0.0  # weight of the batch's worst pairs
    lr: float = 0.01
    batch: int = 2048  # chains a step; 0: all of them
    epochs: int = 30
    patience: int = 5  # epochs without a better development loss
    development: float = 0.1  # share of the images held out for early stopping
    device: str = "auto"
    descent_: Descent | None = field(default=None, init=False, repr=False, compare=False)

    def anchors(self, model: ModelId) -> Sequence[str]:
        """Return the model's root text, where the root starts."""
        return (model.root_text,)

    def fit(self, train: Embeddings, data: Chains, generator: Generator) -> Self:
        """Learn the root from a sphere model's embeddings of the texts of `data`."""
        chains = frozen_chains(self.name, self, train, data, generator)
        weights = Weights(pullback=0.0, entail=self.entail, hard=self.hard)
        loss = LowRankObjective.of(chains, weights, self.pairing)
        d = len(chains.root)
        u, v = chains.root.new_zeros(d, 0), chains.root.new_zeros(0, d)

        def at(parameters: Parameters, rows: Tensor) -> Losses:
            return loss(Map(parameters["root"], u, v), rows)

        self.descent_ = fit_on(chains, {"root": chains.root}, at, self, generator)
        return self

    def space(self, embeddings: Embeddings) -> Space:
        """Return the model's own points around the learned root."""
        root = fitted(self.name, self.descent_)["root"].to(embeddings.text)
        return space_of(embeddings.model, embeddings.text, embeddings.image, root)
