"""Encoding, processes, the wide sweep, the store: each as a ratio to a ceiling of the same run.

    python benchmarks/performance.py [--images 512] [--candidates 52401] [--rows 100000]

Images by `benchmarks/encoding.py`; several processes and a device of its own are simulated, by
`benchmarks/simulated.py`; the sweep and the store are `benchmarks/sweep.py` and
`benchmarks/store.py`, run after that.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch
from encoding import parts
from simulated import simulated

from hiereval.environment import environment
from hiereval.session import Session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="toy")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--candidates", type=int, default=52_401)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a simulated batch")
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
    simulated(given.seconds)
    if given.only_encoding:
        return
    for name, size in (("sweep", ["--candidates", given.candidates, "--repeats", given.repeats]),
                       ("store", ["--rows", given.rows, "--shards", 500])):  # fmt: skip
        script = Path(__file__).with_name(f"{name}.py")
        subprocess.run([sys.executable, str(script), *map(str, size)], check=True)


if __name__ == "__main__":
    main()
