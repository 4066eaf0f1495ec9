"""BridgeTower (Xu et al., 2023) in the space of its contrastive loss."""

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
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

TEXT = ("bridgetower.text_model.", "itc_text_head.")
IMAGE = (
    "bridgetower.vision_model.", "bridgetower.cross_modal_image_transform.",
    "bridgetower.token_type_embeddings.", "itc_image_head.",
)  # fmt: skip
HEADS = ("mlm_score.", "itm_score.")  # no vector depends on them


class BridgeTower:
    """BridgeTower checkpoints with contrastive heads (`BridgeTower/bridgetower-large-itm-mlm-itc`).

    The vectors are `text_embeds` and `image_embeds` of `BridgeTowerForContrastiveLearning` before
    normalisation. They come from the two encoders below the cross-modal layers, so a text's does
    not depend on a picture. Checkpoints without these heads are refused.
    """

    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        processor: str | None = None,
        subfolder: str | None = None,
    ) -> None:
        self.files = open_checkpoint("bridgetower", checkpoint, options, processor, subfolder)
        config = self.files.config
        if config.get("share_cross_modal_transformer_layers") is False:
            raise HierevalError(
                f"The BridgeTower {checkpoint!r} must share its cross-modal projection over the "
                "layers (share_cross_modal_transformer_layers): else it has no one image vector."
            )
        text = self.files.part("text_config")
        positions = whole(checkpoint, text, "max_position_embeddings", 514) - 2  # they begin at 2
        self.context_length = self.files.allowed_tokens(positions)
        self.layers = whole(checkpoint, text, "num_hidden_layers", 12)
        self.id = self.files.identify(
            context_length=self.context_length,
            embed_dim=whole(checkpoint, config, "contrastive_hidden_size", 512),
            text={"padding": "longest", "mask": True},
            tokenizer=lambda: self.tokenizer,
        )

    @cached_property
    def towers(self) -> Towers:
        """Return the encoders below the cross-modal layers; each loads when it first encodes."""
        load = partial(self.files.load_model, "BridgeTowerForContrastiveLearning", HEADS)
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
            hidden = tower.bridgetower.text_model(
                input_ids=to_device(encoded["input_ids"], device),
                attention_mask=to_device(encoded["attention_mask"], device),
            ).last_hidden_state  # [n, tokens, width]
            return tower.itc_text_head(hidden[:, 0]).float()

    def text_tower(self) -> tuple[Any, tuple[str, ...]]:
        """Return the network and the prefixes of its text side's parameters, for fine-tuning."""
        return self.towers.whole, TEXT

    def save(self, folder: Path) -> None:
        """Write the network as it is now into an empty folder, in transformers' format."""
        self.files.save(self.towers.whole, folder)

    def preprocess(self, image: Image) -> dict[str, Tensor]:
        """Return one picture's pixels as the model takes them."""
        processor = self.files.image_processor
        longer = int(1333 / 800 * processor.size.shortest_edge)  # a strip is scaled down to this
        longest = longer // processor.size_divisor - 1  # its other side must be a divisor at least
        made = process(processor, image, max(1, longest))
        return {"pixel_values": made["pixel_values"]}  # the network uses no mask

    def encode_images(self, inputs: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return [n, d] float32 image vectors of the joint space, not normalised."""
        network = self.towers.image
        tower = network.bridgetower
        visual = tower.vision_model.visual
        with self.files.compute():
            hidden = visual.forward_pre(**collate(inputs, self.files.options.device))
            for block in visual.transformer.resblocks[: self.layers]:
                hidden = block(hidden)  # [patches + 1, n, width]
            first = visual.forward_post(hidden)[:, 0]
            first = tower.cross_modal_image_transform(first) + tower.token_type_embeddings.weight[1]
            return network.itc_image_head(first).float()
