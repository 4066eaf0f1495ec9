"""Vectors by name in many files: mapped into memory, found through one small index.

A shard is a safetensors file with

    vectors   F16, F32 or F64 [n, d]
    keys      U8 [n, 32]: the SHA-256 of each name (a caption, an image's name) in UTF-8
    names     U8 [bytes]: the names, a JSON string a line
    content   U8 [n, 32], optional: the SHA-256 of each image file

and stands in the folder's `index.json` with its rows and its own SHA-256. Opening reads headers
and keys; a shard's hash is compared when its first vector is read.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hiereval import files, fingerprint
from hiereval.errors import HierevalError
from hiereval.fingerprint import SafetensorsHeader

FLOATS = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
INDEX, NOTED = "index.json", "hiereval"
LONGEST_HEADER = 1 << 20  # bytes


@dataclass(frozen=True, eq=False)
class VectorShard:
    """An open shard; its arrays stay in the file."""

    path: Path
    sha256: str  # as the index says
    vectors: np.ndarray  # [n, d]
    keys: np.ndarray  # uint8 [n, 32]
    text: np.ndarray  # uint8: the names' lines

    def names(self) -> list[str]:
        """Return the names in the order of the rows."""
        return [json.loads(line) for line in self.text.tobytes().splitlines()]


class Named(Collection[str]):
    """All names of some shards, and where their vectors are."""

    def __init__(self, shards: Sequence[VectorShard], memory: Path | None) -> None:
        self.shards, self.memory = shards, memory
        self.starts = np.cumsum([0, *(len(shard.keys) for shard in shards)])
        heads = [_heads(shard.keys) for shard in shards]
        joined = np.concatenate(heads) if heads else np.empty(0, np.uint64)
        self.order = np.argsort(joined, kind="stable")
        self.heads = joined[self.order]
        self.checked: set[int] = set()
        self._refuse_repeated()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __iter__(self) -> Iterator[str]:
        return (name for shard in self.shards for name in shard.names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.rows([name])[0] >= 0

    @property
    def dimension(self) -> int:
        """Return how many numbers a vector has."""
        return max((shard.vectors.shape[1] for shard in self.shards if len(shard.keys)), default=0)

    @property
    def dtype(self) -> str:
        """Return the type in which the vectors stand."""
        return next((str(s.vectors.dtype) for s in self.shards if len(s.keys)), "float32")

    def rows(self, names: Sequence[str]) -> list[int]:
        """Return the row of each name among all shards' rows, -1 where there is none."""
        keys = keys_of(names)
        found = [-1] * len(names)
        wanted = _heads(keys)
        for i, place in enumerate(np.searchsorted(self.heads, wanted)):
            while place < len(self.heads) and self.heads[place] == wanted[i]:
                if np.array_equal(self._key(self.order[place]), keys[i]):
                    found[i] = int(self.order[place])
                    break
                place += 1
        return found

    def vectors(self, rows: Sequence[int]) -> np.ndarray:
        """Return the vectors of some rows, float32 [m, d].

        Raises HierevalError for a shard that is not what the index says, or a vector that is not
        finite.
        """
        places = np.asarray(rows, np.int64)
        found = np.empty((len(places), self.dimension), np.float32)
        of = np.searchsorted(self.starts, places, side="right") - 1
        for number in np.unique(of):
            shard, mine = self.shards[number], of == number
            self._check(int(number))
            found[mine] = shard.vectors[places[mine] - self.starts[number]]
            if not np.isfinite(found[mine]).all():
                raise HierevalError(f"The vectors in {str(shard.path)!r} must be finite.")
        return found

    def _key(self, row: int) -> np.ndarray:
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        key: np.ndarray = self.shards[number].keys[row - self.starts[number]]
        return key

    def _check(self, number: int) -> None:
        shard = self.shards[number]
        if number in self.checked:
            return
        if fingerprint.file_sha256(shard.path, self.memory) != shard.sha256:
            raise HierevalError(
                f"The shard {str(shard.path)!r} must be as it was when the index was written; its "
                "SHA-256 is another. Write it again, and the index."
            )
        self.checked.add(number)

    def _refuse_repeated(self) -> None:
        for place in np.flatnonzero(self.heads[1:] == self.heads[:-1]):
            one, other = self.order[place], self.order[place + 1]
            if np.array_equal(self._key(one), self._key(other)):
                numbers = np.searchsorted(self.starts, [one, other], side="right") - 1
                shard = self.shards[numbers[0]]
                name = shard.names()[one - self.starts[numbers[0]]]
                raise HierevalError(
                    f"The names of all shards must be unique; {name!r} stands in "
                    f"{str(shard.path)!r} and {str(self.shards[numbers[1]].path)!r}."
                )


def open_folder(folder: Path, index: Mapping[str, Any], memory: Path | None) -> tuple[Named, Named]:
    """Return the texts and the images of an index's shards; raises HierevalError.

    `memory` is the folder in which the shards' hashes are remembered.
    """
    listed = index["shards"]
    where = f"{str(folder / INDEX)!r}"
    if not isinstance(listed, dict) or not {"text"} <= listed.keys() <= {"text", "image"}:
        raise HierevalError(f"The shards of {where} must be those of 'text' and of 'image'.")
    if "texts" in index or "images" in index:
        raise HierevalError(f"The index {where} must list shards, or texts and images, not both.")
    found = {
        key: [_listed(folder, entry, where) for entry in _list(listed.get(key, []), where)]
        for key in ("text", "image")
    }
    shapes = {
        (shard.vectors.shape[1], shard.vectors.dtype)
        for shards in found.values()
        for shard in shards
        if len(shard.keys)
    }
    if len(shapes) > 1:
        raise HierevalError(
            f"The shards of {where} must share one dimension and one type; they have "
            f"{', '.join(f'{d} of {dtype}' for d, dtype in sorted(shapes, key=str))}."
        )
    return Named(found["text"], memory), Named(found["image"], memory)


def _list(given: Any, where: str) -> list[Any]:
    if not isinstance(given, list):
        raise HierevalError(f"The shards of {where} must be lists.")
    return given


def _listed(folder: Path, entry: Any, where: str) -> VectorShard:
    facts = entry if isinstance(entry, dict) else {}
    file, rows, sha256 = (facts.get(key) for key in ("file", "rows", "sha256"))
    plain = isinstance(file, str) and file == Path(file).name and "\0" not in file
    if not (plain and type(rows) is int and isinstance(sha256, str) and len(facts) == 3):
        raise HierevalError(
            f"The shards of {where} must be listed by file (beside it), rows and sha256; "
            f"one is {str(entry)[:100]!r}."
        )
    return open_shard(folder / str(file), rows, sha256)


def write(
    path: Path,
    names: Sequence[str],
    vectors: np.ndarray,
    metadata: Mapping[str, str],
    content: Sequence[bytes] | None = None,
) -> None:
    """Write a shard, whole or not at all; raises OSError."""
    from safetensors.numpy import save

    lines = "".join(json.dumps(name) + "\n" for name in names).encode()
    arrays = {
        "vectors": np.ascontiguousarray(vectors),
        "keys": keys_of(names),
        "names": np.frombuffer(lines, np.uint8),
    }
    if content is not None:
        arrays["content"] = np.frombuffer(b"".join(content), np.uint8).reshape(-1, 32)
    noted = {NOTED: json.dumps(dict(metadata), sort_keys=True)}  # several would stand in any order
    files.write_whole(path, save(arrays, noted))


def metadata(path: Path) -> dict[str, str] | None:
    """Return what was noted in a shard; None where there is no whole one."""
    try:
        noted: dict[str, str] = json.loads(_header(path).noted[NOTED])
    except (HierevalError, OSError, ValueError, KeyError, TypeError):
        return None
    return noted


def open_shard(path: Path, rows: int, sha256: str) -> VectorShard:
    """Open a shard that the index says to have these rows; raises HierevalError."""
    try:
        header = _header(path)
    except OSError as error:
        raise HierevalError(
            f"The shard {str(path)!r} must be there, as the index says: {error.strerror}."
        ) from error
    arrays = {}
    for key, shape in (("vectors", 2), ("keys", 2), ("names", 1)):
        entry = header.tensors.get(key, {"dtype": "none", "shape": []})
        wanted = FLOATS.get(entry["dtype"]) if key == "vectors" else np.uint8
        if wanted is None or len(entry["shape"]) != shape:
            raise HierevalError(
                f"The shard {str(path)!r} must hold vectors [n, d], keys [n, 32] and names."
            )
        place = header.start + entry["data_offsets"][0]
        empty = not math.prod(entry["shape"])
        arrays[key] = (
            np.empty(entry["shape"], wanted)
            if empty
            else np.memmap(path, wanted, "r", place, tuple(entry["shape"]))
        )
    if len(arrays["vectors"]) != rows or arrays["keys"].shape != (rows, 32):
        raise HierevalError(
            f"The shard {str(path)!r} must have {rows:,} rows, as the index says; "
            f"it has {len(arrays['vectors']):,}."
        )
    return VectorShard(path, sha256, arrays["vectors"], arrays["keys"], arrays["names"])


def keys_of(names: Sequence[str]) -> np.ndarray:
    """Return the SHA-256 of each name: uint8 [n, 32]."""
    joined = b"".join(hashlib.sha256(name.encode()).digest() for name in names)
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)


def _heads(keys: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(keys[:, :8]).view(np.uint64)[:, 0]


def _header(path: Path) -> SafetensorsHeader:
    """Return the header of a whole file; raises HierevalError and OSError."""
    try:
        header = SafetensorsHeader.of(path, LONGEST_HEADER)
        if not header.tensors or header.end != path.stat().st_size:
            raise ValueError("it is cut short")
    except (ValueError, TypeError) as error:
        raise HierevalError(f"The shard {str(path)!r} must be safetensors, and whole.") from error
    return header
