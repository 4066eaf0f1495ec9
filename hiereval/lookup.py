"""Keys looked up in all shards of a model: one search for the many small, one for each large."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hiereval import shards
from hiereval.shards import Shard

SMALL = 1 << 16  # rows of a shard below which its columns join those of others in memory


class Lookup:
    """Where each key stands in some open shards."""

    def __init__(self, opened: Sequence[Shard]) -> None:
        own = [(number, shard) for number, shard in enumerate(opened) if len(shard) < SMALL]
        self.large = [(number, shard) for number, shard in enumerate(opened) if len(shard) >= SMALL]
        heads = np.concatenate([shard.heads for _, shard in own] or [np.empty(0, np.uint64)])
        order = np.argsort(heads, kind="stable")
        tails = np.concatenate([s.tails for _, s in own] or [np.empty((0, 24), np.uint8)])
        rows = [np.arange(len(shard), dtype=np.int32) for _, shard in own]
        numbers = np.repeat(
            np.array([number for number, _ in own], np.int32), [len(shard) for _, shard in own]
        )
        self.heads, self.tails = heads[order], tails[order]
        self.rows = np.concatenate(rows or [np.empty(0, np.int32)])[order]
        self.numbers = numbers[order]

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the shard of each key [m, 32], -1 for none, and its row there: two int64 [m]."""
        shard_of, row_of = self._among_the_small(keys)
        for number, shard in self.large:
            if (shard_of < 0).any():
                rest = np.flatnonzero(shard_of < 0)
                found = shards.find(shard.heads, shard.tails, keys[rest])
                shard_of[rest[found >= 0]] = number
                row_of[rest] = found
        return shard_of, row_of

    def _among_the_small(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = shards.find(self.heads, self.tails, keys)
        if not len(self.heads):
            return found, found.copy()
        return np.where(found < 0, -1, self.numbers[found]), self.rows[found].astype(np.int64)
