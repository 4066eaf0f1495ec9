"""Checkpoints in transformers' format: found, identified, and loaded whole or refused."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hiereval import fingerprint, snapshots
from hiereval.adapters import architectures, image_processing, nomic_config, settings, vocabulary
from hiereval.adapters.precision import DTYPES, inference
from hiereval.adapters.towers import ALL, Part
from hiereval.adapters.transformers_weights import WHOLE, files_of, initialise, quiet, read
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, ModelId


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
        """Return tokenizer_config.json without code and paths, {} where there is none."""
        return vocabulary.read_settings(self.name, self.processor)

    @property
    def memory(self) -> Path:
        """Return the folder in which hashes are remembered."""
        return self.options.places.cache

    @cached_property
    def weights_sha256(self) -> str | None:
        """Return the SHA-256 of the weights; None for a random initialisation."""
        return fingerprint.weights_sha256(self.weights, self.memory) if self.weights else None

    def part(self, key: str) -> dict[str, Any]:
        """Return a nested configuration, {} where there is none."""
        return settings.table(self.name, self.config, key)

    def side(self, key: str) -> tuple[str, Mapping[str, Any]]:
        """Return the architecture whose tokenizer or image processor is meant, and its settings.

        A tower's own, where a model joins any two; else the whole model's.
        """
        if self.model_type != architectures.DUAL:
            return self.model_type, self.config
        part = self.part(key)
        return settings.text(self.name, part, "model_type", "none"), part

    def allowed_tokens(self, positions: int) -> int:
        """Return how many tokens a text may have by its tokenizer, at most `positions`."""
        allowed = settings.whole(self.name, self.tokenizer_config, "model_max_length", positions)
        return min(positions, allowed)

    def identify(
        self,
        *,
        context_length: int,
        embed_dim: int,
        text: Mapping[str, Any],
        tokenizer: Callable[[], Any],
        images: bool = True,
        adapter_version: int = 2,
    ) -> ModelId:
        """Return the model's identity; `text` says what is done to texts beyond the tokenizer.

        `tokenizer` makes the tokenizer, which is checked, and looked at where this state of the
        files has not been seen before; so is the image processor.
        """
        if not vocabulary.present(self.processor):
            raise HierevalError(
                f"The checkpoint {self.name!r} must hold a tokenizer ({vocabulary.listed()})."
                f"{self._processor_hint(images)}"
            )
        limits = {"max_length": context_length, "model": self.model_type}
        effective = vocabulary.fingerprint_of(
            self.processor, {**limits, "config": self.config}, self.memory, tokenizer
        )
        pickled = any(path.suffix == ".bin" for path in self.weights)
        return ModelId(
            adapter=self.adapter,
            name=snapshots.label(self.name),
            checkpoint=self.name,
            revision=self.revision,
            adapter_version=adapter_version,
            weights_sha256=self.weights_sha256,
            config_sha256=fingerprint.json_sha256(self.config),
            preprocess_fingerprint=self._preprocessing() if images else None,
            tokenizer_fingerprint=fingerprint.json_sha256(
                {"tokenizer": effective, **text, "max_length": context_length}
            ),
            dtype=DTYPES[self.options.precision],
            random_init=self.options.random_init,
            embed_dim=embed_dim,
            n_params=None
            if pickled or not self.weights
            else sum(map(fingerprint.safetensors_parameters, self.weights)),
            context_length=context_length,
        )

    def load_model(
        self,
        class_name: str,
        unused: tuple[str, ...] = (),
        part: Part = ALL,
        **arguments: Any,
    ) -> Any:
        """Return the model, or a part of it, in float32, evaluation mode, on the run's device.

        Weights that begin with `unused` may be there; `arguments` go to the class. Raises
        HierevalError if the weights are not exactly those of the class, or are no longer those
        that were hashed.
        """
        import transformers

        cls = getattr(transformers, class_name)
        with self.lock, quiet():
            config = settings.configuration(cls.config_class, self.name, self.config)
            if self.options.random_init is None:
                hashed = self.weights_sha256
                model = read(cls, config, self.weights, self.name, unused, part, **arguments)
                if fingerprint.weights_sha256(self.weights, self.memory) != hashed:
                    raise HierevalError(f"The weights of {self.name!r} changed as they were read.")
            else:
                model = initialise(cls, config, self.options.random_init, **arguments)
            return part.ready(model, self.options.device)

    def load_tokenizer(
        self,
        class_name: str = "AutoTokenizer",
        *,
        context: int,
        positions: int | None = None,
        embedding: int | None = None,
    ) -> Any:
        """Return the tokenizer, padding on the right, checked to be the model's.

        `embedding` is how many tokens the network knows, where `text_config` is not its own.
        """
        import transformers

        with self.lock:
            config = None
            if class_name == "AutoTokenizer":
                kind, stated = self.side("text_config")
                cls = transformers.CONFIG_MAPPING[kind]
                config = settings.configuration(cls, self.name, stated)
            tokenizer = vocabulary.load(self.name, self.processor, config, class_name)
        text = self.part("text_config") or self.config
        rows = embedding or settings.whole(self.name, text, "vocab_size", 0)
        vocabulary.check_transformers(
            self.name,
            tokenizer,
            embedding=rows or None,
            context=context,
            positions=positions,
            hint=self._processor_hint(self.processor == self.folder),
        )
        return tokenizer

    @cached_property
    def image_processor(self) -> Any:
        """Return the image processor that resizes with Pillow."""
        with self.lock:
            kind, _ = self.side("vision_config")
            return image_processing.load(self.name, self.image_settings, kind)

    @cached_property
    def image_settings(self) -> dict[str, Any]:
        """Return the settings of the image processor, read once: those of the identity."""
        found = settings.image_processor_settings(self.name, self.processor)
        if found is None:
            raise HierevalError(
                f"The checkpoint {self.name!r} must hold preprocessor_config.json."
                f"{self._processor_hint()}"
            )
        return settings.cropped_to_size(found) if self.model_type == "bridgetower" else found

    def _preprocessing(self) -> str:
        """Return the SHA-256 of what the image processor does, by its own effective settings."""

        def effective() -> str:
            stated = self.image_processor.to_dict()
            return fingerprint.json_sha256(json.loads(json.dumps(stated, default=str)))

        model, _ = self.side("vision_config")
        state = {"image processor": self.image_settings, "model": model}
        libraries = fingerprint.versions("transformers", "pillow")
        processor = fingerprint.remembered(
            {**state, "libraries": libraries}, self.memory, effective
        )
        return fingerprint.json_sha256({"convert": "RGB", "backend": "pil", "processor": processor})

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

    def _processor_hint(self, offered: bool = True) -> str:
        if not offered:
            return ""
        return (
            " '--model-args processor=CHECKPOINT' takes the tokenizer and the image processor "
            "from another checkpoint."
        )


def open_checkpoint(
    adapter: str,
    name: str,
    options: LoadOptions,
    processor: str | None = None,
    subfolder: str | None = None,
) -> Checkpoint:
    """Return the files of a folder or hub repository that this adapter can load.

    `processor` names another checkpoint for the tokenizer and the image processor; the files may
    be in a `subfolder`. Raises HierevalError, naming the right adapter, for a checkpoint of
    another kind.
    """
    found = snapshots.snapshot(adapter, name, options, subfolder=subfolder)
    config_file = found.folder / "config.json"
    if not config_file.is_file():
        raise HierevalError(f"The checkpoint {name!r} must hold config.json.{_hint(name, found)}")
    settings.refuse_lora(name, found.folder)
    config = nomic_config.translated(name, settings.read_config(name, config_file))
    architectures.check(adapter, name, config)
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
        weights=() if options.random_init is not None else files_of(name, found.folder),
        lock=threading.RLock(),
    )


def _hint(name: str, found: snapshots.Snapshot) -> str:
    """Say what a folder without config.json is."""
    if (found.folder / "open_clip_config.json").is_file():
        return f" It is OpenCLIP's: 'openclip:local-dir:{name}'."
    inner = sorted(path.parent.name for path in found.folder.glob("*/config.json"))
    inner = [part for part in inner if (found.folder / part / WHOLE[0]).is_file()] or inner
    return f" Did you mean '--model-args subfolder={inner[0]}'?" if inner else ""


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
