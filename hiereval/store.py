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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
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

    def refresh(self, looks: int = 3) -> list[Shard]:
        """Look at the folder again; return the shards that were not there before.

        Where one is joined with others while it is opened, look once more for what it became.
        """
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
        fresh, vanished = [], False
        for name in sorted(there - self._shards.keys() - self._left_alone):
            try:
                shard = self._open(self.folder / name)
            except FileNotFoundError:  # compacted or put aside by another process
                vanished = True
                continue
            if shard is not None:
                self._shards[name] = shard
                fresh.append(shard)
        if gone:
            self._lookup = None
        elif self._lookup is not None:
            self._lookup.add(fresh)
        return fresh + self.refresh(looks - 1) if vanished and looks else fresh

    def _open(self, path: Path) -> Shard | None:
        try:
            return shards.open_shard(path, self.fingerprint)
        except shards.DamagedError as error:
            self._rescue(path, str(error))
        except shards.OtherLayoutError as error:
            self._leave(path.name, f"is of another layout ({error})")
        except FileNotFoundError:
            raise
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
            shard = shards.readable(path, self.fingerprint)
            aside = files.put_aside(path)
            n = 0 if shard is None else self._keep(replace(shard, path=aside))
        except FileNotFoundError:  # another process did it
            return
        except OSError as error:
            self._leave(path.name, f"is damaged ({why}) and cannot be put aside ({error.strerror})")
            return
        kept = f" {n:,} vectors in it are whole and kept," if n else ""
        log.warning(
            "The stored embeddings in %s are damaged (%s): it is put aside as %s;%s the others "
            "are encoded again.",
            *(path, why, aside.name, kept),
        )

    def _keep(self, damaged: Shard) -> int:
        """Store what is whole in a damaged shard anew, a block at a time; return how many."""
        whole = [damaged.read(some)[1] for some in shards.blocks(len(damaged))]
        rows = np.flatnonzero(np.concatenate(whole)) if whole else np.empty(0, np.int64)
        if len(rows):
            some = shards.blocks(len(rows))
            vectors = ((own, damaged.read(rows[own])[0].vectors) for own in some)
            columns = damaged.keys(rows), damaged.lengths[rows], damaged.checksums[rows]
            self.add(*columns, vectors, damaged.dimension)
        return len(rows)

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
        asked = shards.split(keys)
        shard_of, row_of = self._find(asked)
        if (shard_of < 0).any():
            raise VanishedError(f"{(shard_of < 0).sum():,} vectors are not stored")
        opened = self._lookup.shards  # type: ignore[union-attr]
        vectors = torch.empty(len(keys), opened[shard_of[0]].dimension)
        lengths = torch.empty(len(keys), dtype=torch.int32)
        into, counts, checksums = vectors.numpy(), lengths.numpy(), np.empty(len(keys), np.uint32)
        order = np.lexsort((row_of, shard_of))  # each file from its beginning to its end
        starts = np.flatnonzero(np.diff(shard_of[order])) + 1
        for here in np.split(order, starts):
            shard, rows = opened[shard_of[here[0]]], row_of[here]
            try:
                shard.copy(rows, into, here)
            except OSError as error:
                raise self._lost(shard, error) from error
            counts[here], checksums[here] = shard.lengths[rows], shard.checksums[rows]
        whole = shards.checksums_of(asked, counts, into) == checksums
        if not whole.all():
            for number in np.unique(shard_of[~whole]):
                here = shard_of == number
                self._rescue(opened[number].path, _count(whole[here]))
            raise VanishedError(f"{(~whole).sum():,} vectors are damaged")
        return vectors, lengths

    def checked(self, shard: Shard, rows: np.ndarray) -> Rows:
        """Return rows of a shard, all as they were written. Raises VanishedError."""
        try:
            read, whole = shard.read(rows)
        except OSError as error:
            raise self._lost(shard, error) from error
        if not whole.all():
            self._rescue(shard.path, _count(whole))
            raise VanishedError(f"{shard.path} is damaged")
        return read

    def _lost(self, shard: Shard, error: OSError) -> VanishedError:
        """Forget a shard that cannot be read; return what is to be raised."""
        if isinstance(error, FileNotFoundError):  # compacted or pruned by another process
            self.refresh()
        else:
            del self._shards[shard.path.name]
            self._lookup = None
            self._leave(shard.path.name, f"cannot be read ({error.strerror})")
        return VanishedError(str(error))

    def _find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each key's shard (a position in the lookup's, -1 for none) and row there."""
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
                self._write(Rows(rows.keys[new], rows.lengths[new], rows.vectors[new]))

    def remove(self, opened: Sequence[Shard]) -> None:
        """Delete shards."""
        for shard in opened:
            shard.path.unlink(missing_ok=True)
            self._shards.pop(shard.path.name, None)
        self._lookup = None

    def _write(self, rows: Rows) -> None:
        checksums = shards.checksums_of(rows.keys, rows.lengths, rows.vectors)
        vectors = [(np.arange(len(rows.keys)), rows.vectors)]
        self.add(rows.keys, rows.lengths, checksums, vectors, rows.vectors.shape[1])

    def add(
        self,
        keys: np.ndarray,
        lengths: np.ndarray,
        checksums: np.ndarray,
        vectors: Iterable[tuple[np.ndarray, np.ndarray]],
        dimension: int,
    ) -> None:
        """Write a shard, as `shards.write` does, and open it."""
        path = self.folder / f"{secrets.token_hex(16)}{SUFFIX}"
        with files.whole_file(path) as file:
            shards.write(file, keys, lengths, checksums, vectors, dimension, self.fingerprint)
        self._shards[path.name] = shard = shards.open_shard(path, self.fingerprint)
        if self._lookup is not None:
            self._lookup.add([shard])

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


def _count(whole: np.ndarray) -> str:
    return f"{(~whole).sum():,} of the {len(whole):,} vectors read"


class Store:
    """The cache folder's embeddings; `shelf` opens one model's."""

    def __init__(self, cache_dir: Path) -> None:
        self.folder = cache_dir / "embeddings"

    def shelf(self, model: ModelId) -> Shelf:
        """Return the stored vectors of a model (none, for a new one)."""
        return Shelf(self.folder / model.fingerprint()[:32], model)

    def shelves(self) -> list[Shelf]:
        """Return every model's, sorted by folder."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return [Shelf(path) for path in sorted(found) if re.fullmatch("[0-9a-f]{32}", path.name)]
