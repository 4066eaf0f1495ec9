"""Text-only encoders: sentence-transformers' folders, or transformers with a named pooling.

They order captions and judge entailment between them; what needs images is recorded as skipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval import fingerprint
from hiereval.adapters.precision import DTYPES
from hiereval.adapters.transformers_loading import (
    TOKENIZER_FILES,
    Checkpoint,
    open_checkpoint,
    token_counts,
    tokenize,
)
from hiereval.errors import HierevalError, nearest
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

# class in transformers, and the position of the first token
MODELS = {
    "bert": ("BertModel", 0),
    "distilbert": ("DistilBertModel", 0),
    "mpnet": ("MPNetModel", 2),
    "roberta": ("RobertaModel", 2),
    "xlm-roberta": ("XLMRobertaModel", 2),
}
HEADS = ("pooler.", "cls.", "lm_head.", "vocab_", "qa_outputs.")  # no vector depends on them
POOLINGS = ("mean", "cls", "last")
MODULES = ("Transformer", "Pooling", "Normalize")


class TextEncoder:
    """BERT, DistilBERT, MPNet, RoBERTa and XLM-R as sentence encoders; text only.

    A sentence-transformers folder names its pooling (`pooling` must agree); for any other
    checkpoint `--model-args pooling=mean` (over the tokens), `cls` or `last` names it.
    """

    modalities: frozenset[Modality] = frozenset({"text"})

    def __init__(self, checkpoint: str, options: LoadOptions, pooling: str | None = None) -> None:
        self.files = open_checkpoint("text", checkpoint, options)
        self.pooling = _pooling(self.files, pooling)
        self.lower, self.prompt, limit = _settings(self.files)
        self.context_length = limit or _context_length(self.files)
        options = self.files.options
        text = {"pooling": self.pooling, "lower": self.lower, "prompt": self.prompt}
        pickled = any(path.suffix == ".bin" for path in self.files.weights)
        self.id = ModelId(
            adapter="text",
            name=Path(checkpoint).name,
            checkpoint=checkpoint,
            revision=self.files.revision,
            weights_sha256=fingerprint.weights_sha256(self.files.weights)
            if self.files.weights
            else None,
            config_sha256=fingerprint.json_sha256(self.files.config),
            tokenizer_fingerprint=fingerprint.files_sha256(
                self.files.folder, TOKENIZER_FILES, {**text, "max_length": self.context_length}
            ),
            dtype=DTYPES[options.precision],
            random_init=options.random_init,
            embed_dim=self.files.config.get("hidden_size", self.files.config.get("dim", 768)),
            n_params=None
            if pickled or not self.files.weights
            else sum(map(fingerprint.safetensors_parameters, self.files.weights)),
            context_length=self.context_length,
            trust_remote_code=options.trust_remote_code,
        )

    @cached_property
    def model(self) -> Any:
        """Return the network without its heads; loads the weights."""
        name = MODELS[self.files.model_type][0]
        settings = {} if name == "DistilBertModel" else {"add_pooling_layer": False}
        return self.files.load_model(name, unused=HEADS, **settings)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer."""
        return self.files.load_tokenizer()

    def written(self, texts: Sequence[str]) -> list[str]:
        """Return texts as the checkpoint wants them: with its prompt, in lower case if it says."""
        texts = [self.prompt + text for text in texts]
        return [text.lower() for text in texts] if self.lower else texts

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, specials included."""
        return token_counts(self.tokenizer, self.written(texts))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors, not normalised."""
        encoded = tokenize(self.tokenizer, self.written(texts), "longest", self.context_length)
        device = self.files.options.device
        ids, mask = encoded["input_ids"].to(device), encoded["attention_mask"].to(device)
        with self.files.compute():
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state  # [n, t, d]
            return _pooled(hidden.float(), mask, self.pooling)

    def preprocess(self, image: Image) -> Any:
        """Refuse: there is no image encoder."""
        raise HierevalError(f"The model {self.id.name!r} must be asked for texts alone.")

    def encode_images(self, inputs: Sequence[Any]) -> Tensor:
        """Refuse: there is no image encoder."""
        raise HierevalError(f"The model {self.id.name!r} must be asked for texts alone.")


def _pooled(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """[n, t, d] token vectors, [n, t] which are no padding (right) -> [n, d]."""
    import torch

    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1]
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def _pooling(files: Checkpoint, given: str | None) -> str:
    """Return the pooling that the folder states or the user names; it is never guessed."""
    if given is not None and given not in POOLINGS:
        raise HierevalError(
            f"The pooling {given!r} must be one of {', '.join(POOLINGS)}.{nearest(given, POOLINGS)}"
        )
    path = files.folder / "modules.json"
    if not path.is_file():
        if given is None:
            raise HierevalError(
                f"The pooling of {files.name!r} must be named, because the checkpoint does not: "
                f"--model-args pooling={'|'.join(POOLINGS)}."
            )
        return given
    stated = _stated(files, path)
    if given not in (None, stated):
        raise HierevalError(
            f"The pooling {given!r} must be left out: {files.name!r} states {stated!r}."
        )
    return stated


def _stated(files: Checkpoint, path: Path) -> str:
    modules = json.loads(path.read_text("utf-8"))
    kinds = [str(module.get("type")).rpartition(".")[2] for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds) <= set(MODULES):
        raise HierevalError(
            f"The modules of {files.name!r} must be {', '.join(MODULES)}; they are "
            f"{', '.join(kinds)}."
        )
    config = fingerprint.read_json(files.folder / str(modules[1].get("path")) / "config.json")
    names = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "last"}
    used = [key.removeprefix("pooling_mode_") for key, on in config.items() if on is True]
    used = [key for key in used if f"pooling_mode_{key}" in config]
    if isinstance(config.get("pooling_mode"), str):
        names, used = {"cls": "cls", "mean": "mean", "lasttoken": "last"}, [config["pooling_mode"]]
    if len(used) != 1 or used[0] not in names:
        raise HierevalError(
            f"The pooling of {files.name!r} must be one of {', '.join(names)}; "
            f"it is {', '.join(used) or 'none'}."
        )
    return names[used[0]]


def _settings(files: Checkpoint) -> tuple[bool, str, int | None]:
    """Return what sentence-transformers does to texts: lower-case, a prompt, a token limit."""
    texts = _optional(files, "sentence_bert_config.json")
    prompts = _optional(files, "config_sentence_transformers.json")
    default = prompts.get("default_prompt_name")
    prompt = prompts.get("prompts", {}).get(default, "") if default else ""
    return bool(texts.get("do_lower_case", False)), prompt, texts.get("max_seq_length")


def _optional(files: Checkpoint, name: str) -> Mapping[str, Any]:
    path = files.folder / name
    return fingerprint.read_json(path) if path.is_file() else {}


def _context_length(files: Checkpoint) -> int:
    positions = int(files.config.get("max_position_embeddings", 512))
    positions -= MODELS[files.model_type][1]
    return min(positions, int(files.tokenizer_config.get("model_max_length", positions)))
