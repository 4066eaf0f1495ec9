"""Tokenizers: which may load, what each must know, and what of it a vector depends on.

Every family's tokenizer passes `check`: where a checkpoint came without its vocabulary, the
library makes one up, and every caption becomes the same few tokens.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiereval import fingerprint
from hiereval.adapters import settings
from hiereval.adapters.transformers_weights import first_line, quiet
from hiereval.distribution import install
from hiereval.errors import HierevalError
from hiereval.types import TWO_CAPTIONS

# a tokenizer is one of these groups of files; anything else would load as an empty vocabulary
VOCABULARIES = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("tokenizer.model",),
)
FILES = (
    *sorted({name for group in VOCABULARIES for name in group}),
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
)
# those that only turn texts into ids: some of transformers' start a program or load a dictionary
CLASSES = frozenset(
    f"{family}Tokenizer"
    for family in (
        "Albert", "Bert", "Camembert", "CLIP", "Deberta", "DebertaV2", "DistilBert", "Electra",
        "GPT2", "Gemma", "Llama", "MPNet", "Nllb", "PreTrained", "Qwen2", "Roberta", "Siglip",
        "Siglip2", "T5", "XLMRoberta",
    )
) | {"TokenizersBackend"}  # fmt: skip
SIDES = {"padding_side": "right", "truncation_side": "right"}  # where texts are padded and cut
# of tokenizer_config.json, what is not handed on: code, and files elsewhere
NOT_HANDED_ON = frozenset({"auto_map", "name_or_path", "processor_class", "trust_remote_code"})
SPELLED = ("", *TWO_CAPTIONS, "A Blue Bird.", "\u00e9t\u00e9 \u9ce5 \U0001f426", "  x\t1,234  ")


def present(folder: Path) -> bool:
    """Whether a folder holds a vocabulary."""
    return any(all((folder / name).is_file() for name in group) for group in VOCABULARIES)


def listed() -> str:
    """Return which files a vocabulary may be, in words."""
    return ", ".join(" + ".join(group) for group in VOCABULARIES)


def read_settings(name: str, folder: Path) -> dict[str, Any]:
    """Return tokenizer_config.json without code and paths, {} where there is none.

    Raises HierevalError for a class that does more than turn texts into ids.
    """
    path = folder / "tokenizer_config.json"
    found = fingerprint.read_json(path) if path.is_file() else {}
    kind = settings.text(name, found, "tokenizer_class", "").removesuffix("Fast")
    if kind and kind not in CLASSES:
        raise HierevalError(
            f"The tokenizer {kind!r} of {name!r} must be one of {', '.join(sorted(CLASSES))}."
        )
    for key in ("model_max_length", "max_length"):
        settings.whole(name, found, key, 1)
    return {
        key: value
        for key, value in found.items()
        if key not in NOT_HANDED_ON
        and not key.endswith(("_file", "_files"))
        and not (value is None and key == "model_max_length")
    }


def load(
    name: str,
    folder: Path,
    config: Any = None,
    class_name: str = "AutoTokenizer",
    build: Callable[..., Any] | None = None,
) -> Any:
    """Return the tokenizer of a folder, padding and cutting on the right.

    The library sees the vocabulary's files and cleaned settings alone, never the folder.
    `build(folder, **arguments)` stands for another constructor that hands its arguments on, and
    may do so with other sides.
    """
    import transformers

    with quiet(), tempfile.TemporaryDirectory(prefix="hiereval-") as made:
        for file in FILES:
            if (folder / file).is_file():
                os.symlink((folder / file).resolve(), Path(made) / file)
        cleaned = Path(made) / "tokenizer_config.json"
        cleaned.unlink(missing_ok=True)
        cleaned.write_text(json.dumps(read_settings(name, folder)), "utf-8")
        arguments: dict[str, Any] = {
            "local_files_only": True,
            "trust_remote_code": False,
            **SIDES,
        }
        if class_name == "AutoTokenizer":
            arguments["config"] = config or transformers.PretrainedConfig()
        create = build or getattr(transformers, class_name).from_pretrained
        try:
            return create(made, **arguments)
        except ImportError as error:
            raise HierevalError(
                f"The tokenizer of {name!r} needs sentencepiece and protobuf: {install('siglip')}"
            ) from error
        except Exception as error:
            raise HierevalError(
                f"The tokenizer of {name!r} must be readable: "
                f"{first_line(error).replace(made, str(folder))}"
            ) from error


def check(
    name: str,
    encode: Callable[[list[str]], Sequence[Sequence[int]]],
    *,
    size: int | None,
    embedding: int | None,
    context: int,
    positions: int | None = None,
    special: Collection[int] = (),
    hint: str = "",
) -> None:
    """Refuse a vocabulary that is not the model's; every family's tokenizer passes here.

    `encode` gives the ids of texts, `size` is how many tokens the vocabulary has (None: some are
    not used), `embedding` how many the network knows, `special` the ids that stand for no part of
    a text (unknown ones included). A text may have `context` tokens, of the network's `positions`.
    """
    if positions is not None and context > positions:
        raise HierevalError(
            f"The texts of {name!r} must have at most as many tokens as its encoder has positions "
            f"({positions:,}), not {context:,}."
        )
    if embedding is not None and size is not None and size > embedding:
        raise HierevalError(
            f"The tokenizer of {name!r} must have at most the model's {embedding:,} tokens; it has "
            f"{size:,}."
        )
    first, second = (list(ids) for ids in encode(list(TWO_CAPTIONS)))
    if first == second or not {*first, *second} - {*special}:
        raise HierevalError(
            f"The tokenizer of {name!r} must tell captions apart: {TWO_CAPTIONS[0]!r} and "
            f"{TWO_CAPTIONS[1]!r} are {first} and {second}. Its vocabulary is not the "
            f"model's.{hint}"
        )
    highest = max(max(first, default=0), max(second, default=0))
    if embedding is not None and highest >= embedding:
        raise HierevalError(
            f"The tokenizer of {name!r} must give ids below the model's {embedding:,}, "
            f"not {highest:,}."
        )


def check_transformers(name: str, tokenizer: Any, **limits: Any) -> None:
    """Check a tokenizer of transformers."""

    def encode(texts: list[str]) -> Sequence[Sequence[int]]:
        ids: Sequence[Sequence[int]] = tokenizer(texts, verbose=False)["input_ids"]
        return ids

    check(name, encode, size=len(tokenizer), special=tokenizer.all_special_ids, **limits)


def effective(tokenizer: Any) -> dict[str, Any]:
    """Return all of a tokenizer of transformers that an id depends on, as JSON values.

    The vocabulary, normaliser, pre-tokeniser, post-processor and special tokens of the object
    that is used, and, so that nothing is forgotten, the ids of a few texts.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        rules.pop("truncation", None)  # how it was called last
        rules.pop("padding", None)
    else:
        rules = {"vocabulary": dict(sorted(tokenizer.get_vocab().items()))}
        rules["arguments"] = {
            key: value
            for key, value in tokenizer.init_kwargs.items()
            if isinstance(value, bool | int | float | None) or key == "sp_model_kwargs"
        }
    return {
        "class": type(tokenizer).__name__,
        "rules": rules,
        "special": {key: str(value) for key, value in tokenizer.special_tokens_map.items()},
        "special_ids": tokenizer.all_special_ids,
        "sides": [tokenizer.padding_side, tokenizer.truncation_side, tokenizer.pad_token_id],
        "ids": tokenizer(list(SPELLED), verbose=False)["input_ids"],
    }


def fingerprint_of(
    folder: Path, extra: Mapping[str, Any], memory: Path, make: Callable[[], Any]
) -> str:
    """Return the SHA-256 of the effective settings of the tokenizer that `make` returns, checked.

    It is made once for each state of the folder's files and of the installed libraries.
    """
    present = (name for name in FILES if (folder / name).is_file())
    state = {
        "tokenizer": {name: fingerprint.file_sha256(folder / name, memory) for name in present},
        "libraries": fingerprint.versions(
            "transformers", "tokenizers", "sentencepiece", "open_clip_torch"
        ),
        **extra,
    }
    return fingerprint.remembered(state, memory, lambda: fingerprint.json_sha256(effective(make())))
