"""The probe `radial-linear`: a root and a low-rank residual map of the text embeddings.

What RE fine-tuning does to a text tower, done to its output: e -> normalise(e + U V e), trained
with the RE loss and the pullback to e. Images stay where they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Generator

from hiereval.geometry import normalise
from hiereval.losses import Pairing, Weights
from hiereval.probes.descent import Descent
from hiereval.probes.frozen import fit_on, fitted, frozen_chains
from hiereval.probes.low_rank import LowRankObjective, Map
from hiereval.spaces import space_of
from hiereval.types import Chains, Embeddings, ModelId, Space


@dataclass
class RadialLinear:
    """Root and low-rank map of the texts, trained with the RE loss and the pullback."""

    name: ClassVar[str] = "radial-linear"
    trained: ClassVar[bool] = True

    seed: int = 0
    shuffled: bool = False  # each training chain's tiers in a random order: what capacity buys
    rank: int = 32  # of the map, at most the embedding's dimension
    pairing: Pairing = "released"
    negatives: bool = True  # False: only the entailed pairs' angles
    pullback: float = 40.0
    entail: float = 1.0
    hard: float = 0.0  # weight of the batch's worst pairs
    lr: float = 0.005
    batch: int = 512  # chains a step; 0: all of them
    epochs: int = 30
    patience: int = 5  # epochs without a better development loss
    development: float = 0.1  # share of the images held out for early stopping
    device: str = "auto"
    descent_: Descent | None = field(default=None, init=False, repr=False, compare=False)

    def anchors(self, model: ModelId) -> Sequence[str]:
        """Return the model's root text, where the root starts."""
        return (model.root_text,)

    def fit(self, train: Embeddings, data: Chains, generator: Generator) -> Self:
        """Learn root and map from a sphere model's embeddings of the texts of `data`."""
        chains = frozen_chains(self.name, self, train, data, generator)
        weights = Weights(self.pullback, self.entail, self.hard)
        d = len(chains.root)
        rank = min(self.rank, d)
        start = {
            "root": chains.root,
            "u": chains.root.new_zeros(d, rank),
            "v": torch.randn(rank, d, generator=generator).to(chains.root) / d**0.5,
        }
        loss = LowRankObjective.of(chains, weights, self.pairing)
        self.descent_ = fit_on(chains, start, lambda p, rows: loss(Map(**p), rows), self, generator)
        return self

    def space(self, embeddings: Embeddings) -> Space:
        """Return the moved texts and the unmoved images around the learned root."""
        parameters = fitted(self.name, self.descent_)
        learned = Map(**{name: value.to(embeddings.text) for name, value in parameters.items()})
        text = learned(normalise(embeddings.text))
        return space_of(embeddings.model, text, embeddings.image, learned.root)
