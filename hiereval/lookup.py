"""Keys looked up in all shards of a model: one search for the many small, one for each large."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hiereval import shards
from hiereval.shards import Shard

SMALL = 1 << 16  # rows of a shard below which its columns join those of others in memory


@dataclass(frozen=True, eq=False)
class Run:
    """The columns of some small shards, one after the other, and their heads sorted."""

    numbers: np.ndarray  # int64 [s]: each shard's position among all
    starts: np.ndarray  # int64 [s]: where its rows begin
    heads: np.ndarray  # uint64 [n], ascending
    order: np.ndarray  # int32 [n]: the row of each head
    tails: np.ndarray  # uint8 [n, 24], row by row

    @staticmethod
    def of(numbers: Sequence[int], small: Sequence[Shard]) -> Run:
        """Return the run of some shards."""
        heads = np.concatenate([shard.heads for shard in small])
        order = np.argsort(heads, kind="stable").astype(np.int32)
        sizes = [len(shard) for shard in small]
        tails = np.concatenate([shard.tails for shard in small])
        return Run(np.array(numbers), np.cumsum([0, *sizes[:-1]]), heads[order], order, tails)

    def followed_by(self, other: Run) -> Run:
        """Return both in one."""
        n = len(self.heads)
        heads = np.concatenate([self.heads, other.heads])
        sorting = np.argsort(heads, kind="stable")
        order = np.concatenate([self.order, other.order + np.int32(n)])
        return Run(
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.starts, other.starts + n]),
            heads[sorting],
            order[sorting],
            np.concatenate([self.tails, other.tails]),
        )


class Lookup:
    """Where each key stands in some open shards, to which others can be added.

    Runs of small shards are merged as they grow, each row no more often than there are doublings:
    looking up is fast, and so is adding a shard to thousands.
    """

    def __init__(self, opened: Iterable[Shard] = ()) -> None:
        self.shards: list[Shard] = []
        self.large: list[int] = []
        self.runs: list[Run] = []
        self.add(opened)

    def add(self, opened: Iterable[Shard]) -> None:
        """Look in more shards from now on."""
        first = len(self.shards)
        self.shards += opened
        new = range(first, len(self.shards))
        self.large += [number for number in new if len(self.shards[number]) >= SMALL]
        small = [number for number in new if 0 < len(self.shards[number]) < SMALL]
        if small:
            run = Run.of(small, [self.shards[number] for number in small])
            while self.runs and len(self.runs[-1].heads) < 2 * len(run.heads):
                run = self.runs.pop().followed_by(run)
            self.runs.append(run)

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the shard of each key [m, 32], a position in `shards`, -1 for none, and its row
        there: two int64 [m]."""
        shard_of, row_of = np.full(len(keys), -1), np.full(len(keys), -1)
        for run in self.runs:
            rest = np.flatnonzero(shard_of < 0)
            found = shards.find(run.heads, run.tails, keys[rest], run.order)
            rest, found = rest[found >= 0], found[found >= 0]
            place = np.searchsorted(run.starts, found, side="right") - 1
            shard_of[rest], row_of[rest] = run.numbers[place], found - run.starts[place]
        for number in self.large:
            rest = np.flatnonzero(shard_of < 0)
            found = shards.find(self.shards[number].heads, self.shards[number].tails, keys[rest])
            shard_of[rest[found >= 0]], row_of[rest] = number, found
        return shard_of, row_of
