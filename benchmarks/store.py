"""The store at a million vectors: opening, looking up, compaction, beside the disk's own speed.

    python benchmarks/store.py [--rows 1000000] [--shards 5000] [--folder /scratch]

Each figure stands beside a ceiling that the same run measures: bytes read or checked, without a
store. Memory is what the process holds beyond the files that it maps.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

DIMENSION = 768
MODEL = {"adapter": "benchmark", "name": "benchmark", "checkpoint": "none", "weights_sha256": "0"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=5_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(given.folder, given.rows)
        return
    from hiereval.upkeep import compact

    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        write(Path(folder), given.rows, given.shards)
        report(f"{given.rows:,} x {DIMENSION} in {given.shards:,} shards", folder, given.rows)
        shelf, started = opened(Path(folder)), time.perf_counter()
        fewer = compact(shelf)
        took = time.perf_counter() - started
        print(f"compaction: {fewer + 1:,} files into 1, {took:.1f} s")
        report("compacted", folder, given.rows)


def report(title: str, folder: str, rows: int) -> None:
    """Print one store's figures, measured in a process of its own."""
    command = [sys.executable, __file__, "--read", "--folder", folder, "--rows", str(rows)]
    print(
        f"{title}: {subprocess.run(command, capture_output=True, text=True, check=True).stdout}",
        flush=True,
    )


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def opened(folder: Path):  # type: ignore[no-untyped-def]
    from hiereval.store import Store
    from hiereval.types import ModelId

    return Store(folder).shelf(ModelId(**MODEL))  # type: ignore[arg-type]


def write(folder: Path, rows: int, parts: int) -> None:
    import torch

    shelf = opened(folder)
    random = np.random.default_rng(0)
    started = time.perf_counter()
    for numbers in np.array_split(np.arange(rows), parts):
        vectors = random.standard_normal((len(numbers), DIMENSION), dtype=np.float32)
        keys = [key(int(number)) for number in numbers]
        shelf.put(keys, torch.from_numpy(vectors), [1] * len(keys))
    print(f"written: {parts:,} shards, {time.perf_counter() - started:.1f} s", flush=True)


def read(folder: Path, rows: int) -> None:
    import torch

    torch.empty(1)
    random = np.random.default_rng(1)
    keys = [key(int(number)) for number in random.choice(rows, 10_000, replace=False)]
    before = megabytes()
    started = time.perf_counter()
    shelf = opened(folder)
    opening = time.perf_counter() - started
    looked, lookup = [], []
    for _ in range(3):
        started = time.perf_counter()
        shelf.missing(keys)
        looked.append(time.perf_counter() - started)
        started = time.perf_counter()
        vectors, _ = shelf.get(keys)
        lookup.append(time.perf_counter() - started)
    held = megabytes() - before - vectors.numpy().nbytes / 1e6
    started = time.perf_counter()
    for row in vectors.numpy():
        zlib.crc32(row)
    ceiling = time.perf_counter() - started
    print(
        f"open {opening * 1e3:.0f} ms, {held:.0f} MB; 10,000 asked for {looked[0] * 1e3:.0f} ms "
        f"(then {min(looked[1:]) * 1e3:.0f}), read {lookup[0] * 1e3:.0f} ms "
        f"(then {min(lookup[1:]) * 1e3:.0f}; {min(lookup) / ceiling:.1f} times the bare checksums)"
    )


def megabytes() -> float:
    """Memory that this process holds alone, without mapped files."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3


if __name__ == "__main__":
    main()
