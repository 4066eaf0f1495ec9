"""How many inputs go together: what was asked for, what suits the device, what its memory holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

# images; texts are short, so four times as many go together. On a CPU 16 are as fast as any number
# or faster (docs/performance.md); a size measured anew in each run could not be repeated
BATCH_CPU, BATCH_GPU = 16, 256
TRIED = 8  # of a GPU's batch, the part that goes first, by which memory is measured
MARGIN = 0.8  # of the free memory, since it is never free in one piece


@dataclass
class Batch:
    """How many inputs go together; fewer from where memory did not suffice."""

    size: int
    first: int | None = None  # so many the first time, whose memory then says how many fit

    @property
    def next(self) -> int:
        """How many go together now."""
        return self.first or self.size

    def at_most(self, n: int) -> None:
        """Let no later batch be larger."""
        self.size, self.first = min(self.size, n), None

    def fit(self, n: int, used: int, free: int) -> None:
        """Let no later batch be larger than what fits into memory, of which n inputs used some."""
        self.at_most(fitting(n, used, free, self.size))


def batches(batch_size: int | None, device: str) -> dict[str, Batch]:
    """Return how many images go together, as many as were asked for or what suits the device, and
    how many texts: four times as many."""
    cuda = device.startswith("cuda")
    images = batch_size or (BATCH_GPU if cuda else BATCH_CPU)
    first = images // TRIED if cuda and batch_size is None else None
    return {
        "texts": Batch(4 * images, first and 4 * first),
        "images": Batch(images, first),
    }


def fitting(n: int, used: int, free: int, most: int) -> int:
    """Return how many inputs fit into `free` bytes, where n of them took `used`: at most `most`.

    Less than `most` is halved until it fits, at least one, so that a little more or less of free
    memory seldom changes a run.

    >>> fitting(32, 3 << 30, 70 << 30, 256), fitting(32, 3 << 30, 16 << 30, 256)
    (256, 128)
    """
    while most > 1 and most * used > MARGIN * free * n:
        most = -(-most // 2)
    return most


def halving(
    encode: Callable[[list[T]], Tensor],
    inputs: list[T],
    smaller: Callable[[int], None] = lambda n: None,
) -> Tensor:
    """Return encode(inputs); where the device runs out of memory, in halves.

    `smaller` is told the size of each half.
    """
    import torch

    try:
        return encode(inputs)
    except torch.OutOfMemoryError:
        if len(inputs) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(inputs) // 2
    smaller(middle)
    parts = inputs[:middle], inputs[middle:]
    return torch.cat([halving(encode, part, smaller) for part in parts])
