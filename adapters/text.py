"""Text-only encoders: sentence-transformers' folders, or transformers with a named pooling.

They order captions and judge entailment between them; what needs images is recorded as skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hiereval.adapters import text_settings
from hiereval.adapters.devices import to_device
from hiereval.adapters.settings import whole
from hiereval.adapters.transformers_loading import open_checkpoint, token_counts, tokenize
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True)
class Family:
    """What differs between these architectures."""

    model: str  # class in transformers
    first_position: int = 0  # of the first token
    pooler: bool = True  # whether the class can be built without its pooler
    positions: int = 512  # tokens, where the configuration does not say
    version: int = 2  # of the adapter, for this architecture


FAMILIES = {
    "bert": Family("BertModel"),
    "distilbert": Family("DistilBertModel", pooler=False),
    "mpnet": Family("MPNetModel", 2),
    "roberta": Family("RobertaModel", 2),
    "xlm-roberta": Family("XLMRobertaModel", 2),
    "camembert": Family("CamembertModel", 2),
    "albert": Family("AlbertModel"),
    "electra": Family("ElectraModel", pooler=False),
    "deberta": Family("DebertaModel", pooler=False),
    "deberta-v2": Family("DebertaV2Model", pooler=False),
    "modernbert": Family("ModernBertModel", pooler=False, positions=8192, version=3),
    "nomic_bert": Family("NomicBertModel", positions=2048, version=3),
    "t5": Family("T5EncoderModel", pooler=False),
    # decoders: what the last token has seen is the whole text
    "llama": Family("LlamaModel", pooler=False, positions=2048, version=3),
    "mistral": Family("MistralModel", pooler=False, positions=4096, version=3),
    "qwen2": Family("Qwen2Model", pooler=False, positions=32768, version=3),
    "qwen3": Family("Qwen3Model", pooler=False, positions=32768, version=3),
}
# no vector depends on them
HEADS = (
    "pooler.", "cls.", "lm_head.", "vocab_", "qa_outputs.", "classifier.", "pre_classifier.",
    "discriminator_predictions.", "generator_predictions.", "generator_lm_head.", "predictions.",
    "sop_classifier.", "mask_predictions.", "lm_predictions.", "head.", "decoder.", "score.",
)  # fmt: skip


class TextEncoder:
    """BERT and its kin, T5's encoder, and decoders, as sentence encoders; text only.

    A sentence-transformers folder names its pooling (`pooling` must agree); for any other
    checkpoint `--model-args pooling=mean` (over the tokens), `cls` or `last` (decoders) names it.
    `prompt` chooses one of its prompts (`query`, `document`), or gives the words (`query:`).
    """

    modalities: frozenset[Modality] = frozenset({"text"})

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        pooling: str | None = None,
        prompt: str | None = None,
        subfolder: str | None = None,
    ) -> None:
        self.stated = text_settings.read(checkpoint, options, subfolder, pooling, prompt)
        self.files = open_checkpoint("text", checkpoint, options, subfolder=self.stated.subfolder)
        config = self.files.config
        family = FAMILIES[self.files.model_type]
        positions = whole(checkpoint, config, "max_position_embeddings", family.positions)
        self.positions = positions - family.first_position
        self.context_length = self.stated.limit or self.files.allowed_tokens(self.positions)
        width = whole(checkpoint, config, "d_model", whole(checkpoint, config, "dim", 768))
        text: dict[str, Any] = {
            "pooling": self.stated.pooling,
            "lower": self.stated.lower,
            "prompt": self.stated.prompt,
        }
        if self.stated.prompt:
            text["include_prompt"] = self.stated.include_prompt
        self.id = self.files.identify(
            context_length=self.context_length,
            embed_dim=whole(checkpoint, config, "hidden_size", width),
            text=text,
            tokenizer=lambda: self.tokenizer,
            images=False,
            adapter_version=family.version,
        )

    @cached_property
    def model(self) -> Any:
        """Return the network without its heads; loads the weights."""
        family = FAMILIES[self.files.model_type]
        settings: dict[str, Any] = {"add_pooling_layer": False} if family.pooler else {}
        return self.files.load_model(family.model, unused=HEADS, **settings)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer."""
        return self.files.load_tokenizer(context=self.context_length, positions=self.positions)

    @cached_property
    def prompt_tokens(self) -> int:
        """Return how many tokens at the start of a text are the prompt's and are not pooled."""
        if self.stated.include_prompt or not self.stated.prompt:
            return 0
        ids = self.tokenizer(self.written([""])[0])["input_ids"]
        tokens = len(ids) - (ids[-1] in self.tokenizer.all_special_ids)
        if tokens + 2 > self.context_length:
            raise HierevalError(
                f"The prompt of {self.id.name!r} must leave room for a text; it takes {tokens:,} "
                f"of {self.context_length:,} tokens."
            )
        return tokens

    def written(self, texts: Sequence[str]) -> list[str]:
        """Return texts as the checkpoint wants them: with its prompt, in lower case if it says."""
        texts = [self.stated.prompt + text for text in texts]
        return [text.lower() for text in texts] if self.stated.lower else texts

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, specials included."""
        return token_counts(self.tokenizer, self.written(texts))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors, not normalised."""
        encoded = tokenize(self.tokenizer, self.written(texts), "longest", self.context_length)
        mask = encoded["attention_mask"]
        pooled = mask.clone()
        pooled[:, : self.prompt_tokens] = 0
        if not bool(pooled.any(dim=1).all()):
            text = texts[int(pooled.any(dim=1).logical_not().nonzero()[0])]
            raise HierevalError(
                f"The text {text[:60]!r} must have a token in {self.id.name}, whose tokenizer adds "
                "none of its own. State a root that has one: --root-text 'a photo'."
            )
        given = encoded["input_ids"], mask, pooled
        with self.files.compute():
            ids, mask, pooled = (to_device(x, self.files.options.device) for x in given)
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state  # [n, t, d]
            return _pooled(hidden.float(), pooled, self.stated.pooling)

    def preprocess(self, image: Image) -> Any:
        """Refuse: there is no image encoder."""
        raise HierevalError(f"The model {self.id.name!r} must be asked for texts alone.")

    def encode_images(self, inputs: Sequence[Any]) -> Tensor:
        """Refuse: there is no image encoder."""
        raise HierevalError(f"The model {self.id.name!r} must be asked for texts alone.")


def _pooled(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """[n, t, d] token vectors, [n, t] which are to be pooled (a run of ones) -> [n, d]."""
    import torch

    rows = torch.arange(len(hidden), device=hidden.device)
    first = mask.argmax(dim=1)
    if pooling == "cls":
        return hidden[rows, first]
    if pooling == "last":
        return hidden[rows, first + mask.sum(dim=1) - 1]
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
