"""Weights in the files that training programs write, beside optimizers, schedules and settings.

Only tensors come out. Whatever else the file holds (numpy scalars of a learning rate's schedule,
a namespace of arguments) becomes an object that does nothing: no class of it is imported.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from torch import Tensor

HOLDERS = ("state_dict", "model")  # under which training programs keep the weights
PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and of torch.compile


def pickled(file: Path) -> Any:
    """Return what a pickle of torch holds, as data alone; tensors stay on disk until they are used.

    The format before torch 1.6, which is no zip, is read whole.
    """
    import torch

    mapped = zipfile.is_zipfile(file)
    return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)


class Inert:
    """Stands for any object of a pickle that is no tensor."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Return a new one, whatever the arguments."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Keep nothing."""


def tensors(file: Path) -> dict[str, Tensor]:
    """Return the weights of a file by name, without the prefixes of training wrappers.

    Raises HierevalError for a file that holds none.
    """
    import torch

    content = _content(file)
    for holder in HOLDERS:
        if isinstance(content, dict) and isinstance(content.get(holder), dict):
            content = content[holder]
    held = content if isinstance(content, dict) else {}
    state = {
        key: value for key, value in held.items()
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    }  # fmt: skip
    if not state or len(state) < len(held):
        raise HierevalError(
            f"The file {str(file)!r} must hold a dictionary of tensors, alone or under "
            f"{' or '.join(map(repr, HOLDERS))}."
        )
    return {_bare(key): value for key, value in state.items()}


def _content(file: Path) -> Any:
    """Return what a file holds: safetensors, or a pickle read as data alone."""
    from safetensors.torch import load_file
    from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        try:
            unknown = get_unsafe_globals_in_checkpoint(file)
        except ValueError:  # the format before torch 1.6, which cannot be looked through
            unknown = []
        with safe_globals([(Inert, name) for name in unknown]):
            return pickled(file)
    except Exception as error:  # torch, zip, pickle and safetensors each fail in their own way
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise HierevalError(
            f"The file {str(file)!r} must be a checkpoint that loads as data alone: "
            f"{type(error).__name__}: {' '.join(lines)[:200]}"
        ) from error


def _bare(key: str) -> str:
    while key.startswith(PREFIXES):
        for prefix in PREFIXES:
            key = key.removeprefix(prefix)
    return key
