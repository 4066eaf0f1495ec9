"""Several processes, and a device beside the processor, simulated: what do they wait for?

    python benchmarks/simulated.py [--seconds 1]

Processes are threads whose model only sleeps: what is measured is what sharing, storing every batch
and waiting for one another cost, not how cores or GPUs share a machine. A device of its own
computes one batch after the other while its process goes on, as a GPU does.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import torch
from clocks import timed
from PIL import Image
from torch import Tensor

from hiereval.embed import embed, encode
from hiereval.inflight import Launched
from hiereval.processes import Processes
from hiereval.store import Store
from hiereval.types import Dataset, LoadOptions, Modality, ModelId

BATCHES, BATCH = 64, 8
SIZES = (1, 2, 4, 8)
IMAGES, IMAGE_SECONDS = 320, 0.025  # each prepared in so long by each thread, and computed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="that a batch of texts takes")
    simulated(parser.parse_args().seconds)


def simulated(seconds: float) -> None:
    """Print all of it."""
    images()
    processes(seconds)
    with device_beside():
        images("a device beside the processor: ")
        processes(seconds, "a device beside each: ")


def processes(seconds: float, title: str = "") -> None:
    """Efficiency of several simulated processes that share a store."""
    data = made(BATCHES * BATCH * 4)
    alone = several(1, data, seconds)
    for size in SIZES:
        took = alone if size == 1 else several(size, data, seconds)
        print(f"{title}{size} processes, batches of {seconds} s: {took:6.2f} s, ", end="")
        print(f"efficiency {alone / size / took:.2f}")
    print(f"{title}the batches' own time, one after the other: {BATCHES * seconds:.2f} s")


def several(size: int, data: Dataset, seconds: float) -> float:
    """Return the seconds in which so many processes encode the data together."""
    with tempfile.TemporaryDirectory() as folder:

        def one(rank: int) -> None:
            adapter, store = Sleeper("", LoadOptions(), seconds), Store(Path(folder))
            among = Processes(rank, size)
            encode(adapter, data, images=False, store=store, batch_size=BATCH, processes=among)

        with ThreadPoolExecutor(size) as pool:
            return timed(lambda: list(pool.map(one, range(size))))[0]


def images(title: str = "") -> None:
    """End to end beside the slower of two parts that are equally slow."""
    threads = Processes().cpus
    data = made(0, IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        adapter = Sleeper("", LoadOptions(), BATCH * IMAGE_SECONDS / threads)
        store = Store(Path(folder))
        took, _ = timed(lambda: embed(adapter, data, images=True, store=store, batch_size=BATCH))
    first = BATCH * IMAGE_SECONDS / threads  # nothing is there to compute
    ideal = IMAGES * IMAGE_SECONDS / threads + first
    print(
        f"{title}images prepared and computed in {IMAGE_SECONDS / threads * 1000:.0f} ms: ", end=""
    )
    print(f"{took:.2f} s, slower part / end to end {ideal / took:.2f}")


def made(n: int, images: int = 0) -> Dataset:
    return Dataset(
        name="made",
        split="all",
        revision=None,
        sha256="",
        image_source="",
        texts=tuple(f"text {i}" for i in range(n)),
        images=tuple(Painted(i) for i in range(images)),
    )


@dataclass(frozen=True)
class Painted:
    """A small picture of one colour."""

    number: int

    @property
    def name(self) -> str:
        return f"{self.number}.png"

    def read(self) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (self.number % 256, self.number // 256, 0)).save(file, "PNG")
        return file.getvalue()


@dataclass
class Sleeper:
    """A model that takes its time and no processor."""

    checkpoint: str
    options: LoadOptions
    seconds: float  # a batch
    id: ClassVar[ModelId] = ModelId(adapter="sleeper", name="sleeper", checkpoint="")
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        time.sleep(self.seconds * len(texts) / (4 * BATCH))
        return torch.zeros(len(texts), 512)

    def preprocess(self, image: Any) -> Any:
        time.sleep(IMAGE_SECONDS)

    def encode_images(self, inputs: Sequence[Any]) -> Tensor:
        time.sleep(self.seconds * len(inputs) / BATCH)
        return torch.zeros(len(inputs), 512)


@contextmanager
def device_beside() -> Iterator[None]:
    """Let each thread that encodes have a device that computes while it goes on."""
    own = threading.local()

    def launch(encode: Callable[[list[Any]], Tensor], inputs: list[Any], *_: Any) -> Launched:
        def compute() -> float:
            return timed(lambda: vectors.copy_(encode(inputs)))[0]

        if not hasattr(own, "device"):
            own.device = ThreadPoolExecutor(1)
        vectors = torch.empty(len(inputs), 512)
        return Launched(vectors, own.device.submit(compute).result)

    with (
        mock.patch("hiereval.embed.launch", launch),
        mock.patch("hiereval.inflight.depth", return_value=1),
    ):
        yield


if __name__ == "__main__":
    main()
