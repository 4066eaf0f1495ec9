from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hiereval.datasets.image_files import FileImage
from hiereval.geometry import normalise
from hiereval.types import Chains, Embeddings, ModelId

MODEL = ModelId(adapter="test", name="synthetic", checkpoint="synthetic", weights_sha256="0" * 64)


@pytest.fixture
def tree() -> Callable[..., tuple[Embeddings, Chains]]:
    """A function to a synthetic tree: captions that drift from a root as they get specific."""

    def build(
        chains: int = 60, d: int = 12, seed: int = 0, images: int | None = 20
    ) -> tuple[Embeddings, Chains]:
        generator = torch.Generator().manual_seed(seed)
        root = torch.randn(d, generator=generator)
        at = torch.zeros(chains, d) + root
        positive, negative = [], []
        for _ in range(4):
            step = 0.6 * torch.randn(chains, d, generator=generator)
            negative.append(at + 0.6 * torch.randn(chains, d, generator=generator))
            at = at + step
            positive.append(at)
        index = np.arange(4 * chains).reshape(4, chains).T.copy()
        data = Chains(
            name="tree",
            split="train",
            revision=None,
            sha256="a" * 64,
            image_source="",
            texts=tuple(f"text {i}" for i in range(8 * chains)),
            images=tuple(FileImage(f"{i}.jpg", Path(f"{i}.jpg")) for i in range(images or 0)),
            chains=index,
            negatives=index + 4 * chains,
            chain_image=np.arange(chains) % images if images else None,
            pool=index.reshape(-1),
        )
        off = root + torch.randn(d, generator=generator)  # the empty text is a poor root
        return Embeddings(MODEL, torch.cat(positive + negative), None, {"": 3 * off}), data

    return build


@pytest.fixture
def unit() -> Callable[[torch.Tensor], torch.Tensor]:
    return normalise
