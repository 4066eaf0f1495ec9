"""Hashes that identify a model before it is loaded: weights, configuration, preprocessing."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiereval import hashes
from hiereval.errors import HierevalError

LARGEST_JSON = 1 << 26  # bytes of a configuration or an index
_SAME_VECTORS = frozenset(
    {"fingerprint", "name", "checkpoint", "revision", "n_params", "output_dtype", "conformance"}
)


def of_model(fields: Mapping[str, Any]) -> str:
    """Return the fingerprint that a model's fields give: of those that a vector depends on."""
    return json_sha256({name: fields[name] for name in fields if name not in _SAME_VECTORS})


def weights_sha256(files: Sequence[Path], memory: Path | None = None) -> str:
    """Return the SHA-256 of weight files; of several (shards), that of their names and hashes.

    `memory` is the folder in which hashes are remembered (the places' cache).
    """
    if len(files) == 1:
        return file_sha256(files[0], memory)
    return json_sha256({file.name: file_sha256(file, memory) for file in files})


def file_sha256(file: Path, memory: Path | None = None) -> str:
    """Return the SHA-256 of a file's content; see `hashes` for when it is read again."""
    try:
        return hashes.of_file(file, memory)
    except OSError as error:
        raise HierevalError(f"The file '{file}' cannot be read: {error.strerror}.") from error


def json_sha256(value: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def remembered(state: Mapping[str, Any], memory: Path, compute: Callable[[], str]) -> str:
    """Return compute(), a hash, computed once for each state of what it depends on."""
    known, key = hashes.memory(memory), json_sha256(state)
    value = known.get(key)
    if value is None:
        value = compute()
        known.put(key, value)
    return value


def versions(*distributions: str) -> dict[str, str | None]:
    """Return which versions of these distributions are installed; None for those that are not."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def files_sha256(folder: Path, names: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of those files that the folder holds, and of settings beside them."""
    found = {name: file_sha256(folder / name) for name in names if (folder / name).is_file()}
    return json_sha256({"files": found, **settings})


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raise HierevalError, naming the file, for anything else."""
    try:
        if file.stat().st_size > LARGEST_JSON:
            raise ValueError(f"it has more than {LARGEST_JSON:,} bytes")
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise HierevalError(f"The file '{file}' must be readable JSON: {error}.") from error
    except RecursionError as error:
        raise HierevalError(f"The file '{file}' must be JSON of fewer levels.") from error
    if not isinstance(value, dict):
        raise HierevalError(f"The file '{file}' must hold a JSON object.")
    return value


@dataclass(frozen=True)
class SafetensorsHeader:
    """What a safetensors file says of itself."""

    tensors: dict[str, Any]  # name -> {"dtype", "shape", "data_offsets"}
    noted: dict[str, str]
    start: int  # of the data, in bytes
    end: int  # of the data, as the offsets say

    @staticmethod
    def of(file: Path, longest: int = LARGEST_JSON) -> SafetensorsHeader:
        """Read a header of at most `longest` bytes; raises OSError, or ValueError for none."""
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            text = stream.read(length) if length <= longest else b""
        try:
            tensors = json.loads(text)
            noted = tensors.pop("__metadata__", {})
            ends = [entry["data_offsets"][1] for entry in tensors.values()]
            start = 8 + length
            return SafetensorsHeader(tensors, noted, start, start + max(ends, default=0))
        except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise ValueError("it has no header of safetensors") from error


def safetensors_parameters(file: Path) -> int:
    """Return the number of floating-point values in a safetensors file, from its header alone.

    Raises HierevalError for a file that is not one, or that is cut short.
    """
    size = file.stat().st_size
    try:
        header = SafetensorsHeader.of(file)
        floats = [entry["shape"] for entry in header.tensors.values() if "F" in entry["dtype"]]
        parameters = sum(math.prod(map(int, shape)) for shape in floats)
    except (ValueError, KeyError, TypeError) as error:
        raise HierevalError(f"The weights '{file}' must be a safetensors file.") from error
    if header.end != size:
        raise HierevalError(
            f"The weights '{file}' must have {header.end:,} bytes, as their header says; "
            f"there are {size:,}. Fetch the file again."
        )
    return parameters
