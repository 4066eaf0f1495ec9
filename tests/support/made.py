"""Small made-up chains and spaces that the tasks' tests score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hiereval.datasets.chains import assemble
from hiereval.geometry import SphereSpace, normalise
from hiereval.types import Chains


@dataclass(frozen=True)
class Picture:
    name: str

    def read(self) -> bytes:
        raise AssertionError("tasks never read an image")

    def sha256(self) -> str | None:
        return None


def chains_of(
    captions: Sequence[Sequence[str]],
    negatives: Sequence[Sequence[str]] | None = None,
    images: Sequence[str] | None = None,
    pool: Sequence[str] | None = None,
) -> Chains:
    pictures = None if images is None else [Picture(name) for name in images]
    return assemble(captions, negatives, pictures, pool, name="made", split="all")


def random_chains(seed: int, c: int = 12, k: int = 4, images: int = 8) -> Chains:
    """Chains of few words, so that captions repeat between chains, tiers and as negatives."""
    rng = np.random.default_rng(seed)

    def caption() -> str:
        return " ".join(rng.choice(list("abc"), size=rng.integers(1, 4)))

    rows = [[caption() for _ in range(k)] for _ in range(c)]
    wrong = [[caption() for _ in range(k)] for _ in range(c)]
    names = [f"{i}.jpg" for i in rng.permutation(np.arange(c) % images)]
    return chains_of(rows, wrong, names)


def random_space(seed: int, data: Chains, dim: int = 5, grid: bool = False) -> SphereSpace:
    """Float64 unit vectors; on a grid small integers: similarities and radii tie exactly."""
    generator = torch.Generator().manual_seed(seed)

    def made(n: int) -> torch.Tensor:
        if grid:
            return torch.randint(1, 3, (n, dim), generator=generator).double()
        return torch.randn(n, dim, generator=generator, dtype=torch.float64) + 0.5

    text, image, root = made(len(data.texts)), made(len(data.images)), made(1)[0]
    if grid:
        return SphereSpace(text, image, root)
    return SphereSpace(normalise(text), normalise(image), normalise(root))


def drawn(n: int, seed: int = 0) -> torch.Tensor:
    """Weights of ones and of two resamples, [3, n]."""
    rng = np.random.default_rng(seed)
    rows = [np.ones(n), *rng.multinomial(n, np.full(n, 1 / n), size=2)]
    return torch.tensor(np.stack(rows), dtype=torch.float64)


def repeated(weights: torch.Tensor) -> list[int]:
    """The items of one resample, each as often as it was drawn."""
    return [i for i, count in enumerate(weights.int().tolist()) for _ in range(count)]
