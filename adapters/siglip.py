"""SigLIP (Zhai et al., 2023) and SigLIP 2 (Tschannen et al., 2025), fixed resolution and NaFlex."""

from __future__ import annotations

import string
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

MODELS = {"siglip": "SiglipModel", "siglip2": "Siglip2Model"}  # siglip2 is NaFlex alone
INPUTS = {
    "siglip": {"pixel_values"},
    "siglip2": {"pixel_values", "pixel_attention_mask", "spatial_shapes"},
}
TEXT, IMAGE = ("text_model.",), ("vision_model.",)
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Siglip:
    """SigLIP and SigLIP 2 (fixed resolution, NaFlex) in transformers' format.

    The text vector stands at the last of always `context_length` positions, padding or not, so
    texts are padded to that length and no attention mask is passed.
    """

    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        processor: str | None = None,
        subfolder: str | None = None,
    ) -> None:
        self.files = open_checkpoint("siglip", checkpoint, options, processor, subfolder)
        text = self.files.part("text_config")
        self.context_length = whole(checkpoint, text, "max_position_embeddings", 64)
        width = whole(checkpoint, text, "hidden_size", 768)
        self.id = self.files.identify(
            context_length=self.context_length,
            embed_dim=whole(checkpoint, text, "projection_size", width),
            text={"padding": "max_length", "mask": False, "case": "lower"},
            tokenizer=lambda: self.tokenizer,
        )

    @cached_property
    def towers(self) -> Towers:
        """Return the network's towers; each loads its weights when it first encodes."""
        load = partial(self.files.load_model, MODELS[self.files.model_type], ())
        return Towers(load, TEXT, IMAGE)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer, checked to turn "" into its end token alone."""
        sentencepiece = (self.files.processor / "spiece.model").is_file()
        tokenizer = self.files.load_tokenizer(
            "SiglipTokenizer" if sentencepiece else "PreTrainedTokenizerFast",
            context=self.context_length,
        )
        if tokenizer("")["input_ids"] != [tokenizer.eos_token_id]:
            raise HierevalError(
                f"The tokenizer of {self.files.name!r} must turn '' into its end token "
                f"[{tokenizer.eos_token_id}]; it gives {tokenizer('')['input_ids']}."
            )
        return tokenizer

    def canonical(self, text: str) -> str:
        """Return a text as the model was trained on it: in lower case; SigLIP 1 also without
        punctuation (its vocabulary pads with the end token, Gemma's does not).

        SigLIP 2's own tokenizer folds letter by letter: its last sigma is as any other."""
        if self.tokenizer.pad_token_id != self.tokenizer.eos_token_id:
            return "".join(letter.lower() for letter in text)
        return " ".join(text.lower().translate(WITHOUT_PUNCTUATION).split())

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, the end token included."""
        return token_counts(self.tokenizer, [self.canonical(text) for text in texts])

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors of the joint space, not normalised."""
        texts = [self.canonical(text) for text in texts]
        ids = tokenize(self.tokenizer, texts, "max_length", self.context_length)["input_ids"]
        ends = (ids == self.tokenizer.eos_token_id).any(dim=1)
        if ids.shape[1] != self.context_length or not bool(ends.all()):
            raise HierevalError(
                f"Texts for {self.id.name} must have {self.context_length} tokens with an end "
                f"token; the tokenizer gives {ids.shape[1]}."
            )
        with self.files.compute():
            ids = to_device(ids, self.files.options.device)
            output = self.towers.text.get_text_features(input_ids=ids)
            return output.pooler_output.float()

    def text_tower(self) -> tuple[Any, tuple[str, ...]]:
        """Return the network and the prefixes of its text side's parameters, for fine-tuning."""
        return self.towers.whole, TEXT

    def save(self, folder: Path) -> None:
        """Write the network as it is now into an empty folder, in transformers' format."""
        self.files.save(self.towers.whole, folder)

    def preprocess(self, image: Image) -> dict[str, Tensor]:
        """Return one picture's pixels; for NaFlex also its patch mask and grid."""
        inputs = process(self.files.image_processor, image)
        if set(inputs) != INPUTS[self.files.model_type]:
            raise HierevalError(
                f"The image processor of {self.files.name!r} must return "
                f"{', '.join(sorted(INPUTS[self.files.model_type]))}; "
                f"it returns {', '.join(sorted(inputs))}."
            )
        return inputs

    def encode_images(self, inputs: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return [n, d] float32 image vectors of the joint space, not normalised."""
        with self.files.compute():
            batch = collate(inputs, self.files.options.device)
            return self.towers.image.get_image_features(**batch).pooler_output.float()
