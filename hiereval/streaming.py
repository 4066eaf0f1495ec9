"""Encode what is read once: images as they come, decoded by threads meanwhile, and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from hiereval.datasets import image_files
from hiereval.datasets.image_parts import HeldImage
from hiereval.embed import Batch, ahead, halving
from hiereval.errors import HierevalError
from hiereval.types import Adapter

if TYPE_CHECKING:
    from torch import Tensor


def images(
    adapter: Adapter,
    source: Iterable[HeldImage],
    batch: Batch,
    threads: int,
    broken: Callable[[HierevalError], None],
) -> Iterator[tuple[list[HeldImage], Tensor]]:
    """Yield batches of images and their vectors, float32 [n, d] on the CPU.

    Memory holds a batch and what the threads work on; where it does not suffice, batches are
    smaller from then on. `broken` is told of each image that cannot be decoded, which is left out;
    it may raise.
    """

    def prepare(image: HeldImage) -> tuple[HeldImage, Any, HierevalError | None]:
        try:
            return image, adapter.preprocess(image_files.decode(image)), None
        except HierevalError as error:
            return image, None, error

    with ThreadPoolExecutor(threads) as pool:
        prepared = ahead(pool, prepare, source, batch.size + 2 * threads)
        while some := list(islice(prepared, batch.size)):
            for _, _, error in some:
                if error is not None:
                    broken(error)
            whole = [(image, given) for image, given, error in some if error is None]
            if whole:
                vectors = halving(adapter.encode_images, [x for _, x in whole], batch.at_most)
                yield [image for image, _ in whole], vectors.detach().float().cpu()


def texts(adapter: Adapter, some: Sequence[str], batch: Batch) -> Tensor:
    """Return the vectors of texts in their order, float32 [n, d] on the CPU.

    They are encoded longest first, so that little of a batch is padding.
    """
    import torch

    lengths = adapter.text_lengths(some)
    order = sorted(range(len(some)), key=lambda i: -lengths[i])
    found, rest = [], iter(order)
    while rows := list(islice(rest, batch.size)):
        found.append(halving(adapter.encode_texts, [some[i] for i in rows], batch.at_most))
    vectors = torch.cat([one.detach().float().cpu() for one in found])
    return vectors[torch.tensor(order).argsort()]
