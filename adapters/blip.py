"""BLIP retrieval checkpoints (Li et al., 2022) in the space of the image-text contrastive loss."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval.adapters.devices import to_device
from hiereval.adapters.image_processing import collate, process
from hiereval.adapters.settings import whole
from hiereval.adapters.towers import Towers
from hiereval.adapters.transformers_loading import open_checkpoint, token_counts, tokenize
from hiereval.types import LoadOptions, Modality

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

TEXT, IMAGE = ("text_encoder.", "text_proj."), ("vision_model.", "vision_proj.")


class Blip:
    """BLIP image-text matching checkpoints (`Salesforce/blip-itm-...`), contrastive space.

    The vectors are the projected first tokens of both encoders, as in
    `BlipForImageTextRetrieval(..., use_itm_head=False)`. Captioning and question answering
    checkpoints lack the projections and are refused.
    """

    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        processor: str | None = None,
        subfolder: str | None = None,
    ) -> None:
        self.files = open_checkpoint("blip", checkpoint, options, processor, subfolder)
        text = self.files.part("text_config")
        positions = whole(checkpoint, text, "max_position_embeddings", 512)
        self.context_length = self.files.allowed_tokens(positions)
        self.id = self.files.identify(
            context_length=self.context_length,
            embed_dim=whole(checkpoint, self.files.config, "image_text_hidden_size", 256),
            text={"padding": "longest", "mask": True},
            tokenizer=lambda: self.tokenizer,
        )

    @cached_property
    def towers(self) -> Towers:
        """Return the network's towers; each loads its weights when it first encodes."""
        load = partial(self.files.load_model, "BlipForImageTextRetrieval", ())
        return Towers(load, TEXT, IMAGE)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer."""
        return self.files.load_tokenizer(context=self.context_length)

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, specials included."""
        return token_counts(self.tokenizer, texts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors of the joint space, not normalised."""
        encoded = tokenize(self.tokenizer, texts, "longest", self.context_length)
        device = self.files.options.device
        with self.files.compute():
            tower = self.towers.text
            hidden = tower.text_encoder(
                input_ids=to_device(encoded["input_ids"], device),
                attention_mask=to_device(encoded["attention_mask"], device),
            ).last_hidden_state  # [n, tokens, width]
            return tower.text_proj(hidden[:, 0]).float()

    def text_tower(self) -> tuple[Any, tuple[str, ...]]:
        """Return the network and the prefixes of its text side's parameters, for fine-tuning."""
        return self.towers.whole, TEXT

    def save(self, folder: Path) -> None:
        """Write the network as it is now into an empty folder, in transformers' format."""
        self.files.save(self.towers.whole, folder)

    def preprocess(self, image: Image) -> dict[str, Tensor]:
        """Return one picture's pixels as the model takes them."""
        return process(self.files.image_processor, image)

    def encode_images(self, inputs: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return [n, d] float32 image vectors of the joint space, not normalised."""
        with self.files.compute():
            batch = collate(inputs, self.files.options.device)
            tower = self.towers.image
            hidden = tower.vision_model(**batch).last_hidden_state  # [n, patches + 1, width]
            return tower.vision_proj(hidden[:, 0]).float()
