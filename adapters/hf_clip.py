"""CLIP (Radford et al., 2021) and the dual encoders of transformers that share its interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval.adapters.architectures import DUAL
from hiereval.adapters.devices import to_device
from hiereval.adapters.image_processing import collate, process
from hiereval.adapters.settings import whole
from hiereval.adapters.towers import Towers
from hiereval.adapters.transformers_loading import (
    Checkpoint,
    open_checkpoint,
    token_counts,
    tokenize,
)
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True)
class Family:
    """What differs between these architectures, and what their configurations leave out."""

    model: str  # class in transformers
    embed_dim: int  # projection_dim where the configuration has none
    context: int  # tokens with specials, where neither configuration nor tokenizer says
    pools_end: bool  # the text vector stands at the end token, seen causally; else at the first
    fixed: bool = False  # `context` is the family's own, whatever the encoder could hold
    first_position: int = 0  # position of the first token
    every_token: bool = False  # the features are of every token, the first is the vector
    image: tuple[str, ...] = ("vision_model.", "visual_projection.")
    unused: tuple[str, ...] = ()  # heads that no vector depends on


FAMILIES = {
    "clip": Family("CLIPModel", 512, 77, pools_end=True),
    "metaclip_2": Family("MetaClip2Model", 512, 77, pools_end=True),
    "align": Family("AlignModel", 640, 64, pools_end=False, fixed=True),
    "altclip": Family("AltCLIPModel", 768, 514, pools_end=False, first_position=2),
    "flava": Family(
        "FlavaModel", 768, 512, pools_end=False, every_token=True,
        unused=("mim_head.", "mlm_head.", "itm_head.", "mmm_image_head.", "mmm_text_head.",
                "image_codebook."),
        image=("image_model.", "image_projection."),
    ),
    "chinese_clip": Family("ChineseCLIPModel", 512, 512, pools_end=False),
}  # fmt: skip
TEXT = ("text_model.", "text_projection.")
# VisionTextDualEncoder joins any two towers; these have the pooled output that it projects
JOINED = "VisionTextDualEncoderModel"
TEXT_TOWERS = {
    "albert": Family(JOINED, 512, 512, pools_end=False),
    "bert": Family(JOINED, 512, 512, pools_end=False),
    "camembert": Family(JOINED, 512, 514, pools_end=False, first_position=2),
    "clip_text_model": Family(JOINED, 512, 77, pools_end=True),
    "mpnet": Family(JOINED, 512, 514, pools_end=False, first_position=2),
    "roberta": Family(JOINED, 512, 514, pools_end=False, first_position=2),
    "xlm-roberta": Family(JOINED, 512, 514, pools_end=False, first_position=2),
}
IMAGE_TOWERS = (
    "beit", "clip_vision_model", "deit", "dinov2", "dinov2_with_registers", "siglip_vision_model",
    "swin", "vit",
)  # fmt: skip


class HFClip:
    """CLIP and its kin, FLAVA and VisionTextDualEncoder in transformers' format.

    That is CLIP, MetaCLIP 2, ALIGN, AltCLIP, ChineseCLIP, and a vision and a text tower of other
    families that a projection each joins (clip-italian and others).
    """

    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        processor: str | None = None,
        subfolder: str | None = None,
    ) -> None:
        self.files = open_checkpoint("hf-clip", checkpoint, options, processor, subfolder)
        self.family = _family(self.files)
        self.context_length = _context_length(self.files, self.family)
        self.id = self.files.identify(
            context_length=self.context_length,
            embed_dim=whole(checkpoint, self.files.config, "projection_dim", self.family.embed_dim),
            text={"padding": "longest", "mask": not self.family.pools_end},
            tokenizer=lambda: self.tokenizer,
        )

    @cached_property
    def towers(self) -> Towers:
        """Return the network's towers; each loads its weights when it first encodes."""
        load = partial(self.files.load_model, self.family.model, self.family.unused)
        return Towers(load, TEXT, self.family.image)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer, checked to end texts with the token that the model pools on."""
        tokenizer = self.files.load_tokenizer(context=self.context_length)
        if self.family.pools_end:
            legacy = self.files.model_type != "metaclip_2"
            check_end(self.files.name, tokenizer, self.files.part("text_config"), legacy=legacy)
        return tokenizer

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, specials included."""
        return token_counts(self.tokenizer, texts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors of the joint space, not normalised."""
        device = self.files.options.device
        encoded = tokenize(self.tokenizer, texts, "longest", self.context_length)
        inputs = {"input_ids": to_device(encoded["input_ids"], device)}
        if self.family.pools_end:  # causal: what follows the end token is never seen
            ends = encoded["input_ids"] == self.tokenizer.eos_token_id
            if not bool(ends.any(dim=1).all()):
                text = texts[int(ends.any(dim=1).logical_not().nonzero()[0])]
                raise HierevalError(
                    f"The text {text[:60]!r} must keep its end token in {self.id.name}."
                )
        else:
            inputs["attention_mask"] = to_device(encoded["attention_mask"], device)
        with self.files.compute():
            return self._vector(self.towers.text.get_text_features(**inputs))

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
            return self._vector(self.towers.image.get_image_features(**batch))

    def _vector(self, features: Any) -> Tensor:
        pooled = features.pooler_output.float()
        return pooled[:, 0] if self.family.every_token else pooled


def _family(files: Checkpoint) -> Family:
    """Return what is special about an architecture; refuse towers without a pooled output."""
    if files.model_type != DUAL:
        return FAMILIES[files.model_type]
    (text, _), (image, _) = files.side("text_config"), files.side("vision_config")
    for what, given, known in (("text", text, TEXT_TOWERS), ("vision", image, IMAGE_TOWERS)):
        if given not in known:
            raise HierevalError(
                f"The {what} tower {given!r} of {files.name!r} must be one whose pooled output is "
                f"known to be its vector ({', '.join(known)})."
            )
    return TEXT_TOWERS[text]


def _context_length(files: Checkpoint, family: Family) -> int:
    """Return how many tokens a text may have: what the tokenizer allows and the encoder holds."""
    if family.fixed:
        return family.context
    text = files.part("text_config")
    positions = whole(files.name, text, "max_position_embeddings", family.context)
    return files.allowed_tokens(positions - family.first_position)


def check_end(name: str, tokenizer: Any, config: Mapping[str, Any], *, legacy: bool) -> None:
    """Refuse a tokenizer whose end token is not where the model of a text configuration looks.

    A CLIP configuration with eos_token_id 2 (all of OpenAI's) means the largest id of a text.
    """
    wanted = config.get("eos_token_id", 49407)
    given = tokenizer.eos_token_id
    legacy = legacy and wanted == 2
    if given != (len(tokenizer) - 1 if legacy else wanted):
        raise HierevalError(
            f"The tokenizer of {name!r} must end texts with the token that the model pools "
            f"on ({len(tokenizer) - 1 if legacy else wanted}); it ends them with {given}."
        )
