"""Embeddings on disk, addressed by content: model fingerprint x sha256 of a text or an image.

Each model has a folder of immutable safetensors shards, written under another name and renamed,
so a reader sees whole shards only and a killed run keeps what it had encoded. No task, dataset or
model *name* is part of an address.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hiereval.errors import HierevalError
from hiereval.types import ModelId

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)


def text_key(text: str) -> bytes:
    """Return the 32-byte address of a text."""
    return hashlib.sha256(b"text\0" + text.encode("utf-8", "surrogatepass")).digest()


def image_key(content: bytes) -> bytes:
    """Return the 32-byte address of an image's encoded bytes."""
    return hashlib.sha256(b"image\0" + content).digest()


def image_name_key(name: str) -> bytes:
    """Return the address of an image that a model knows by its name alone."""
    return hashlib.sha256(b"image-name\0" + name.encode()).digest()


class Shelf:
    """The stored vectors of one model. Not shared between threads; safe between processes."""

    def __init__(self, folder: Path, model: ModelId) -> None:
        self.folder = folder / model.fingerprint()[:32]
        self.model = model
        self._rows: dict[bytes, tuple[int, int]] = {}  # key -> (shard, row)
        self._shards: list[dict[str, Tensor]] = []
        for path in sorted(self.folder.glob("*.safetensors")):
            self._read(path)

    def _read(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            shard = load_file(path)
            keys = shard["keys"].numpy().tobytes()
            if not len(keys) == 32 * len(shard["vectors"]) == 32 * len(shard["lengths"]):
                raise ValueError("its tensors differ in length")
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            log.warning(
                "The stored embeddings in %s are damaged (%s); encoding again.", path, error
            )
            path.unlink(missing_ok=True)
            return
        self._add(keys, shard)

    def _add(self, keys: bytes, shard: dict[str, Tensor]) -> None:
        number = len(self._shards)
        self._shards.append(shard)
        for row in range(len(keys) // 32):
            self._rows[keys[32 * row : 32 * row + 32]] = (number, row)

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows

    def get(self, keys: Sequence[bytes]) -> tuple[Tensor, Tensor]:
        """Return ([n, d] float32 vectors, [n] token counts, -1 for images) of stored keys."""
        import torch

        where = torch.tensor([self._rows[key] for key in keys], dtype=torch.long).reshape(-1, 2)
        width = self._shards[int(where[0, 0])]["vectors"].shape[1] if len(where) else 0
        vectors = torch.empty(len(keys), width)
        lengths = torch.empty(len(keys), dtype=torch.int32)
        for number in where[:, 0].unique().tolist():
            here = (where[:, 0] == number).nonzero()[:, 0]
            rows = where[here, 1]
            vectors[here] = self._shards[number]["vectors"][rows]
            lengths[here] = self._shards[number]["lengths"][rows]
        return vectors, lengths

    def put(self, keys: Sequence[bytes], vectors: Tensor, lengths: Sequence[int]) -> None:
        """Store [n, d] vectors under their keys; the shard appears on disk whole or not at all."""
        import torch
        from safetensors.torch import save

        if not keys:
            return
        joined = b"".join(keys)
        shard = {
            "keys": torch.frombuffer(bytearray(joined), dtype=torch.uint8).reshape(-1, 32),
            "vectors": vectors.float().cpu().contiguous(),
            "lengths": torch.tensor(lengths, dtype=torch.int32),
        }
        name = hashlib.sha256(joined).hexdigest()[:32]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            card = self.folder / "model.json"
            if not card.exists():  # for people who look around in the cache
                write_whole(card, json.dumps(asdict(self.model), indent=1).encode())
            write_whole(self.folder / f"{name}.safetensors", save(shard))
        except OSError as error:
            raise HierevalError(
                f"The embeddings cannot be stored in {str(self.folder)!r}: {error}. "
                "Another folder can be given with --cache-dir."
            ) from error
        self._add(joined, shard)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it exists under its name only when complete and synced."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Store:
    """The cache folder's embeddings; `shelf` opens one model's."""

    def __init__(self, cache_dir: Path) -> None:
        self.folder = cache_dir / "embeddings"

    def shelf(self, model: ModelId) -> Shelf:
        """Return the stored vectors of a model (none, for a new one)."""
        return Shelf(self.folder, model)
