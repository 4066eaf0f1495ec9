"""A shard: some vectors of one model in one file that is never rewritten.

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

Opening reads (in a large file: maps) and checks everything but the vectors; a vector is checked
whenever it is read.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

VERSION = 1
MAGIC = b"hiereval"
HEADER = struct.Struct("<8sIIQ16s16xII")
COLUMNS = 40  # bytes of a row before its vector
BLOCK = 1 << 14  # rows read or written at once
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
        vectors = np.empty((len(rows), self.dimension), np.float32)
        self.copy(rows, vectors, np.arange(len(rows)))
        whole = checksums_of(keys, lengths, vectors) == self.checksums[rows]
        return Rows(keys, lengths, vectors), whole

    def copy(self, rows: np.ndarray, into: np.ndarray, places: np.ndarray) -> None:
        """Copy the vectors of rows [m], unchecked, to the places [m] of an array [n, d].

        Neighbours go together. Raises OSError.
        """
        start, width = HEADER.size + COLUMNS * len(self), 4 * self.dimension
        number = os.open(self.path, os.O_RDONLY)
        try:
            for row, place, n in runs(rows, places):
                _fill(number, into[place : place + n], start + row * width)
        finally:
            os.close(number)


def runs(rows: np.ndarray, places: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield where both rise by one from each to the next: (row, place, how many).

    >>> list(runs(np.array([4, 5, 7]), np.array([0, 1, 2])))
    [(4, 0, 2), (7, 2, 1)]
    """
    first = at = n = 0
    for row, place in zip(rows.tolist(), places.tolist(), strict=True):
        if n and (row != first + n or place != at + n):
            yield first, at, n
            n = 0
        if not n:
            first, at = row, place
        n += 1
    if n:
        yield first, at, n


def _fill(number: int, block: np.ndarray, at: int) -> None:
    """Read a contiguous array from a place in an open file."""
    got = os.preadv(number, [block.data], at)
    while got < block.nbytes:  # of more than 2 GiB, or of a file that is too short
        more = os.preadv(number, [block.reshape(-1).view(np.uint8)[got:].data], at + got)
        if not more:
            raise OSError(errno.EIO, "it was cut short")
        got += more


def open_shard(path: Path, fingerprint: bytes, *, check: bool = True) -> Shard:
    """Open a shard of the model with this fingerprint; `check` its columns.

    Raises DamagedError, OtherLayoutError, and OSError where it cannot be read.
    """
    number = os.open(path, os.O_RDONLY)  # half the time of path.open
    try:
        size = os.fstat(number).st_size
        dimension, n, checksum = _header(os.read(number, HEADER.size), size, fingerprint)
        data = np.empty(0, np.uint8)
        if n * COLUMNS < MAPPED:
            data = np.empty(n * COLUMNS, np.uint8)
            _fill(number, data, HEADER.size)
    finally:
        os.close(number)
    if n * COLUMNS >= MAPPED:
        data = np.memmap(path, np.uint8, "r", HEADER.size, (n * COLUMNS,))
    if check and zlib.crc32(data.data) != checksum:
        raise DamagedError("its columns are not as they were written")
    return Shard(
        path=path,
        dimension=dimension,
        heads=data[: 8 * n].view(np.uint64),
        tails=data[8 * n : 32 * n].reshape(n, 24),
        lengths=data[32 * n : 36 * n].view(np.int32),
        checksums=data[36 * n :].view(np.uint32),
    )


def readable(path: Path, fingerprint: bytes) -> Shard | None:
    """Open a damaged shard whose header is whole, unchecked; None for any other."""
    try:
        return open_shard(path, fingerprint, check=False)
    except (DamagedError, OtherLayoutError):
        return None


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


def blocks(n: int) -> Iterator[np.ndarray]:
    """Yield the numbers of n rows, some at a time."""
    for start in range(0, n, BLOCK):
        yield np.arange(start, min(start + BLOCK, n))


def write(
    file: IO[bytes],
    keys: np.ndarray,
    lengths: np.ndarray,
    checksums: np.ndarray,
    vectors: Iterable[tuple[np.ndarray, np.ndarray]],
    dimension: int,
    fingerprint: bytes,
) -> None:
    """Write a shard of rows [n] in any order to a new file.

    `vectors` gives them a block at a time, each once, in any order: (rows [m], float32 [m, d]).
    Raises OSError.
    """
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
    number, start, width = file.fileno(), HEADER.size + len(columns), 4 * dimension
    _put(number, head + zlib.crc32(head).to_bytes(4, "little") + columns, 0)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    for rows, block in vectors:
        sorting = np.argsort(places[rows])
        to, ordered = places[rows][sorting], block[sorting].astype("<f4", copy=False)
        for place, i, n in runs(to, np.arange(len(to))):
            _put(number, ordered[i : i + n].reshape(-1).view(np.uint8).data, start + place * width)


def _put(number: int, data: bytes | memoryview, at: int) -> None:
    """Write all bytes at a place in an open file."""
    rest = memoryview(data)
    while len(rest):
        written = os.pwrite(number, rest, at)
        rest, at = rest[written:], at + written


def find(
    heads: np.ndarray, tails: np.ndarray, keys: np.ndarray, order: np.ndarray | None = None
) -> np.ndarray:
    """Return where keys [m, 32] stand among columns sorted by head: int64 [m], -1 for nowhere.

    With an `order`, the tails stand as they were before the heads were sorted by it.

    Three keys, of which the last two share their head and differ at the very end:

    >>> keys = np.zeros((3, 32), np.uint8)
    >>> keys[:, 0], keys[2, 31] = [1, 2, 2], 9
    >>> find(heads_of(keys), keys[:, 8:], np.stack([keys[2], keys[0], keys[0] + 5])).tolist()
    [2, 0, -1]
    """
    wanted = heads_of(keys)
    found = np.full(len(keys), -1)
    places = np.searchsorted(heads, wanted)
    alive = np.flatnonzero(places < len(heads))
    while len(alive):  # more than once only where two keys share eight bytes
        alive = alive[heads[places[alive]] == wanted[alive]]
        rows = places[alive] if order is None else order[places[alive]]
        equal = (tails[rows] == keys[alive, 8:]).all(axis=1)
        found[alive[equal]] = rows[equal]
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
