"""The text side of an OpenCLIP configuration: its tokenizer, and a tower of transformers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hiereval import snapshots
from hiereval.adapters import settings, vocabulary
from hiereval.adapters.openclip_files import LOCAL, TOWER, Files
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions

TOWER_NAME = "hf_model_name"
TOWERS = ("bert", "m2m_100", "mt5", "roberta", "xlm-roberta")  # those that open_clip knows
CLEANING = ("canonicalize", "lower", "whitespace")
# of a configuration's tokenizer_kwargs: everything else would reach a loader unseen
ARGUMENTS: dict[str, Callable[[Any], bool]] = {
    "clean": lambda value: value in CLEANING,
    "strip_sep_token": lambda value: isinstance(value, bool),
    "additional_special_tokens": lambda value: (
        isinstance(value, list) and all(isinstance(token, str) for token in value)
    ),
}
BPE_VOCABULARY = 49408  # tokens of CLIP's own tokenizer, which open_clip falls back to


def tokenizer_folder(files: Files, options: LoadOptions) -> Path | None:
    """Return where the tokenizer's files are; None for CLIP's own, which open_clip ships.

    Raises HierevalError where neither the configuration nor the vocabulary says which it is:
    open_clip would silently take CLIP's.
    """
    name = settings.text(files.name, files.text, "hf_tokenizer_name", "")
    if not name:
        vocabulary_size = settings.whole(files.name, files.text, "vocab_size", BPE_VOCABULARY)
        extra = len(tokenizer_arguments(files).get("additional_special_tokens", ()))
        if TOWER_NAME in files.text or vocabulary_size != BPE_VOCABULARY + extra:
            raise HierevalError(
                f"The configuration of {files.name!r} must name its tokenizer "
                f"(text_cfg.hf_tokenizer_name): its {vocabulary_size:,} tokens are not CLIP's "
                f"{BPE_VOCABULARY:,}."
            )
        return None
    if files.folder is not None and vocabulary.present(files.folder):
        return files.folder
    if files.name.startswith(LOCAL):
        raise HierevalError(
            f"The folder of {files.name!r} must hold the tokenizer of {name!r} "
            f"({vocabulary.listed()})."
        )
    return _elsewhere(files, name, options)


def tokenizer_arguments(files: Files) -> dict[str, Any]:
    """Return the tokenizer's settings from the configuration: an allow-list, each checked."""
    given = settings.table(files.name, files.text, "tokenizer_kwargs")
    for key, allowed in given.items():
        if key not in ARGUMENTS:
            raise HierevalError(
                f"The tokenizer_kwargs of {files.name!r} must be of {', '.join(ARGUMENTS)}, "
                f"not {key!r}."
            )
        if not ARGUMENTS[key](allowed):
            raise HierevalError(
                f"The {key!r} of the tokenizer_kwargs of {files.name!r} must not be "
                f"{settings.shown(allowed)}."
            )
    return given


def tower(files: Files, options: LoadOptions) -> dict[str, Any] | None:
    """Return the configuration of the text tower that transformers builds; None for open_clip's.

    It stands in the checkpoint's own folder (text_tower/), or in the repository that the
    configuration names.
    """
    name = settings.text(files.name, files.text, TOWER_NAME, "")
    if not name:
        return None
    folder = None if files.folder is None else files.folder / TOWER
    if folder is None or not (folder / "config.json").is_file():
        folder = _elsewhere(files, name, options)
    config = settings.read_config(files.name, folder / "config.json")
    if config.get("model_type") not in TOWERS:
        raise HierevalError(
            f"The text tower of {files.name!r} must be one of {', '.join(TOWERS)}, not "
            f"{settings.shown(config.get('model_type'))}."
        )
    return config


def _elsewhere(files: Files, name: str, options: LoadOptions) -> Path:
    """Return the configuration and tokenizer of a hub repository that the configuration names."""
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or name.startswith("."):
        raise HierevalError(
            f"The repository {name!r} that {files.name!r} names must be one of the hub."
        )
    other = replace(options, revision=None, random_init=0)  # no weights wanted
    # a folder of that name here is none of the checkpoint's
    return snapshots.snapshot(
        "openclip", name, other, model=f"openclip:{files.name}", local=False
    ).folder
