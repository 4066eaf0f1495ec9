"""Batches that a device computes while the next one is prepared: nobody waits until they are due.

A GPU is handed a batch and computes it later. Its vectors are to be copied to the CPU when it has;
the copy is looked at when the next batch was handed over, so that the GPU always has work. A CPU
has computed a batch when it has been handed over, and none is in flight.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from hiereval import heap
from hiereval.batch_sizes import Batch, halving
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


def depth(device: str) -> int:
    """Return how many batches are in flight when another one is handed over."""
    return 1 if device.startswith("cuda") else 0


@dataclass(frozen=True)
class Launched:
    """A batch that was handed over."""

    vectors: Tensor  # float32 [n, d] on the CPU, whole from when `computed` has returned
    computed: Callable[[], float]  # waits; returns the seconds in which the device computed them


def launch(
    encode: Callable[[list[T]], Tensor], inputs: list[T], batch: Batch, device: str
) -> Launched:
    """Hand a batch over to the device, in halves where memory does not suffice.

    Raises HierevalError for what is no [n, d] of vectors, one for each input.
    """

    def halved() -> Tensor:
        found = halving(encode, inputs, batch.at_most)
        _check_vectors(found, len(inputs))
        return found.detach().float()

    if device.startswith("cuda"):
        return _launch_cuda(halved, len(inputs), batch, device)
    from hiereval import linear  # torch loads here

    heap.keep_freed()
    began = time.perf_counter()
    with linear.fast():
        vectors = halved().cpu()
    took = time.perf_counter() - began
    return Launched(vectors, lambda: took)


def _check_vectors(found: object, n: int) -> None:
    """Refuse what no store could hold; asks for nothing that a GPU has yet to compute."""
    import torch

    seen = f"a {type(found).__name__}"
    if isinstance(found, torch.Tensor):
        if found.ndim == 2 and len(found) == n:
            return
        seen = str(list(found.shape))
    raise HierevalError(
        f"The vectors that the adapter returned for {n:,} inputs must be a tensor [{n}, d], not "
        f"{seen}. 'hiereval check-adapter' tries all that an adapter must do."
    )


def _launch_cuda(compute: Callable[[], Tensor], n: int, batch: Batch, device: str) -> Launched:
    import torch

    with torch.cuda.device(device):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()  # makes CUDA ready, which its statistics take for granted
        if batch.first is not None:
            torch.cuda.reset_peak_memory_stats()
        found = compute()
        if batch.first is not None:
            allocated = torch.cuda.memory_allocated()
            unused = torch.cuda.memory_reserved() - allocated
            used = torch.cuda.max_memory_allocated() - allocated
            batch.fit(n, used, torch.cuda.mem_get_info()[0] + unused)
        vectors = torch.empty(found.shape, pin_memory=True)
        vectors.copy_(found, non_blocking=True)
        ended.record()

    def computed() -> float:
        ended.synchronize()
        return began.elapsed_time(ended) / 1000

    return Launched(vectors, computed)


class InFlight(Generic[T]):
    """Launched batches, each with what belongs to it, in their order."""

    def __init__(self, device: str) -> None:
        self.depth = depth(device)
        self._waiting: deque[tuple[T, Launched]] = deque()

    def add(self, what: T, launched: Launched) -> Iterator[tuple[T, Tensor]]:
        """Take a batch; yield the vectors of those before it that it is time to look at."""
        self._waiting.append((what, launched))
        return self._landed(self.depth)

    def rest(self) -> Iterator[tuple[T, Tensor]]:
        """Yield the vectors of all that are left."""
        return self._landed(0)

    def _landed(self, keep: int) -> Iterator[tuple[T, Tensor]]:
        while len(self._waiting) > keep:
            what, launched = self._waiting[0]
            launched.computed()
            self._waiting.popleft()
            yield what, launched.vectors
