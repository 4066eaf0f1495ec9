"""Vectors from batches in flight to the store, shard by shard."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hiereval.inflight import InFlight, Launched
from hiereval.store import Shelf

if TYPE_CHECKING:
    from torch import Tensor

SHARD_ROWS = 4096  # vectors that come before they are written
SHARD_SECONDS = 30.0  # or this long, so that a kill on a slow machine loses little
Inputs = tuple[Sequence[bytes], Sequence[int]]  # keys and token counts of a batch


class Writer:
    """Collects vectors and stores them, the last ones also when interrupted: what is in flight
    then is waited for.

    Of several processes each stores every batch, since the others go by what is stored.
    """

    def __init__(self, shelf: Shelf, every_batch: bool, device: str) -> None:
        self.shelf, self.seconds = shelf, 0.0 if every_batch else SHARD_SECONDS
        self.flight: InFlight[Inputs] = InFlight(device)
        self._clear()

    def _clear(self) -> None:
        self.keys: list[bytes] = []
        self.vectors: list[Tensor] = []
        self.lengths: list[int] = []
        self.since = time.monotonic()

    def add(self, keys: Sequence[bytes], launched: Launched, lengths: Sequence[int]) -> None:
        """Take a batch; store what has come by now, if it is time."""
        self._take(self.flight.add((keys, lengths), launched))
        if len(self.keys) >= SHARD_ROWS or time.monotonic() - self.since >= self.seconds:
            self._store()

    def _take(self, landed: Iterable[tuple[Inputs, Tensor]]) -> None:
        for (keys, lengths), vectors in landed:
            self.keys += keys
            self.vectors.append(vectors)
            self.lengths += lengths

    def _store(self) -> None:
        if self.keys:
            import torch

            self.shelf.put(self.keys, torch.cat(self.vectors), self.lengths)
        self._clear()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._take(self.flight.rest())
        finally:
            self._store()
