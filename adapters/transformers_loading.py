"""Checkpoints in transformers' format: found, identified, and loaded whole or refused."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hiereval import fingerprint, snapshots
from hiereval.adapters.precision import DTYPES, inference
from hiereval.adapters.transformers_weights import first_line, initialise, quiet, read
from hiereval.distribution import install
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, ModelId

# which adapter loads a config.json's model_type
ADAPTERS = {
    "clip": "hf-clip",
    "align": "hf-clip",
    "altclip": "hf-clip",
    "chinese_clip": "hf-clip",
    "metaclip_2": "hf-clip",
    "siglip": "siglip",
    "siglip2": "siglip",
    "blip": "blip",
    "bert": "text",
    "distilbert": "text",
    "mpnet": "text",
    "roberta": "text",
    "xlm-roberta": "text",
}
# a tokenizer is one of these groups of files; anything else would load as an empty vocabulary
VOCABULARIES = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("tokenizer.model",),
)
TOKENIZER_FILES = (
    *sorted({name for group in VOCABULARIES for name in group}),
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
)


@dataclass(frozen=True)
class Checkpoint:
    """The files of one model; what is expensive loads when it is first used, in any thread."""

    adapter: str
    name: str
    options: LoadOptions
    folder: Path
    revision: str | None
    processor: Path  # where the tokenizer and the image processor's settings are
    config: Mapping[str, Any]  # config.json
    weights: tuple[Path, ...]  # () for a random initialisation
    lock: threading.RLock

    @property
    def model_type(self) -> str:
        """Return the architecture's name in transformers."""
        return str(self.config["model_type"])

    @cached_property
    def tokenizer_config(self) -> dict[str, Any]:
        """Return tokenizer_config.json, {} where there is none."""
        path = self.processor / "tokenizer_config.json"
        return fingerprint.read_json(path) if path.is_file() else {}

    @cached_property
    def image_config(self) -> dict[str, Any]:
        """Return the image processor's settings."""
        path = self.processor / "preprocessor_config.json"
        if path.is_file():
            return fingerprint.read_json(path)
        path = self.processor / "processor_config.json"
        nested = fingerprint.read_json(path).get("image_processor") if path.is_file() else None
        if not isinstance(nested, dict):
            raise HierevalError(
                f"The checkpoint {self.name!r} must hold preprocessor_config.json."
                f"{self._processor_hint()}"
            )
        return nested

    def identify(
        self,
        *,
        context_length: int,
        embed_dim: int,
        text: Mapping[str, Any],
        adapter_version: int = 1,
    ) -> ModelId:
        """Return the model's identity; `text` says what was done to texts beyond the files."""
        if not any(all((self.processor / n).is_file() for n in group) for group in VOCABULARIES):
            raise HierevalError(
                f"The checkpoint {self.name!r} must hold a tokenizer "
                f"({', '.join(' + '.join(group) for group in VOCABULARIES)})."
                f"{self._processor_hint()}"
            )
        pickled = any(path.suffix == ".bin" for path in self.weights)
        return ModelId(
            adapter=self.adapter,
            name=Path(self.name).name,
            checkpoint=self.name,
            revision=self.revision,
            adapter_version=adapter_version,
            weights_sha256=fingerprint.weights_sha256(self.weights) if self.weights else None,
            config_sha256=fingerprint.json_sha256(self.config),
            preprocess_fingerprint=fingerprint.json_sha256(
                {"convert": "RGB", "backend": "pil", "processor": self.image_config}
            ),
            tokenizer_fingerprint=fingerprint.files_sha256(
                self.processor, TOKENIZER_FILES, {**text, "max_length": context_length}
            ),
            dtype=DTYPES[self.options.precision],
            random_init=self.options.random_init,
            embed_dim=embed_dim,
            n_params=None
            if pickled or not self.weights
            else sum(map(fingerprint.safetensors_parameters, self.weights)),
            context_length=context_length,
            trust_remote_code=self.options.trust_remote_code,
        )

    def load_model(self, class_name: str, unused: tuple[str, ...] = (), **settings: Any) -> Any:
        """Return the model in float32, in evaluation mode, on the run's device.

        Weights that begin with `unused` may be there; `settings` go to the class. Raises
        HierevalError if the weights are not exactly those of the class.
        """
        import transformers

        cls = getattr(transformers, class_name)
        with self.lock, quiet():
            if self.options.random_init is None:
                model = read(cls, self.folder, self.weights, self.name, unused, **settings)
            else:
                model = initialise(cls, self.folder, self.options.random_init, **settings)
            return model.float().eval().requires_grad_(False).to(self.options.device)

    def load_tokenizer(self, class_name: str = "AutoTokenizer") -> Any:
        """Return the tokenizer, padding on the right."""
        import transformers

        with self.lock, quiet():
            try:
                config = transformers.AutoConfig.from_pretrained(self.folder)
                tokenizer = getattr(transformers, class_name).from_pretrained(
                    self.processor,
                    local_files_only=True,
                    padding_side="right",
                    truncation_side="right",
                    **({"config": config} if class_name == "AutoTokenizer" else {}),
                )
            except ImportError as error:
                raise HierevalError(
                    f"The tokenizer of {self.name!r} needs sentencepiece and protobuf: "
                    f"{install('siglip')}"
                ) from error
            except Exception as error:
                raise HierevalError(
                    f"The tokenizer of {self.name!r} must be readable: {first_line(error)}"
                ) from error
        vocabulary = self.config.get("text_config", {}).get("vocab_size")
        if vocabulary is not None and len(tokenizer) > vocabulary:
            raise HierevalError(
                f"The tokenizer of {self.name!r} must have at most the model's "
                f"{vocabulary:,} tokens; it has {len(tokenizer):,}."
            )
        return tokenizer

    @cached_property
    def image_processor(self) -> Any:
        """Return the image processor that resizes with Pillow."""
        with self.lock, quiet():
            from transformers import AutoImageProcessor

            try:
                processor = AutoImageProcessor.from_pretrained(
                    self.processor, backend="pil", local_files_only=True
                )
            except Exception as error:
                raise HierevalError(
                    f"The image processor of {self.name!r} must be readable: {first_line(error)}"
                ) from error
        if processor.backend != "pil":
            raise HierevalError(
                f"The image processor {type(processor).__name__} of {self.name!r} must have a "
                "variant that uses Pillow."
            )
        return processor

    def save(self, model: Any, folder: Path) -> None:
        """Write the model into an empty folder: its weights, and the files it was loaded with."""
        with quiet():
            model.save_pretrained(folder)
        for source in (self.folder, self.processor):
            for path in sorted(
                path for kind in snapshots.CONFIGURATION for path in source.glob(kind)
            ):
                if not path.name.endswith(".index.json"):  # of sharded weights
                    shutil.copyfile(path, folder / path.name)

    def compute(self) -> AbstractContextManager[None]:
        """Return the context in which the model runs: no gradients, the run's precision."""
        return inference(self.options.precision, self.options.device)

    def _processor_hint(self) -> str:
        return (
            " '--model-args processor=CHECKPOINT' takes the tokenizer and the image processor "
            "from another checkpoint."
        )


def open_checkpoint(
    adapter: str, name: str, options: LoadOptions, processor: str | None = None
) -> Checkpoint:
    """Return the files of a folder or hub repository that this adapter can load.

    `processor` names another checkpoint for the tokenizer and the image processor. Raises
    HierevalError, naming the right adapter, for a checkpoint of another kind.
    """
    found = snapshots.snapshot(adapter, name, options)
    config_file = found.folder / "config.json"
    if not config_file.is_file():
        openclip = (found.folder / "open_clip_config.json").is_file()
        hint = f" It is OpenCLIP's: 'openclip:local-dir:{name}'." if openclip else ""
        raise HierevalError(f"The checkpoint {name!r} must hold config.json.{hint}")
    config = fingerprint.read_json(config_file)
    _check_type(adapter, name, config)
    weights: list[Path] = []
    if options.random_init is None:
        groups = (
            sorted(path for pattern in group for path in found.folder.glob(pattern))
            for group in (snapshots.SAFETENSORS, snapshots.PICKLES)
        )
        weights = next(filter(None, groups), [])
        if not weights:
            raise HierevalError(
                f"The checkpoint {name!r} must hold model.safetensors (or pytorch_model.bin). "
                "'--random-init SEED' measures the architecture without weights."
            )
    other = found
    if processor is not None:
        other = snapshots.snapshot(
            adapter, processor, replace(options, revision=None), weights=((),)
        )
    return Checkpoint(
        adapter=adapter,
        name=name,
        options=options,
        folder=found.folder,
        revision=found.revision,
        processor=other.folder,
        config=config,
        weights=tuple(weights),
        lock=threading.RLock(),
    )


def tokenize(tokenizer: Any, texts: Sequence[str], padding: str, length: int) -> Any:
    """Return input_ids and attention_mask as [n, tokens] tensors, cut at `length` tokens."""
    return tokenizer(
        list(texts),
        padding=padding,
        truncation=True,
        max_length=length,
        return_tensors="pt",
        verbose=False,
    )


def token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Return each text's number of tokens before truncation, specials included."""
    return [len(ids) for ids in tokenizer(list(texts), verbose=False)["input_ids"]]


def _check_type(adapter: str, name: str, config: Mapping[str, Any]) -> None:
    given = config.get("model_type")
    right = ADAPTERS.get(str(given))
    if right == adapter:
        return
    known = ", ".join(kind for kind, where in ADAPTERS.items() if where == adapter)
    hint = f" The adapter for it is {right!r}: '{right}:{name}'." if right else ""
    raise HierevalError(
        f"The model type {given!r} of {name!r} must be one that {adapter!r} loads ({known}).{hint}"
    )
