"""What sentence-transformers' files say: pooling, prompts, lower case, a token limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiereval import fingerprint, snapshots
from hiereval.adapters import settings
from hiereval.errors import HierevalError, nearest
from hiereval.types import LoadOptions

POOLINGS = ("mean", "cls", "last")
MODULES = ("Transformer", "Pooling", "Normalize")
# sentence-transformers reads the first of these that is there
TEXTS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# arguments for loaders that sentence-transformers would apply
ARGUMENTS = (
    "model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args",
    "config_kwargs",
)  # fmt: skip
FOLDER = "0_Transformer"  # where older versions put the network


@dataclass(frozen=True)
class TextSettings:
    """What is done to a text and to the vectors of its tokens."""

    subfolder: str | None  # of the network and its tokenizer
    pooling: str
    prompt: str = ""  # before every text, the root's too
    include_prompt: bool = True  # whether the prompt's tokens are pooled
    lower: bool = False
    limit: int | None = None  # tokens, where the files say


def read(
    name: str,
    options: LoadOptions,
    subfolder: str | None,
    pooling: str | None,
    prompt: str | None,
) -> TextSettings:
    """Return what a checkpoint states and its user chooses; a pooling is never guessed.

    `prompt` is the name of one that the checkpoint states, or the words themselves, which end in
    a colon: a space follows it.
    """
    if pooling is not None and pooling not in POOLINGS:
        raise HierevalError(
            f"The pooling {pooling!r} must be one of {', '.join(POOLINGS)}."
            f"{nearest(pooling, POOLINGS)}"
        )
    root = snapshots.snapshot("text", name, options, weights=((),), subfolder=subfolder).folder
    words = prompt_words(name, root, prompt)
    if not (root / "modules.json").is_file():
        if pooling is None:
            raise HierevalError(
                f"The pooling of {name!r} must be named, because the checkpoint does not: "
                f"--model-args pooling={'|'.join(POOLINGS)}."
            )
        return _with_texts(name, root, TextSettings(subfolder, pooling, words))
    network, stated, included = _modules(name, root)
    if pooling not in (None, stated):
        raise HierevalError(
            f"The pooling {pooling!r} must be left out: {name!r} states {stated!r}."
        )
    inner = "/".join(filter(None, (subfolder, network))) or None
    found = TextSettings(inner, stated, words, included)
    return _with_texts(name, settings.inside(name, root, network), found)


def _modules(name: str, root: Path) -> tuple[str, str, bool]:
    """Return the network's sub-folder, the pooling, and whether it takes the prompt's tokens."""
    try:
        modules = json.loads((root / "modules.json").read_text("utf-8"))
        kinds = [str(module.get("type")).rpartition(".")[2] for module in modules]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise HierevalError(f"The modules.json of {name!r} must be a list of objects.") from error
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds) <= set(MODULES):
        raise HierevalError(
            f"The modules of {name!r} must be {', '.join(MODULES)}; they are {', '.join(kinds)}."
        )
    network, pooled = (settings.inside(name, root, module.get("path")) for module in modules[:2])
    config = fingerprint.read_json(pooled / "config.json")
    names = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "last"}
    used = [key.removeprefix("pooling_mode_") for key, on in config.items() if on is True]
    used = [key for key in used if f"pooling_mode_{key}" in config]
    if isinstance(config.get("pooling_mode"), str):
        names, used = {"cls": "cls", "mean": "mean", "lasttoken": "last"}, [config["pooling_mode"]]
    if len(used) != 1 or used[0] not in names:
        raise HierevalError(
            f"The pooling of {name!r} must be one of {', '.join(names)}; "
            f"it is {', '.join(used) or 'none'}."
        )
    included = config.get("include_prompt", True) is not False
    inner = network.relative_to(root).as_posix()
    return "" if inner == "." else inner, names[used[0]], included


def _with_texts(name: str, folder: Path, found: TextSettings) -> TextSettings:
    """Add what the network's own file says about texts."""
    stated: Mapping[str, Any] = {}
    for file in TEXTS:
        stated = _optional(folder / file)
        if stated:
            break
    for key in ARGUMENTS:
        if stated.get(key):
            raise HierevalError(
                f"The {file} of {name!r} must be without {key}: they would change how the network "
                "is loaded."
            )
    if stated.get("transformer_task") not in (None, "feature-extraction"):
        raise HierevalError(
            f"The transformer_task of {name!r} must be 'feature-extraction', not "
            f"{settings.shown(stated['transformer_task'])}."
        )
    return TextSettings(
        found.subfolder,
        found.pooling,
        found.prompt,
        found.include_prompt,
        lower=stated.get("do_lower_case", False) is True,
        limit=settings.whole(name, stated, "max_seq_length", 0) or None,
    )


def prompt_words(name: str, root: Path, given: str | None) -> str:
    """Return the words before every text: the named ones, the user's, or the stated default."""
    stated = _optional(root / "config_sentence_transformers.json")
    prompts = settings.table(name, stated, "prompts")
    for key in prompts:
        settings.text(name, prompts, key, "")
    if given is None:
        return str(prompts.get(settings.text(name, stated, "default_prompt_name", "")) or "")
    if given in prompts:
        return str(prompts[given] or "")
    if given == "none":
        return ""
    if given.endswith(":"):
        return f"{given} "
    named = ", ".join(prompts) or "it states none"
    raise HierevalError(
        f"The prompt {given!r} must be one that {name!r} states ({named}), 'none', or words that "
        f"end in a colon.{nearest(given, prompts)}"
    )


def _optional(path: Path) -> Mapping[str, Any]:
    return fingerprint.read_json(path) if path.is_file() else {}
