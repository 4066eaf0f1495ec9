"""Encode once: what a dataset needs and the store lacks, with preprocessing beside the compute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress, islice
from typing import TYPE_CHECKING, Any, TypeVar

from hiereval.batch_sizes import batches
from hiereval.datasets import image_files
from hiereval.errors import HierevalError
from hiereval.hooks import ByName
from hiereval.inflight import Launched, launch
from hiereval.pace import Pace, forward_share
from hiereval.preparing import ahead
from hiereval.processes import Processes
from hiereval.store import Shelf, Store, VanishedError, image_key, image_name_key, text_key
from hiereval.types import Adapter, Dataset, Embeddings, ImageSource
from hiereval.upkeep import Progress, tidy
from hiereval.writer import Writer

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 3  # to read what was stored
GRACE_SECONDS = 2.0  # in which others must have stored something, or their work is taken over
POLL_SECONDS = 0.05
ALONE = Processes()


@dataclass(frozen=True)
class EmbedStats:
    """What one call of `embed` encoded, and how fast."""

    seconds: float
    first_s: float  # of them, the first batches: imports and weights load there
    forward_share: float | None  # of the rest, in the network; None where nothing was encoded
    n_texts: int  # encoded now, not read from the store
    n_images: int
    texts_per_s: float | None  # after the first batch, where there were more
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
    processes: Processes = ALONE,
) -> tuple[Embeddings, EmbedStats]:
    """Return a dataset's vectors as float32 CPU tensors, encoding only what the store lacks.

    Images are streamed: memory holds a few batches of them whatever their number. Raises
    HierevalError for images that cannot be read, all of them counted, before any is encoded.
    """
    work = _Work(adapter, store.shelf(adapter.id), batch_size, device, progress, processes)
    for _ in range(ATTEMPTS):  # more than once only where stored vectors turn out to be damaged
        text_keys, image_keys = work.encode(dataset, images, anchors)
        tidy(work.shelf, progress)
        try:
            text, lengths = work.shelf.get([text_keys[text] for text in dataset.texts])
            anchor_vectors, _ = work.shelf.get([text_keys[anchor] for anchor in anchors])
            image = work.shelf.get(image_keys)[0] if images else None
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
    ), work.stats(None if context is None else int((lengths > context).sum()))


def encode(
    adapter: Adapter,
    dataset: Dataset,
    *,
    images: bool,
    anchors: Sequence[str] = (),
    store: Store,
    batch_size: int | None = None,
    device: str = "cpu",
    progress: Progress = lambda stage, done, total: None,
    processes: Processes = ALONE,
) -> None:
    """Do this process's part of what `embed` encodes; nothing is read from the store."""
    work = _Work(adapter, store.shelf(adapter.id), batch_size, device, progress, processes)
    work.encode(dataset, images, anchors)


class _Work:
    """What one process encodes of a dataset, and what it took."""

    def __init__(
        self,
        adapter: Adapter,
        shelf: Shelf,
        batch_size: int | None,
        device: str,
        progress: Progress,
        processes: Processes,
    ) -> None:
        self.adapter, self.shelf = adapter, shelf
        self.batches, self.device = batches(batch_size, device), device
        self.progress, self.processes = progress, processes
        self.paces = {"texts": Pace(), "images": Pace()}

    def encode(
        self, dataset: Dataset, images: bool, anchors: Sequence[str]
    ) -> tuple[dict[str, bytes], list[bytes]]:
        """Encode what is missing; return each text's key, and each image's in their order."""
        texts = {text: text_key(text) for text in (*dataset.texts, *anchors)}
        if images and not isinstance(self.adapter, ByName):
            image_files.require(dataset.images)
        by_key = {key: text for text, key in texts.items()}
        self._shared(by_key, self._texts, "texts")
        image_keys: list[bytes] = []
        if images:
            with self.paces["images"].encoding(0):
                image_keys = self._image_keys(dataset.images)
            sources = dict(zip(image_keys, dataset.images, strict=True))
            by_name = isinstance(self.adapter, ByName)
            self._shared(sources, self._named_images if by_name else self._images, "images")
        return texts, image_keys

    def stats(self, n_truncated: int | None) -> EmbedStats:
        """Return what was encoded, and how fast."""
        texts, images = self.paces["texts"], self.paces["images"]
        return EmbedStats(
            seconds=texts.seconds + images.seconds,
            first_s=texts.first_s + images.first_s,
            forward_share=forward_share([texts, images]),
            n_texts=texts.n,
            n_images=images.n,
            texts_per_s=texts.per_second,
            images_per_s=images.per_second,
            n_truncated=n_truncated,
            batch_size=self.batches["images"].size,
        )

    def _forward(self, what: str, encode: Callable[[list[T]], Tensor], inputs: list[T]) -> Launched:
        """Hand a batch over to the device."""
        batch = self.batches[what]
        return self.paces[what].forward(
            lambda: launch(encode, inputs, batch, self.device), len(inputs)
        )

    def _shared(
        self,
        inputs: Mapping[bytes, T],
        encode: Callable[[dict[bytes, T]], None],
        what: str,
    ) -> None:
        """Encode this process's share of what is missing, then what the others leave undone."""

        def encode_all(keys: Sequence[bytes]) -> None:
            if keys:
                with self.paces[what].encoding(len(keys)):
                    encode({key: inputs[key] for key in keys})

        encode_all(self.shelf.missing(self.processes.share(list(inputs))))
        if self.processes.size == 1 or self.processes.apart:
            return
        helped = 0
        for keys in left_undone(self.shelf, list(inputs), self.batches[what].size, self.processes):
            encode_all(keys)
            helped += len(keys)
        if helped and self.processes.first:
            log.warning(
                "%s %s that fell to other processes were encoded by the first one: another is "
                "slow, came late or has ended.",
                *(f"{helped:,}", what),
            )

    def _texts(self, texts: dict[bytes, str]) -> None:
        """Encode texts longest first, so that little of a batch is padding."""
        keys = list(texts)
        self.progress("texts", 0, len(texts))
        lengths = self.adapter.text_lengths(list(texts.values()))
        order = sorted(range(len(texts)), key=lambda i: -lengths[i])

        def encode(rows: list[int]) -> Tensor:
            return self.adapter.encode_texts([texts[keys[row]] for row in rows])

        with Writer(self.shelf, self.processes.size > 1, self.device) as writer:
            done = 0
            rest = iter(order)
            while chunk := list(islice(rest, self.batches["texts"].next)):
                rows = list(compress(chunk, self._due([keys[row] for row in chunk])))
                if rows:
                    launched = self._forward("texts", encode, rows)
                    writer.add([keys[r] for r in rows], launched, [lengths[r] for r in rows])
                done += len(chunk)
                self.progress("texts", done, len(texts))

    def _image_keys(self, sources: Sequence[ImageSource]) -> list[bytes]:
        if isinstance(self.adapter, ByName):  # vectors known by file name: nothing to decode
            return [image_name_key(source.name) for source in sources]
        threads = self.processes.cpus
        with ThreadPoolExecutor(threads) as pool:
            keyed = ahead(pool, lambda s: image_key(image_files.sha256_of(s)), sources, 4 * threads)
            return list(keyed)

    def _named_images(self, sources: dict[bytes, ImageSource]) -> None:
        assert isinstance(self.adapter, ByName)
        vectors = self.adapter.encode_image_names([s.name for s in sources.values()])
        self.shelf.put(list(sources), vectors, [-1] * len(sources))

    def _images(self, sources: dict[bytes, ImageSource]) -> None:
        """Encode images, the next ones prepared by threads meanwhile."""
        image_files.verify(list(sources.values()))
        self.progress("images", 0, len(sources))
        threads = self.processes.cpus

        def prepare(source: ImageSource) -> Any:
            return self.adapter.preprocess(image_files.decode(source))

        batch = self.batches["images"]
        writing = Writer(self.shelf, self.processes.size > 1, self.device)
        with ThreadPoolExecutor(threads) as pool, writing as writer:
            prepared = ahead(pool, prepare, sources.values(), batch.size + 2 * threads)
            done = 0
            rest = iter(sources)
            while some := list(islice(rest, batch.next)):
                inputs = list(islice(prepared, len(some)))
                due = self._due(some)
                if any(due):
                    given, fresh = list(compress(inputs, due)), list(compress(some, due))
                    launched = self._forward("images", self.adapter.encode_images, given)
                    writer.add(fresh, launched, [-1] * len(fresh))
                done += len(some)
                self.progress("images", done, len(sources))

    def _due(self, keys: Sequence[bytes]) -> list[bool]:
        """Return for each key whether no other process has been faster."""
        if self.processes.size == 1:
            return [True] * len(keys)
        missing = set(self.shelf.missing(keys))
        return [key in missing for key in keys]


def left_undone(
    shelf: Shelf, keys: Sequence[bytes], n: int, processes: Processes
) -> Iterator[list[bytes]]:
    """Yield at most n keys at a time that are missing although the others had time for them.

    Ends when none is missing. Others have time while they store something, and then as long as two
    of our own batches took (at least `GRACE_SECONDS`), by this process's clock alone.
    """
    missing, changed, took = shelf.missing(keys), time.monotonic(), 0.0
    while missing:
        if time.monotonic() - changed < max(GRACE_SECONDS, 2 * took):
            time.sleep(POLL_SECONDS)
        else:
            started = time.monotonic()
            yield processes.others(missing, n)
            took = max(took, time.monotonic() - started)
            missing = shelf.missing(missing)
        before = len(missing)
        shelf.refresh()
        missing = shelf.missing(missing)
        if len(missing) < before:
            changed = time.monotonic()
