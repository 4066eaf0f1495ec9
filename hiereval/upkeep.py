"""What keeps a store in order: its inventory, and its shards checked, joined or deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hiereval import files, seals, shards
from hiereval.errors import HierevalError
from hiereval.lookup import SMALL
from hiereval.shards import Shard
from hiereval.store import CARD, OLD, SUFFIX, Shelf, VanishedError

Progress = Callable[[str, int, int], None]  # (what, done, of how many)
log = logging.getLogger(__name__)

MANY = 256  # small shards from which on a run joins them
LARGEST = 1 << 20  # rows of a shard that `compact` makes
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
        for rows in shards.blocks(len(shard)):
            try:
                shelf.checked(shard, rows)
            except VanishedError:
                break
            yield len(rows)


def compact(
    shelf: Shelf,
    below: int = LARGEST,
    progress: Progress = lambda stage, done, total: None,
) -> int:
    """Join shards of fewer rows than `below` into a few, each key once; return how many files
    became fewer.

    A process that is killed meanwhile leaves the old shards, or both, and nothing is lost.
    """
    before = len(shelf.opened)
    for _ in range(ATTEMPTS):
        try:
            with shelf.storing():
                shelf.refresh()
                for group in _groups([s for s in shelf.opened if len(s) < below]):
                    _join(shelf, group, progress)
            break
        except VanishedError:  # a damaged shard was put aside
            continue
    return before - len(shelf.opened)


def tidy(shelf: Shelf, progress: Progress = lambda stage, done, total: None) -> None:
    """Join the small shards where there are many; say so where that cannot be."""
    if sum(len(shard) < SMALL for shard in shelf.opened) < MANY:
        return
    try:
        compact(shelf, SMALL, progress)
    except HierevalError as error:
        log.warning(
            "The stored embeddings in %s stay in %s files, in which they are found slowly: %s",
            *(shelf.folder, f"{len(shelf.opened):,}", error),
        )


def _groups(opened: Sequence[Shard]) -> Iterator[list[Shard]]:
    """Yield two shards or more that together have at most LARGEST rows."""
    group: list[Shard] = []
    rows = 0
    for shard in opened:
        if rows + len(shard) > LARGEST:
            if len(group) > 1:
                yield group
            group, rows = [], 0
        group.append(shard)
        rows += len(shard)
    if len(group) > 1:
        yield group


def _join(shelf: Shelf, group: Sequence[Shard], progress: Progress) -> None:
    """Replace shards by one."""
    keys = np.concatenate([shard.keys(np.arange(len(shard))) for shard in group])
    _, first = np.unique(keys.view("V32")[:, 0], return_index=True)
    places = np.full(len(keys), -1)
    places[first] = np.arange(len(first))
    starts = np.cumsum([0, *map(len, group)])

    def vectors() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i, (shard, start) in enumerate(zip(group, starts[:-1], strict=True), 1):
            progress("files to join", i, len(group))
            for own in shards.blocks(len(shard)):
                to = places[start + own]
                read = shelf.checked(shard, own)
                yield to[to >= 0], read.vectors[to >= 0]

    lengths = np.concatenate([shard.lengths for shard in group])[first]
    checksums = np.concatenate([shard.checksums for shard in group])[first]
    shelf.add(keys[first], lengths, checksums, vectors(), group[0].dimension)
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
