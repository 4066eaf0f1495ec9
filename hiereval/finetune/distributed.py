"""Several processes started by torchrun: one batch, shared out; one loss, the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hiereval.errors import HierevalError
from hiereval.processes import Processes

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
    launched = Processes.launched()
    rank, size, cuda = launched.rank, launched.size, device.startswith("cuda")
    if size == 1:
        yield Group()
        return
    if cuda:
        torch.cuda.set_device(launched.device("cuda"))
    try:
        # the first process embeds the frozen model while the others wait
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            rank=rank,
            world_size=size,
            timeout=timedelta(hours=12),
        )
    except ValueError as error:  # srun and mpirun set no MASTER_ADDR and MASTER_PORT
        raise HierevalError(
            f"The {size} processes must be told where they meet: {error}. torchrun does."
        ) from error
    try:
        yield Group(rank, size)
    finally:
        dist.destroy_process_group()
