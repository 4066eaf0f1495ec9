"""Controls: what a score is worth that a count of words, or of nothing, reaches as well.

The vector of a text is its number of words (`control:words`) or of characters
(`control:characters`), on a line whose root has count 0, whatever its text: the radius is that.
`control:constant` gives every text and image the same vector and must come out undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hiereval import fingerprint
from hiereval.errors import HierevalError, nearest
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

COUNTS: dict[str, Callable[[str], int]] = {
    "words": lambda text: len(text.split()),
    "characters": len,
    "constant": lambda text: 1,
}


class Control:
    """Counts in place of a model: words, characters, or a constant."""

    modalities: frozenset[Modality]

    def __init__(self, checkpoint: str, options: LoadOptions) -> None:
        if checkpoint not in COUNTS:
            raise HierevalError(
                f"The control {checkpoint!r} must be one of {', '.join(COUNTS)}."
                f"{nearest(checkpoint, COUNTS)}"
            )
        if options.random_init is not None or options.revision is not None:
            raise HierevalError(
                f"The model 'control:{checkpoint}' must be given without a revision and without "
                "a random initialisation: it has no weights."
            )
        self.count = COUNTS[checkpoint]
        self.modalities = frozenset({"text", "image"} if checkpoint == "constant" else {"text"})
        self.id = ModelId(
            adapter="control",
            name=f"control:{checkpoint}",
            checkpoint=checkpoint,
            config_sha256=fingerprint.json_sha256({"control": checkpoint}),
            preprocess_fingerprint=fingerprint.json_sha256(None),  # nothing is looked at
            geometry="euclidean",
            embed_dim=1,
            n_params=0,
        )

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of words."""
        return [len(text.split()) for text in texts]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return each text's count as a [n, 1] vector."""
        import torch

        root = self.id.root_text if self.id.checkpoint != "constant" else None
        counts = [0.0 if text == root else float(self.count(text)) for text in texts]
        return torch.tensor(counts).reshape(-1, 1)

    def preprocess(self, image: Image) -> None:
        """Return None: the constant looks at nothing."""

    def encode_images(self, inputs: Sequence[None]) -> Tensor:
        """Return the constant as a [n, 1] vector."""
        import torch

        return torch.ones(len(inputs), 1)
