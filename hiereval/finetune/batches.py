"""Which chains make up which step: a pure function of seed and step, so a resumed run agrees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class Order:
    """The chains of every step: each epoch is a new permutation, its last batch may be short."""

    rows: np.ndarray  # [n] numbers of the training chains
    batch: int  # chains a forward pass
    accumulate: int  # forward passes a step
    epochs: int
    seed: int

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps."""
        return self.epochs * self.per_epoch

    @property
    def per_epoch(self) -> int:
        """Return the number of optimiser steps in an epoch."""
        return -(-len(self.rows) // (self.batch * self.accumulate))

    def batches(self, start: int) -> Iterator[list[list[int]]]:
        """Yield every step's batches from step `start` on, counted from 0."""
        size = self.batch * self.accumulate
        for epoch in range(start // self.per_epoch, self.epochs):
            generator = torch.Generator().manual_seed(self.seed + 1_000_003 * epoch)
            order = self.rows[torch.randperm(len(self.rows), generator=generator).numpy()].tolist()
            first = start - epoch * self.per_epoch if epoch == start // self.per_epoch else 0
            for chosen in chunks(order[first * size :], size):
                yield list(chunks(chosen, self.batch))


def chunks(rows: list[int], size: int) -> Iterator[list[int]]:
    """Yield consecutive parts of `size`, the last one possibly shorter."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
