"""CLIP's text tower alone, with its projection: `CLIPTextModelWithProjection`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hiereval.adapters.devices import to_device
from hiereval.adapters.hf_clip import check_end
from hiereval.adapters.settings import whole
from hiereval.adapters.transformers_loading import open_checkpoint, token_counts, tokenize
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


class ClipText:
    """The text tower of a CLIP without its image tower; text only.

    The vector stands at the end token, projected. A tower saved without its projection is refused.
    """

    modalities: frozenset[Modality] = frozenset({"text"})

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        processor: str | None = None,
        subfolder: str | None = None,
    ) -> None:
        self.files = open_checkpoint("clip-text", checkpoint, options, processor, subfolder)
        config = self.files.config
        self.positions = whole(checkpoint, config, "max_position_embeddings", 77)
        self.context_length = self.files.allowed_tokens(self.positions)
        self.id = self.files.identify(
            context_length=self.context_length,
            embed_dim=whole(checkpoint, config, "projection_dim", 512),
            text={"padding": "longest", "mask": False},
            tokenizer=lambda: self.tokenizer,
            images=False,
        )

    @cached_property
    def model(self) -> Any:
        """Return the network; loads the weights."""
        return self.files.load_model("CLIPTextModelWithProjection")

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer, checked to end texts with the token that the model pools on."""
        tokenizer = self.files.load_tokenizer(context=self.context_length, positions=self.positions)
        check_end(self.files.name, tokenizer, self.files.config, legacy=True)
        return tokenizer

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, specials included."""
        return token_counts(self.tokenizer, texts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors of the joint space, not normalised."""
        ids = tokenize(self.tokenizer, texts, "longest", self.context_length)["input_ids"]
        with self.files.compute():
            ids = to_device(ids, self.files.options.device)
            return self.model(input_ids=ids).text_embeds.float()

    def preprocess(self, image: Image) -> Any:
        """Refuse: there is no image encoder."""
        raise HierevalError(f"The model {self.id.name!r} must be asked for texts alone.")

    def encode_images(self, inputs: Sequence[Any]) -> Tensor:
        """Refuse: there is no image encoder."""
        raise HierevalError(f"The model {self.id.name!r} must be asked for texts alone.")
