"""A model without weights: vectors are made from hashes, and every call is counted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar

import torch
from PIL.Image import Image
from torch import Tensor

from hiereval.types import LoadOptions, ModelId

DIM = 8


def vector(content: bytes) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(content).digest()[:7], "little")
    return torch.randn(DIM, generator=torch.Generator().manual_seed(seed))


class HashAdapter:
    """Unit-test model `fake`: text vectors from the text, image vectors from the mean colour."""

    modalities: ClassVar[frozenset[str]] = frozenset({"text", "image"})
    calls: ClassVar[list[tuple[str, int]]] = []  # (what, how many), of every instance

    def __init__(self, checkpoint: str, options: LoadOptions, nan: str = "") -> None:
        self.nan = nan
        self.options = options
        self.id = ModelId(
            adapter="fake",
            name=f"fake-{checkpoint}",
            checkpoint=checkpoint,
            weights_sha256=hashlib.sha256(f"{checkpoint}/{nan}".encode()).hexdigest(),
            embed_dim=DIM,
            context_length=6,
            random_init=options.random_init,
        )

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        self.calls.append(("texts", len(texts)))
        rows = [vector(text.encode()) for text in texts]
        for row, text in zip(rows, texts, strict=True):
            if text and text == self.nan:
                row[0] = float("nan")
        return torch.stack(rows)

    def preprocess(self, image: Image) -> bytes:
        return image.convert("RGB").resize((1, 1)).tobytes()

    def encode_images(self, inputs: Sequence[bytes]) -> Tensor:
        self.calls.append(("images", len(inputs)))
        return torch.stack([vector(content) for content in inputs])
