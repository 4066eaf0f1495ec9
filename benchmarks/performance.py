"""Everything that is measured of speed, each as a ratio to a ceiling of the same run.

    python benchmarks/performance.py [--images 512] [--candidates 52401] [--rows 100000]
        [--data-dir DATA] [--released-code CHECKOUT/code]

Images and texts by `benchmarks/encoding.py`; several processes and a device of its own are
simulated, by `benchmarks/simulated.py`. Then the other scripts, each a process: the sweep, the
store, images read once, every task by the number of chains, the GPU where there is one. HierarCaps
(`--data-dir`) adds a full-size network on photographs and flat retrieval by other evaluators,
a checkout of the paper's code (`--released-code`) the released one.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from encoding import forward, parts, rounds, show
from simulated import simulated

from hiereval.batch_sizes import BATCH_CPU
from hiereval.embed import embed
from hiereval.environment import environment
from hiereval.session import Session
from hiereval.store import Store
from hiereval.types import Dataset

TEXTS = 4 * BATCH_CPU  # a batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="toy")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--candidates", type=int, default=52_401)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a simulated batch")
    parser.add_argument("--data-dir", default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--released-code")
    parser.add_argument("--only-encoding", action="store_true", help="none of the other scripts")
    given = parser.parse_args()
    print(f"{date.today()}, {environment('cpu').device}, {os.cpu_count()} CPUs, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads, Python {platform.python_version()}")
    session = Session.of(device="cpu")
    data = session.dataset("shapes")
    images = replace(data, texts=(), images=data.images[: given.images])
    for batch in (16, 64):
        parts(given.model, session.adapter(given.model), images, batch, given.repeats)
    texts(given.model, session.adapter(given.model), replace(data, images=()), given.repeats)
    simulated(given.seconds)
    if given.only_encoding:
        return
    for script, *arguments in scripts(given):
        print(f"\n{script}", flush=True)
        command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, arguments)]
        subprocess.run(command, check=True)


def scripts(given: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield the other benchmarks, with their arguments."""
    yield "sweep.py", "--candidates", given.candidates, "--repeats", given.repeats
    yield "store.py", "--rows", given.rows, "--shards", 500
    yield ("streaming.py",)
    yield "cost.py", "--sizes", "100,300,1000,3000"
    if given.data_dir:
        data = "--data-dir", given.data_dir
        yield "encoding.py", *data, "--what", "parts,texts"
        yield "peers.py", *data
        if given.released_code:
            yield "released.py", *data, "--released-code", given.released_code
        yield "gpu.py", *data
    else:
        yield "gpu.py", "--dataset", "shapes"


def texts(model: str, adapter: Any, data: Dataset, repeats: int) -> None:
    """Texts from strings to stored vectors, beside the network alone, longest first."""
    lengths = adapter.text_lengths(data.texts)
    inputs = [data.texts[i] for i in sorted(range(len(lengths)), key=lambda i: -lengths[i])]

    def end_to_end() -> None:
        with tempfile.TemporaryDirectory() as folder:
            embed(adapter, data, images=False, store=Store(Path(folder)))

    best = rounds(
        {
            "forward": lambda: forward(adapter.encode_texts, inputs, TEXTS),
            "end to end": end_to_end,
        },
        repeats,
    )
    show(f"{model}, {len(inputs):,} texts, batches of {TEXTS}", len(inputs), best)
    shares = (best["forward"][i] / best["end to end"][i] for i in (0, 1))
    print("forward / end to end: {:.2f} wall, {:.2f} processor".format(*shares))


if __name__ == "__main__":
    main()
