"""Several processes started by torchrun: one batch, shared out; one loss, the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """This process among those that train together; alone where torchrun started none."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, rows: Sequence[T]) -> Sequence[T]:
        """Return this process's contiguous part of a batch, possibly empty."""
        start, stop = self._bounds(len(rows))[self.rank]
        return rows[start:stop]

    def _bounds(self, n: int) -> list[tuple[int, int]]:
        return [(n * r // self.size, n * (r + 1) // self.size) for r in range(self.size)]

    def gather(self, own: Tensor, n: int, per_row: int) -> Tensor:
        """Return the vectors of a whole batch [n * per_row + 1, d] from every process's part.

        `own` holds this process's rows and, last, the root. Gradients flow into the own rows; the
        root is the first process's, so the sum over processes is the gradient of the one loss.
        """
        if self.size == 1:
            return own
        bounds = [(a * per_row, b * per_row) for a, b in self._bounds(n)]
        longest = max(b - a for a, b in bounds) + 1
        padded = own.new_zeros(longest, own.shape[1])
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        rows = [part[: b - a] for part, (a, b) in zip(parts, bounds, strict=True)]
        a, b = bounds[self.rank]
        rows[self.rank] = own[: b - a]
        root = own[-1:] if self.first else parts[0][bounds[0][1]][None]
        return torch.cat([*rows, root])

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def group(device: str) -> Iterator[Group]:
    """Join the processes of torchrun (NCCL between GPUs, else gloo); leave them at the end."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    rank, cuda = int(os.environ["RANK"]), device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # the first process embeds the frozen model while the others wait
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(hours=12))
    try:
        yield Group(rank, size)
    finally:
        dist.destroy_process_group()


def local_device(device: str) -> str:
    """Return this process's own GPU for "cuda" under torchrun."""
    return (
        f"cuda:{os.environ['LOCAL_RANK']}"
        if device == "cuda" and "LOCAL_RANK" in os.environ
        else device
    )


def is_first() -> bool:
    """Whether this process, of those that a launcher started, is the one that speaks."""
    return os.environ.get("RANK", "0") == "0"
