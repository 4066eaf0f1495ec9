"""Encoding, processes, the wide sweep, the store: each as a ratio to a ceiling of the same run.

    python benchmarks/performance.py [--images 512] [--candidates 52401] [--rows 100000]

Processes are simulated by threads whose model only sleeps: what is measured is what sharing,
storing every batch and waiting for one another cost, not how cores or GPUs share a machine. The
sweep and the store are `benchmarks/sweep.py` and `benchmarks/store.py`, run after that.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import torch
from encoding import parts, timed
from torch import Tensor

from hiereval.embed import encode
from hiereval.environment import environment
from hiereval.processes import Processes
from hiereval.session import Session
from hiereval.store import Store
from hiereval.types import Dataset, LoadOptions, Modality, ModelId

SECONDS = 1.0  # that a simulated batch takes
BATCHES = 64  # of them
BATCH = 8
SIZES = (1, 2, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="toy")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--candidates", type=int, default=52_401)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only-encoding", action="store_true", help="no sweep and no store")
    given = parser.parse_args()
    print(f"{date.today()}, {environment('cpu').device}, {os.cpu_count()} CPUs, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads, Python {platform.python_version()}")
    session = Session.of(device="cpu")
    data = session.dataset("shapes")
    images = replace(data, texts=(), images=data.images[: given.images])
    for batch in (16, 64):
        parts(given.model, session.adapter(given.model), images, batch, given.repeats)
    processes()
    if given.only_encoding:
        return
    for name, size in (("sweep", ["--candidates", given.candidates, "--repeats", given.repeats]),
                       ("store", ["--rows", given.rows, "--shards", 500])):  # fmt: skip
        script = Path(__file__).with_name(f"{name}.py")
        subprocess.run([sys.executable, str(script), *map(str, size)], check=True)


def processes() -> None:
    """Efficiency of several simulated processes that share a store."""
    data = texts(BATCHES * BATCH * 4)
    alone = several(1, data)
    for size in SIZES:
        took = alone if size == 1 else several(size, data)
        print(f"{size} simulated processes: {took:6.2f} s, efficiency {alone / size / took:.2f}")
    print(f"the batches' own time, one after the other: {BATCHES * SECONDS:.2f} s")


def several(size: int, data: Dataset) -> float:
    """Return the seconds in which so many processes encode the data together."""
    with tempfile.TemporaryDirectory() as folder:

        def one(rank: int) -> None:
            adapter, store = Sleeper("", LoadOptions()), Store(Path(folder))
            among = Processes(rank, size)
            encode(adapter, data, images=False, store=store, batch_size=BATCH, processes=among)

        with ThreadPoolExecutor(size) as pool:
            return timed(lambda: list(pool.map(one, range(size))))[0]


def texts(n: int) -> Dataset:
    return Dataset(
        name="made",
        split="all",
        revision=None,
        sha256="",
        image_source="",
        texts=tuple(f"text {i}" for i in range(n)),
    )


@dataclass
class Sleeper:
    """A model on a device of its own: a batch takes its time and no CPU."""

    checkpoint: str
    options: LoadOptions
    id: ClassVar[ModelId] = ModelId(adapter="sleeper", name="sleeper", checkpoint="")
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text"})

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        time.sleep(SECONDS * len(texts) / (4 * BATCH))
        return torch.zeros(len(texts), 512)

    def preprocess(self, image: Any) -> Any:
        raise NotImplementedError

    def encode_images(self, inputs: Sequence[Any]) -> Tensor:
        raise NotImplementedError


if __name__ == "__main__":
    main()
