"""Weights into a class of transformers: every key in its place, or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hiereval.errors import HierevalError

# buffers that older versions stored and newer ones compute
HARMLESS = ("position_ids", "num_batches_tracked")


def read(
    cls: Any,
    folder: Path,
    weights: Sequence[Path],
    name: str,
    unused: tuple[str, ...] = (),
    **settings: Any,
) -> Any:
    """Return the model of a folder in float32, whatever precision its weights are stored in.

    Pickles are read as data alone. Keys that begin with `unused` may be there (heads that no
    vector depends on); `settings` go to the class. Raises HierevalError, with the first keys, if
    the weights lack one of the architecture or hold one that it does not know, and if they cannot
    be read.
    """
    import torch

    try:
        model, info = cls.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=weights[0].suffix == ".safetensors",
            weights_only=True,
            local_files_only=True,
            output_loading_info=True,
            **settings,
        )
    except Exception as error:  # each file format fails in its own way
        raise HierevalError(
            f"The weights of {name!r} must load as {cls.__name__}: {first_line(error)}"
        ) from error
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (
            ("missing", _known(info["missing_keys"])),
            ("unexpected", _known(info["unexpected_keys"], unused)),
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


def initialise(cls: Any, folder: Path, seed: int, **settings: Any) -> Any:
    """Return the architecture of a folder's config.json with weights drawn from a seed."""
    import torch

    config = cls.config_class.from_pretrained(folder)
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


def _known(keys: Iterable[str], unused: tuple[str, ...] = ()) -> list[str]:
    kept = (key for key in keys if not key.startswith(unused)) if unused else keys
    return sorted(key for key in kept if key.rpartition(".")[2] not in HARMLESS)
