"""Embeddings on disk, addressed by content: model fingerprint x sha256 of a text or an image.

Each model has a folder of shards (their layout is in shards.py). A shard appears whole under a
name of its own and is never rewritten, so any number of processes read and write at once, and a
killed one keeps what it had encoded. No task, dataset or model *name* is part of an address.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hiereval import files, seals, shards
from hiereval.errors import HierevalError
from hiereval.lookup import Lookup
from hiereval.shards import Rows, Shard
from hiereval.types import ModelId

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

SUFFIX = ".vectors"
OLD = ".safetensors"  # shards of hiereval 0.1.0
CARD = "model.json"
MANY = 1_000  # shards from which on a run is told that they can be joined
PATIENCE = 60.0  # seconds after which a writer goes on without the lock


class VanishedError(Exception):
    """Stored vectors turned out to be damaged or gone: what is missing must be encoded again."""


def text_key(text: str) -> bytes:
    """Return the 32-byte address of a text."""
    return hashlib.sha256(b"text\0" + text.encode("utf-8", "surrogatepass")).digest()


def image_key(sha256: str) -> bytes:
    """Return the 32-byte address of an image by the SHA-256 of its encoded bytes."""
    return hashlib.sha256(b"image\0" + bytes.fromhex(sha256)).digest()


def image_name_key(name: str) -> bytes:
    """Return the address of an image that a model knows by its name alone."""
    return hashlib.sha256(b"image-name\0" + name.encode("utf-8", "surrogatepass")).digest()


class Shelf:
    """The stored vectors of one model. Not shared between threads; safe between processes."""

    def __init__(self, folder: Path, model: ModelId | None = None) -> None:
        self.folder, self.model = folder, model
        self.fingerprint = bytes.fromhex(folder.name)
        self._shards: dict[str, Shard] = {}
        self._left_alone: set[str] = set()
        self._lookup: Lookup | None = None
        if self.folder.is_dir():
            files.clear_leftovers(self.folder)
            self.refresh()

    @property
    def opened(self) -> list[Shard]:
        """The open shards, sorted by name."""
        return [self._shards[name] for name in sorted(self._shards)]

    def refresh(self) -> list[Shard]:
        """Look at the folder again; return the shards that were not there before."""
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            names = []
        except OSError as error:
            self._leave(self.folder.name, f"cannot be read ({error.strerror})")
            names = []
        old = [name for name in names if name.endswith(OLD)]
        if old:
            self._leave(old[0], "is of hiereval 0.1.0, which laid them out differently")
        there = {name for name in names if name.endswith(SUFFIX)}
        gone = self._shards.keys() - there
        for name in gone:
            del self._shards[name]
        fresh = []
        for name in sorted(there - self._shards.keys() - self._left_alone):
            shard = self._open(self.folder / name)
            if shard is not None:
                self._shards[name] = shard
                fresh.append(shard)
        if gone or fresh:
            self._lookup = None
        return fresh

    def _open(self, path: Path) -> Shard | None:
        try:
            return shards.open_shard(path, self.fingerprint)
        except shards.DamagedError as error:
            self._rescue(path, str(error))
        except shards.OtherLayoutError as error:
            self._leave(path.name, f"is of another layout ({error})")
        except FileNotFoundError:  # compacted or put aside by another process
            pass
        except OSError as error:
            self._leave(path.name, f"cannot be read ({error.strerror})")
        return None

    def _leave(self, name: str, why: str) -> None:
        """Say once that something is left alone."""
        if name not in self._left_alone:
            path = self.folder if name == self.folder.name else self.folder / name
            log.warning("The stored embeddings in %s are left alone: it %s.", path, why)
            self._left_alone.add(name)

    def _rescue(self, path: Path, why: str) -> None:
        """Put a damaged shard aside; what is whole in it is stored anew."""
        self._shards.pop(path.name, None)
        self._lookup = None
        try:
            rows = self._whole_rows(path)
            aside = files.put_aside(path)
            if rows is not None:
                self._write(rows)
        except FileNotFoundError:  # another process did it
            return
        except OSError as error:
            self._leave(path.name, f"is damaged ({why}) and cannot be put aside ({error.strerror})")
            return
        kept = f" {len(rows.lengths):,} vectors in it are whole and kept," if rows else ""
        log.warning(
            "The stored embeddings in %s are damaged (%s): it is put aside as %s;%s the others "
            "are encoded again.",
            *(path, why, aside.name, kept),
        )

    def _whole_rows(self, path: Path) -> Rows | None:
        try:
            shard = shards.open_shard(path, self.fingerprint, check=False)
        except (shards.DamagedError, shards.OtherLayoutError):
            return None
        rows, whole = shard.read(np.arange(len(shard)))
        if not whole.any():
            return None
        return Rows(rows.keys[whole], rows.lengths[whole], rows.vectors[whole])

    # --- reading -------------------------------------------------------------------------------

    def __contains__(self, key: bytes) -> bool:
        return not self.missing([key])

    def __len__(self) -> int:
        """Number of stored vectors."""
        return sum(map(len, self._shards.values()))

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the keys that are not stored, in their order."""
        if not keys:
            return []
        found = self._find(shards.split(keys))[0]
        return [keys[i] for i in np.flatnonzero(found < 0).tolist()]

    def get(self, keys: Sequence[bytes]) -> tuple[Tensor, Tensor]:
        """Return ([n, d] float32 vectors, [n] token counts, -1 for images) of stored keys.

        Every vector is checked. Raises VanishedError if one is damaged or no longer there.
        """
        import torch

        if not keys:
            return torch.empty(0, 0), torch.empty(0, dtype=torch.int32)
        shard_of, row_of = self._find(shards.split(keys))
        opened = self.opened
        if (shard_of < 0).any():
            raise VanishedError(f"{(shard_of < 0).sum():,} vectors are not stored")
        vectors = torch.empty(len(keys), opened[shard_of[0]].dimension)
        lengths = torch.empty(len(keys), dtype=torch.int32)
        into, counts = vectors.numpy(), lengths.numpy()
        for number in np.unique(shard_of):
            here = np.flatnonzero(shard_of == number)
            here = here[np.argsort(row_of[here])]  # from the file's beginning to its end
            rows = self.checked(opened[number], row_of[here])
            into[here], counts[here] = rows.vectors, rows.lengths
        return vectors, lengths

    def checked(self, shard: Shard, rows: np.ndarray) -> Rows:
        """Return rows of a shard, all as they were written. Raises VanishedError."""
        try:
            read, whole = shard.read(rows)
        except FileNotFoundError as error:  # compacted or pruned by another process
            self.refresh()
            raise VanishedError(str(error)) from error
        except OSError as error:
            del self._shards[shard.path.name]
            self._lookup = None
            self._leave(shard.path.name, f"cannot be read ({error.strerror})")
            raise VanishedError(str(error)) from error
        if not whole.all():
            self._rescue(shard.path, f"{(~whole).sum():,} of the {len(rows):,} vectors read")
            raise VanishedError(f"{shard.path} is damaged")
        return read

    def _find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each key's shard (a position in `shards`, -1 for none) and row there."""
        if self._lookup is None:
            self._lookup = Lookup(self.opened)
        return self._lookup.find(keys)

    # --- writing -------------------------------------------------------------------------------

    def put(self, keys: Sequence[bytes], vectors: Tensor, lengths: Sequence[int]) -> None:
        """Store [n, d] vectors of keys that are missing; the shard appears whole or not at all.

        What another process has stored since this one looked is not stored again.
        """
        if not keys:
            return
        rows = Rows(
            shards.split(keys),
            np.asarray(lengths, dtype=np.int32),
            vectors.detach().float().cpu().contiguous().numpy(),
        )
        with self.storing():
            new = np.ones(len(keys), dtype=bool)
            for shard in self.refresh():
                new &= shards.find(shard.heads, shard.tails, rows.keys) < 0
            if new.any():
                own = Rows(rows.keys[new], rows.lengths[new], rows.vectors[new])
                self._write(own)

    def remove(self, opened: Sequence[Shard]) -> None:
        """Delete shards."""
        for shard in opened:
            shard.path.unlink(missing_ok=True)
            self._shards.pop(shard.path.name, None)
        self._lookup = None

    def _write(self, rows: Rows) -> None:
        checksums = shards.checksums_of(rows.keys, rows.lengths, rows.vectors)
        dimension = rows.vectors.shape[1]
        self.add(rows.keys, rows.lengths, checksums, rows.vectors.__getitem__, dimension)

    def add(
        self,
        keys: np.ndarray,
        lengths: np.ndarray,
        checksums: np.ndarray,
        vectors: Callable[[np.ndarray], np.ndarray],
        dimension: int,
    ) -> None:
        """Write a shard and open it."""
        path = self.folder / f"{secrets.token_hex(16)}{SUFFIX}"
        content = shards.content(keys, lengths, checksums, vectors, dimension, self.fingerprint)
        files.write_whole(path, content)
        self._shards[path.name] = shards.open_shard(path, self.fingerprint)
        self._lookup = None

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Hold the folder's lock, where the file system has locks; a failure is one line.

        The lock keeps two processes from storing the same vector; nothing is lost without it.
        """
        from filelock import FileLock

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock", timeout=PATIENCE)
            with suppress(OSError, NotImplementedError):  # Timeout is an OSError
                lock.acquire()
            try:
                if self.model is not None and not (self.folder / CARD).exists():
                    seals.write_json(self.folder / CARD, asdict(self.model))
                yield
            finally:
                lock.release()
        except OSError as error:
            raise HierevalError(
                f"The embeddings cannot be stored in {str(self.folder)!r}: {error}. "
                "Another folder can be given with --cache-dir."
            ) from error


class Store:
    """The cache folder's embeddings; `shelf` opens one model's."""

    def __init__(self, cache_dir: Path) -> None:
        self.folder = cache_dir / "embeddings"
        self._told: set[Path] = set()

    def shelf(self, model: ModelId) -> Shelf:
        """Return the stored vectors of a model (none, for a new one)."""
        shelf = Shelf(self.folder / model.fingerprint()[:32], model)
        if len(shelf.opened) >= MANY and shelf.folder not in self._told:
            self._told.add(shelf.folder)
            log.warning(
                "The stored embeddings of %s are in %s files; 'hiereval cache compact' joins them, "
                "and they are found faster.",
                *(model.name, f"{len(shelf.opened):,}"),
            )
        return shelf

    def shelves(self) -> list[Shelf]:
        """Return every model's, sorted by folder."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return [Shelf(path) for path in sorted(found) if re.fullmatch("[0-9a-f]{32}", path.name)]
