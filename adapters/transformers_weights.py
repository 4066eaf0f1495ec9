"""Weights into a class of transformers: every key in its place, or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from unittest import mock

from hiereval.adapters.settings import table
from hiereval.adapters.towers import ALL, Part
from hiereval.adapters.training_files import pickled
from hiereval.errors import HierevalError
from hiereval.fingerprint import read_json

# in the order in which transformers itself looks for them
WHOLE = ("model.safetensors", "pytorch_model.bin")
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SHARDS = ("model-*-of-*.safetensors", "pytorch_model-*-of-*.bin")
# buffers that older versions stored and newer ones compute
HARMLESS = ("position_ids", "num_batches_tracked")


def files_of(name: str, folder: Path) -> tuple[Path, ...]:
    """Return the files that hold a folder's weights: one, or all shards that an index names.

    What stands beside them, stale shards for instance, is not the model. Raises HierevalError for
    a folder without weights, and for an index whose shards are not all there.
    """
    for whole, index in zip(WHOLE, INDICES, strict=True):
        if (folder / whole).is_file():
            return (folder / whole,)
        if (folder / index).is_file():
            return _shards(name, folder / index)
    loose = sorted(path.name for kind in SHARDS for path in folder.glob(kind))
    if loose:
        raise HierevalError(
            f"The checkpoint {name!r} must hold the index of its shards ({' or '.join(INDICES)}) "
            f"beside {loose[0]}."
        )
    raise HierevalError(
        f"The checkpoint {name!r} must hold model.safetensors (or pytorch_model.bin). "
        "'--random-init SEED' measures the architecture without weights."
    )


def _shards(name: str, index: Path) -> tuple[Path, ...]:
    named = sorted({str(file) for file in table(name, read_json(index), "weight_map").values()})
    for file in named:
        if not any(fnmatch(file, kind) for kind in SHARDS) or "/" in file:
            raise HierevalError(
                f"The index '{index}' must name shards beside it ({', '.join(SHARDS)}), "
                f"not {file!r}."
            )
    lacking = [file for file in named if not (index.parent / file).is_file()]
    if lacking or not named:
        raise HierevalError(
            f"The checkpoint {name!r} must hold every shard that its {index.name} names; "
            f"{len(lacking)} of {len(named)} are missing"
            f"{f', the first is {lacking[0]}' if lacking else ''}. "
            "A repository that was fetched in part is completed by fetching it again."
        )
    return tuple(index.parent / file for file in named)


def read(
    cls: Any,
    config: Any,
    weights: Sequence[Path],
    name: str,
    unused: tuple[str, ...] = (),
    part: Part = ALL,
    **settings: Any,
) -> Any:
    """Return the model of a configuration with the tensors of these files, in float32.

    Only these files are read, pickles as data alone. Keys that begin with `unused`, with or
    without the prefix under which a larger model held this one, may be there (heads that no vector
    depends on); what is absent from `part` is not read; `settings` go to the class. Raises
    HierevalError, with the first keys, if the weights lack one of the architecture or hold one
    that it does not know, and if they cannot be read.
    """
    import torch

    try:
        state = {
            key: part.value(key, value) for file in weights for key, value in _tensors(file).items()
        }
        model, info = cls.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            output_loading_info=True,
            **settings,
        )
    except Exception as error:  # each file format fails in its own way
        raise HierevalError(
            f"The weights of {name!r} must load as {cls.__name__}: {first_line(error)}"
        ) from error
    inner = f"{cls.base_model_prefix}."
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (
            ("missing", _known(info["missing_keys"])),
            ("unexpected", _known(info["unexpected_keys"], unused, inner)),
            ("of another shape", _known(key for key, *_ in info["mismatched_keys"])),
        )
        if keys
    ]
    if problems:
        raise HierevalError(
            f"The weights of {name!r} must be exactly those of {cls.__name__}; "
            f"keys: {'; '.join(problems)}."
        )
    return model


def _tensors(file: Path) -> dict[str, Any]:
    """Return a file's tensors, left on disk until they are used; a pickle is data alone."""
    import torch
    from safetensors.torch import load_file

    if file.suffix == ".safetensors":
        return load_file(file)
    state = pickled(file)
    if not isinstance(state, dict) or not all(isinstance(x, torch.Tensor) for x in state.values()):
        raise ValueError(f"{file.name} must hold a dictionary of tensors")
    return state


def initialise(cls: Any, config: Any, seed: int, **settings: Any) -> Any:
    """Return the architecture of a configuration with weights drawn from a seed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cls(config, **settings)


def first_line(error: BaseException) -> str:
    """Return an error as one line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and reports: what matters is checked and raised."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def no_missing(name: str) -> Iterator[None]:
    """Refuse networks that another library loads inside this with weights missing: random ones.

    A pooler that is missing belongs to no sentence encoder's vectors.
    """
    import transformers

    load: Any = transformers.PreTrainedModel.from_pretrained.__func__  # type: ignore[attr-defined]
    missing: list[str] = []

    def watched(cls: Any, *args: Any, **given: Any) -> Any:
        wanted = given.pop("output_loading_info", False)
        model, info = load(cls, *args, output_loading_info=True, **given)
        missing.extend(key for key in info["missing_keys"] if not key.startswith("pooler."))
        return (model, info) if wanted else model

    with mock.patch.object(transformers.PreTrainedModel, "from_pretrained", classmethod(watched)):
        yield
    found = _known(missing)
    if found:
        raise HierevalError(
            f"The weights of {name!r} must hold every key of the network; {len(found)} are missing "
            f"and would be random ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''})."
        )


def _known(keys: Iterable[str], unused: tuple[str, ...] = (), inner: str = "") -> list[str]:
    """Return the keys that matter; `inner` is what a larger model's keys begin with."""
    kept = (key for key in keys if not unused or not key.removeprefix(inner).startswith(unused))
    return sorted(key for key in kept if key.rpartition(".")[2] not in HARMLESS)
