"""Encode what is read once: images as they come, decoded by threads meanwhile, and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from hiereval.batch_sizes import Batch
from hiereval.datasets import image_files
from hiereval.datasets.image_parts import HeldImage
from hiereval.errors import HierevalError
from hiereval.inflight import InFlight, launch
from hiereval.preparing import ahead
from hiereval.types import Adapter

if TYPE_CHECKING:
    from torch import Tensor


def images(
    adapter: Adapter,
    source: Iterable[HeldImage],
    batch: Batch,
    device: str,
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

    flight: InFlight[list[HeldImage]] = InFlight(device)
    with ThreadPoolExecutor(threads) as pool:
        prepared = ahead(pool, prepare, source, batch.size + 2 * threads)
        while some := list(islice(prepared, batch.next)):
            for _, _, error in some:
                if error is not None:
                    broken(error)
            whole = [(image, given) for image, given, error in some if error is None]
            if whole:
                given = [x for _, x in whole]
                launched = launch(adapter.encode_images, given, batch, device)
                yield from flight.add([image for image, _ in whole], launched)
        yield from flight.rest()


def texts(adapter: Adapter, some: Sequence[str], batch: Batch, device: str) -> Tensor:
    """Return the vectors of texts in their order, float32 [n, d] on the CPU.

    They are encoded longest first, so that little of a batch is padding.
    """
    import torch

    lengths = adapter.text_lengths(some)
    order = sorted(range(len(some)), key=lambda i: -lengths[i])
    flight: InFlight[None] = InFlight(device)
    found: list[tuple[None, Tensor]] = []
    rest = iter(order)
    while rows := list(islice(rest, batch.next)):
        launched = launch(adapter.encode_texts, [some[i] for i in rows], batch, device)
        found += flight.add(None, launched)
    vectors = torch.cat([vectors for _, vectors in (*found, *flight.rest())])
    return vectors[torch.tensor(order).argsort()]
