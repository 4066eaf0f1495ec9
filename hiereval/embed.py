"""Encode once: what a dataset needs and the store lacks, with preprocessing beside the compute."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from hiereval.datasets import image_files
from hiereval.errors import HierevalError
from hiereval.store import Shelf, Store, VanishedError, image_key, image_name_key, text_key
from hiereval.types import Adapter, ByName, Dataset, Embeddings, ImageSource

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[str, int, int], None]  # (what is encoded, done, of how many)
T = TypeVar("T")
R = TypeVar("R")

BATCH_CPU, BATCH_GPU = 64, 256  # images; texts are short, so four times as many go together
SHARD_ROWS = 4096  # vectors encoded before they are written
ATTEMPTS = 3  # to read what was stored
SHARD_SECONDS = 30.0  # or this long, so that a kill on a slow machine loses little


@dataclass(frozen=True)
class EmbedStats:
    """What one call of `embed` encoded, and how fast."""

    seconds: float
    n_texts: int  # encoded now, not read from the store
    n_images: int
    texts_per_s: float | None
    images_per_s: float | None
    n_truncated: int | None  # texts of the dataset longer than the context; None if unknown
    batch_size: int


def embed(
    adapter: Adapter,
    dataset: Dataset,
    *,
    images: bool,
    anchors: Sequence[str] = (),
    store: Store,
    batch_size: int | None = None,
    device: str = "cpu",
    progress: Progress = lambda stage, done, total: None,
) -> tuple[Embeddings, EmbedStats]:
    """Return a dataset's vectors as float32 CPU tensors, encoding only what the store lacks.

    Images are streamed: memory holds a few batches of them whatever their number. Raises
    HierevalError for images that cannot be read, all of them counted, before any is encoded.
    """
    batch = batch_size or (BATCH_GPU if device.startswith("cuda") else BATCH_CPU)
    shelf = store.shelf(adapter.id)
    texts = list(dict.fromkeys([*dataset.texts, *anchors]))
    keys = {text: text_key(text) for text in texts}
    if images and not isinstance(adapter, ByName):
        image_files.require(dataset.images)
    seconds, counts = [0.0, 0.0], [0, 0]  # of texts and of images
    for _ in range(ATTEMPTS):  # more than once only where stored vectors turn out to be damaged
        started = time.perf_counter()
        counts[0] += _encode_texts(adapter, shelf, keys, 4 * batch, progress)
        texts_done = time.perf_counter()
        image_keys: list[bytes] = []
        if images:
            image_keys, n = _encode_images(adapter, shelf, dataset.images, batch, progress)
            counts[1] += n
        seconds = [seconds[0] + texts_done - started, seconds[1] + time.perf_counter() - texts_done]
        try:
            text, lengths = shelf.get([keys[text] for text in dataset.texts])
            anchor_vectors, _ = shelf.get([keys[anchor] for anchor in anchors])
            image = shelf.get(image_keys)[0] if images else None
            break
        except VanishedError:
            continue
    else:
        raise HierevalError(
            f"The store {str(store.folder)!r} must give back what is written to it; it did not, "
            f"{ATTEMPTS} times. Check the disk, or name another folder with --cache-dir."
        )
    context = adapter.id.context_length
    return Embeddings(
        model=adapter.id,
        text=text,
        image=image,
        anchors=dict(zip(anchors, anchor_vectors, strict=True)),
        truncated=None if context is None else (lengths > context).numpy(),
    ), EmbedStats(
        seconds=sum(seconds),
        n_texts=counts[0],
        n_images=counts[1],
        texts_per_s=counts[0] / seconds[0] if counts[0] else None,
        images_per_s=counts[1] / seconds[1] if counts[1] else None,
        n_truncated=None if context is None else int((lengths > context).sum()),
        batch_size=batch,
    )


def _encode_texts(
    adapter: Adapter, shelf: Shelf, keys: dict[str, bytes], batch: int, progress: Progress
) -> int:
    """Encode texts that the shelf lacks, longest first, so that little of a batch is padding."""
    missing = set(shelf.missing(list(keys.values())))
    texts = [text for text, key in keys.items() if key in missing]
    if not texts:
        return 0
    progress("texts", 0, len(texts))
    lengths = adapter.text_lengths(texts)
    order = sorted(range(len(texts)), key=lambda i: -lengths[i])

    def encode(rows: list[int]) -> Tensor:
        return adapter.encode_texts([texts[row] for row in rows])

    with _Writer(shelf) as writer:
        done = 0
        for rows in _chunks(order, batch):
            vectors = halving(encode, rows)
            writer.add([keys[texts[r]] for r in rows], vectors, [lengths[r] for r in rows])
            done += len(rows)
            progress("texts", done, len(texts))
    return len(texts)


def _encode_images(
    adapter: Adapter,
    shelf: Shelf,
    sources: Sequence[ImageSource],
    batch: int,
    progress: Progress,
) -> tuple[list[bytes], int]:
    """Return every image's key, and how many were encoded now."""
    if isinstance(adapter, ByName):  # vectors that are known by file name: nothing to decode
        keys = [image_name_key(source.name) for source in sources]
        lacking = set(shelf.missing(keys))
        names = {k: s.name for k, s in zip(keys, sources, strict=True) if k in lacking}
        if names:
            vectors = adapter.encode_image_names(list(names.values()))
            shelf.put(list(names), vectors, [-1] * len(names))
        return keys, len(names)

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        keys = list(ahead(pool, lambda source: image_key(source.read()), sources, 4 * threads))
        lacking = set(shelf.missing(keys))
        missing = {key: s for key, s in zip(keys, sources, strict=True) if key in lacking}
        if not missing:
            return keys, 0
        image_files.verify(list(missing.values()))
        progress("images", 0, len(missing))

        def prepare(source: ImageSource) -> Any:
            return adapter.preprocess(image_files.decode(source))

        prepared = ahead(pool, prepare, missing.values(), batch + 2 * threads)
        with _Writer(shelf) as writer:
            done = 0
            for some in _chunks(missing, batch):
                vectors = halving(adapter.encode_images, list(islice(prepared, len(some))))
                writer.add(some, vectors, [-1] * len(some))
                done += len(some)
                progress("images", done, len(missing))
    return keys, len(missing)


class _Writer:
    """Collects vectors and stores them shard by shard, the last one also when interrupted."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._clear()

    def _clear(self) -> None:
        self.keys: list[bytes] = []
        self.vectors: list[Tensor] = []
        self.lengths: list[int] = []
        self.since = time.monotonic()

    def add(self, keys: Sequence[bytes], vectors: Tensor, lengths: Sequence[int]) -> None:
        if len(vectors) != len(keys):
            raise ValueError(f"the adapter returned {len(vectors)} vectors for {len(keys)} inputs")
        self.keys += keys
        self.vectors.append(vectors.detach().float().cpu())
        self.lengths += lengths
        if len(self.keys) >= SHARD_ROWS or time.monotonic() - self.since > SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self.keys:
            import torch

            self.shelf.put(self.keys, torch.cat(self.vectors), self.lengths)
        self._clear()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def halving(encode: Callable[[list[T]], Tensor], inputs: list[T]) -> Tensor:
    """Return encode(inputs); where the device runs out of memory, in halves."""
    import torch

    try:
        return encode(inputs)
    except torch.OutOfMemoryError:
        if len(inputs) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(inputs) // 2
    return torch.cat([halving(encode, inputs[:middle]), halving(encode, inputs[middle:])])


def ahead(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], depth: int
) -> Iterator[R]:
    """Yield work(item) in order, computed in the pool at most `depth` items ahead."""
    waiting: deque[Future[R]] = deque()
    rest = iter(items)
    try:
        for item in islice(rest, depth):
            waiting.append(pool.submit(work, item))
        while waiting:
            result = waiting.popleft().result()
            for item in islice(rest, 1):
                waiting.append(pool.submit(work, item))
            yield result
    finally:
        for future in waiting:
            future.cancel()


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
