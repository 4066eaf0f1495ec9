"""An adapter that needs no weights: letters of a text, colours of a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hiereval.adapters.image_processing import to_rgb
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

LETTERS = " abcdefghijklmnopqrstuvwxyz"


class Letters:
    """Counts letters and colours; knows nothing."""

    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(self, checkpoint: str, options: LoadOptions, power: str = "1") -> None:
        self.power = float(power)
        self.id = ModelId(
            adapter="letters",
            name=f"letters-{checkpoint}",
            checkpoint=checkpoint,
            weights_sha256=hashlib.sha256(f"{checkpoint}/{power}".encode()).hexdigest(),
            preprocess_fingerprint="3 x 3",
            tokenizer_fingerprint="letters",
            embed_dim=len(LETTERS) + 1,
        )

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of characters."""
        return [len(text) for text in texts]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return one and the counts of letters [n, 28]."""
        import torch

        counts = [[1.0, *(text.lower().count(letter) for letter in LETTERS)] for text in texts]
        return torch.tensor(counts) ** self.power

    def preprocess(self, image: Image) -> list[int]:
        """Return 27 bytes of colour."""
        return list(to_rgb(image).resize((3, 3)).tobytes())

    def encode_images(self, inputs: Sequence[list[int]]) -> Tensor:
        """Return one and the colours [n, 28]."""
        import torch

        return torch.tensor([[1.0, *colours] for colours in inputs])
