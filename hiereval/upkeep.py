"""What keeps a store in order: its inventory, and its shards checked, joined or deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hiereval import files, seals
from hiereval.errors import HierevalError
from hiereval.shards import Shard
from hiereval.store import CARD, OLD, SUFFIX, Shelf, VanishedError

LARGEST = 1 << 20  # rows of a shard that `compact` makes
BLOCK = 1 << 14  # rows read at once
ATTEMPTS = 100  # to compact a shelf in which damaged shards turn up


@dataclass(frozen=True)
class Inventory:
    """What a store holds of one model."""

    model: str  # as it was named when it was first encoded; "" where nothing says so
    fingerprint: str
    dimension: int | None
    vectors: int
    shards: int
    bytes: int
    aside: int  # files that were damaged and put aside
    foreign: int  # shards of another version of hiereval
    written: float | None  # seconds since 1970


def inventory(shelf: Shelf) -> Inventory:
    """Return what a shelf holds."""
    own = shelf.opened
    names = [path.name for path in shelf.folder.iterdir()]
    try:
        name = str(seals.read_json(shelf.folder / CARD).get("name", ""))
    except HierevalError:
        name = ""
    return Inventory(
        model=name,
        fingerprint=shelf.folder.name,
        dimension=own[0].dimension if own else None,
        vectors=len(shelf),
        shards=len(own),
        bytes=sum(shard.size for shard in own),
        aside=sum(name.endswith(files.DAMAGED) for name in names),
        foreign=sum(name.endswith((SUFFIX, OLD)) for name in names) - len(own),
        written=max((s.path.stat().st_mtime for s in own if s.path.exists()), default=None),
    )


def verify(shelf: Shelf) -> Iterator[int]:
    """Read every vector, yielding how many were read; a damaged shard is put aside with a word."""
    for shard in shelf.opened:
        for start in range(0, len(shard), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(shard)))
            try:
                shelf.checked(shard, rows)
            except VanishedError:
                break
            yield len(rows)


def compact(shelf: Shelf) -> int:
    """Join small shards into a few, each key once; return how many files became fewer."""
    before = len(shelf.opened)
    for _ in range(ATTEMPTS):
        try:
            with shelf.storing():
                shelf.refresh()
                for group in _groups([s for s in shelf.opened if len(s) < LARGEST]):
                    _join(shelf, group)
            break
        except VanishedError:  # a damaged shard was put aside
            continue
    return before - len(shelf.opened)


def _groups(opened: Sequence[Shard]) -> Iterator[list[Shard]]:
    """Yield two shards or more that together have at most LARGEST rows."""
    group: list[Shard] = []
    for shard in opened:
        if sum(map(len, group)) + len(shard) > LARGEST:
            if len(group) > 1:
                yield group
            group = []
        group.append(shard)
    if len(group) > 1:
        yield group


def _join(shelf: Shelf, group: Sequence[Shard]) -> None:
    """Replace shards by one."""
    rows = [np.arange(len(shard)) for shard in group]
    keys = np.concatenate([shard.keys(own) for shard, own in zip(group, rows, strict=True)])
    _, first = np.unique(keys.view("V32")[:, 0], return_index=True)
    shard_of = np.repeat(np.arange(len(group)), [len(own) for own in rows])[first]
    row_of = np.concatenate(rows)[first]

    def vectors(some: np.ndarray) -> np.ndarray:
        block = np.empty((len(some), group[0].dimension), np.float32)
        for number in np.unique(shard_of[some]):
            here = np.flatnonzero(shard_of[some] == number)
            block[here] = shelf.checked(group[number], row_of[some[here]]).vectors
        return block

    lengths = np.concatenate([shard.lengths for shard in group])[first]
    checksums = np.concatenate([shard.checksums for shard in group])[first]
    shelf.add(keys[first], lengths, checksums, vectors, group[0].dimension)
    shelf.remove(group)


def leavings(shelf: Shelf) -> list[Path]:
    """Return what was put aside, and the shards of hiereval 0.1.0."""
    return sorted(p for p in shelf.folder.iterdir() if p.name.endswith((files.DAMAGED, OLD)))


def delete(shelf: Shelf) -> None:
    """Delete a model's vectors; a run that needs them encodes them again."""
    with shelf.storing():
        shelf.refresh()
        shelf.remove(shelf.opened)
        (shelf.folder / CARD).unlink(missing_ok=True)
