"""A shard: some vectors of one model in one file that is mapped into memory, never rewritten.

The layout, little-endian, n rows of d numbers, sorted by key:

    0       8   b"hiereval"
    8       4   version of this layout
    12      4   d
    16      8   n
    24      16  first half of the model's fingerprint
    40      16  zero
    56      4   CRC-32 of the four columns below
    60      4   CRC-32 of the 60 bytes above (so in every version)
    64      8n  first 8 bytes of each key, as a big-endian number
            24n the other 24 bytes of each key
            4n  token counts, -1 for images: int32
            4n  each vector's CRC-32 xor the nine 32-bit words of its key and its count
            4dn vectors: float32

Opening reads and checks everything but the vectors; a vector is checked whenever it is read.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VERSION = 1
MAGIC = b"hiereval"
HEADER = struct.Struct("<8sIIQ16s16xII")
COLUMNS = 40  # bytes of a row before its vector
BLOCK = 1 << 26  # bytes of vectors held at once while a shard is written
MAPPED = 1 << 22  # bytes of columns from which they are mapped rather than read


class DamagedError(Exception):
    """Bytes that are not what was written."""


class OtherLayoutError(Exception):
    """A shard of another layout, whole as far as can be told."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in any order, in memory."""

    keys: np.ndarray  # uint8 [n, 32]
    lengths: np.ndarray  # int32 [n]
    vectors: np.ndarray  # float32 [n, d]


@dataclass(frozen=True, eq=False)
class Shard:
    """An open shard: its columns, checked; its vectors stay in the file."""

    path: Path
    dimension: int
    heads: np.ndarray  # uint64 [n], ascending
    tails: np.ndarray  # uint8 [n, 24]
    lengths: np.ndarray  # int32 [n]
    checksums: np.ndarray  # uint32 [n]

    def __len__(self) -> int:
        return len(self.heads)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return HEADER.size + len(self) * (COLUMNS + 4 * self.dimension)

    def keys(self, rows: np.ndarray) -> np.ndarray:
        """Return the keys of some rows: uint8 [m, 32]."""
        return joined(self.heads[rows], self.tails[rows])

    def read(self, rows: np.ndarray) -> tuple[Rows, np.ndarray]:
        """Return rows by their numbers [m], and which of them are as they were written [m] bool.

        Raises OSError.
        """
        keys, lengths = self.keys(rows), np.asarray(self.lengths[rows])
        vectors = self._vectors()[rows]
        whole = checksums_of(keys, lengths, vectors) == self.checksums[rows]
        return Rows(keys, lengths, vectors), whole

    def _vectors(self) -> np.ndarray:
        """Return the mapped vectors: float32 [n, d]."""
        if not self.dimension or not len(self):
            return np.empty((len(self), self.dimension), np.float32)
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self.size:
                raise OSError(errno.EIO, "it was cut short")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = HEADER.size + COLUMNS * len(self)  # np.memmap takes several times as long
        every = np.frombuffer(mapped, np.float32, len(self) * self.dimension, start)
        return every.reshape(len(self), self.dimension)


def open_shard(path: Path, fingerprint: bytes, *, check: bool = True) -> Shard:
    """Open a shard of the model with this fingerprint; `check` its columns.

    Raises DamagedError, OtherLayoutError, and OSError where it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        dimension, n, checksum = _header(file.read(HEADER.size), size, fingerprint)
        if n * COLUMNS < MAPPED:
            data = np.frombuffer(file.read(n * COLUMNS), np.uint8)
        else:
            data = np.memmap(file, np.uint8, "r", HEADER.size, (n * COLUMNS,))
    if check and zlib.crc32(data.data) != checksum:
        raise DamagedError("its columns are not as they were written")
    heads, tails, lengths, checksums = np.split(data, [8 * n, 32 * n, 36 * n])
    return Shard(
        path=path,
        dimension=dimension,
        heads=heads.view(np.uint64),
        tails=tails.reshape(n, 24),
        lengths=lengths.view(np.int32),
        checksums=checksums.view(np.uint32),
    )


def _header(head: bytes, size: int, fingerprint: bytes) -> tuple[int, int, int]:
    """Return dimension, rows and the columns' checksum of a header that fits the file's size."""
    if len(head) < HEADER.size or zlib.crc32(head[:-4]) != int.from_bytes(head[-4:], "little"):
        raise DamagedError("its header is not as it was written")
    magic, version, dimension, n, model, checksum, _ = HEADER.unpack(head)
    if magic != MAGIC:
        raise DamagedError("it is no shard")
    if version != VERSION:
        raise OtherLayoutError(f"version {version}")
    if size != (expected := HEADER.size + n * (COLUMNS + 4 * dimension)):
        raise DamagedError(f"it has {size:,} bytes where {expected:,} were written")
    if model != fingerprint:
        raise DamagedError("it is of another model")
    return dimension, n, checksum


def content(
    keys: np.ndarray,
    lengths: np.ndarray,
    checksums: np.ndarray,
    vectors: Callable[[np.ndarray], np.ndarray],
    dimension: int,
    fingerprint: bytes,
) -> Iterator[bytes]:
    """Yield a shard's bytes: rows [n] sorted by key, their vectors asked for a block at a time."""
    heads = heads_of(keys)
    order = np.argsort(heads, kind="stable")
    columns = b"".join(
        (
            heads[order].astype("<u8").tobytes(),
            keys[order, 8:].tobytes(),
            lengths[order].astype("<i4").tobytes(),
            checksums[order].astype("<u4").tobytes(),
        )
    )
    facts = (MAGIC, VERSION, dimension, len(order), fingerprint, zlib.crc32(columns), 0)
    head = HEADER.pack(*facts)[:-4]
    yield head + zlib.crc32(head).to_bytes(4, "little")
    yield columns
    block = max(1, BLOCK // max(1, 4 * dimension))
    for start in range(0, len(order), block):
        yield vectors(order[start : start + block]).astype("<f4", copy=False).tobytes()


def find(heads: np.ndarray, tails: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return where keys [m, 32] stand among columns sorted by head: int64 [m], -1 for nowhere."""
    wanted = heads_of(keys)
    found = np.full(len(keys), -1)
    places = np.searchsorted(heads, wanted)
    alive = np.flatnonzero(places < len(heads))
    while len(alive):  # more than once only where two keys share eight bytes
        alive = alive[heads[places[alive]] == wanted[alive]]
        equal = (tails[places[alive]] == keys[alive, 8:]).all(axis=1)
        found[alive[equal]] = places[alive[equal]]
        alive = alive[~equal]
        places[alive] += 1
        alive = alive[places[alive] < len(heads)]
    return found


def checksums_of(keys: np.ndarray, lengths: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the checksum of each row: uint32 [n]."""
    words = np.bitwise_xor.reduce(np.ascontiguousarray(keys).view("<u4"), axis=1)
    rows = np.ascontiguousarray(vectors, "<f4")
    crc = np.fromiter(map(zlib.crc32, rows), np.uint32, len(rows))  # type: ignore[arg-type]
    return crc ^ words ^ lengths.astype("<i4").view("<u4")


def split(keys: Sequence[bytes]) -> np.ndarray:
    """Return 32-byte keys as uint8 [n, 32]."""
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)


def heads_of(keys: np.ndarray) -> np.ndarray:
    """Return the first 8 bytes of keys [n, 32] as numbers: uint64 [n]."""
    return np.ascontiguousarray(keys[:, :8]).view(">u8")[:, 0].astype(np.uint64)


def joined(heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Return keys [n, 32] of their two columns."""
    first = heads.astype(">u8").reshape(-1, 1).view(np.uint8)
    return np.concatenate([first, tails], axis=1)
