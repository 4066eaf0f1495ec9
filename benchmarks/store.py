"""The store at a million vectors: opening, looking up, compaction, beside the disk's own speed.

    python benchmarks/store.py [--rows 1000000] [--shards 5000] [--folder /scratch]

Each figure stands beside a ceiling that the same run measures: bytes read or checked, without a
store. Behind each time, in brackets, are the processor's seconds, which other work on a machine
changes less. Memory is what the process holds beyond the files that it maps.
"""

from __future__ import annotations

import argparse
import hashlib
import os
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
        shelf = opened(Path(folder))
        bare = copied([shard.path for shard in shelf.opened], Path(folder) / "copy")
        started = clock()
        fewer = compact(shelf)
        took = clock() - started
        times = took / bare
        print(
            f"joined: {fewer + 1:,} files into 1, {took[0]:.1f} s ({took[1]:.1f}), "
            f"{times[0]:.1f} ({times[1]:.1f}) times a bare copy"
        )
        report("joined", folder, given.rows)


def clock() -> np.ndarray:
    """Return seconds, by the clock and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def copied(paths: list[Path], to: Path) -> np.ndarray:
    """Return how long it takes to write the bytes of some files into one, on the disk."""
    started = clock()
    with to.open("wb") as file:
        for path in paths:
            file.write(path.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    took = clock() - started
    to.unlink()
    return took


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
    fsync, os.fsync = os.fsync, lambda number: None  # not what is measured
    for numbers in np.array_split(np.arange(rows), parts):
        vectors = random.standard_normal((len(numbers), DIMENSION), dtype=np.float32)
        keys = [key(int(number)) for number in numbers]
        shelf.put(keys, torch.from_numpy(vectors), [1] * len(keys))
    os.fsync = fsync


def read(folder: Path, rows: int) -> None:
    import torch

    torch.empty(1)
    random = np.random.default_rng(1)
    keys = [key(int(number)) for number in random.choice(rows, 10_000, replace=False)]
    before = megabytes()
    started = clock()
    shelf = opened(folder)
    opening = clock() - started
    looked, got, held = [], [], 0.0
    for _ in range(5):
        started = clock()
        shelf.missing(keys)
        looked.append(clock() - started)
        held = held or megabytes() - before
        started = clock()
        vectors, _ = shelf.get(keys)
        got.append(clock() - started)
    started = clock()
    for row in vectors.numpy():
        zlib.crc32(row)
    ceiling = clock() - started
    times = np.min(got, axis=0) / ceiling
    print(
        f"open {ms(opening)}, {held:.0f} MB; 10,000 asked for {ms(looked[0])}, then "
        f"{ms(np.min(looked[1:], axis=0))}; read {ms(got[0])}, then {ms(np.min(got[1:], axis=0))}, "
        f"{times[0]:.1f} ({times[1]:.1f}) times the bare checksums"
    )


def ms(seconds: np.ndarray) -> str:
    return "{:.0f} ms ({:.0f})".format(*1e3 * seconds)


def megabytes() -> float:
    """Memory that this process holds alone, without mapped files."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3


if __name__ == "__main__":
    main()
