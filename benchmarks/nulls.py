"""What nulls and blind scores cost beside the bootstrap, task by task, on HierarCaps' captions.

    python benchmarks/nulls.py --data-dir DATA [--dim 512] [--threads 2]

Vectors are random: a draw's cost does not depend on them. Each null has its own number of draws.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hiereval import blind, nulls, registry
from hiereval.datasets import open_dataset
from hiereval.estimates import bootstrap, metrics_of
from hiereval.geometry import SphereSpace, normalise
from hiereval.places import Places
from hiereval.types import DataOptions

TASKS = ("ordering", "entailment", "image-entailment", "retrieval", "interpolation",
         "flat-retrieval", "pep")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    options = DataOptions(places=Places.of(data_dir=given.data_dir, offline=True))
    print(f"d = {given.dim}, {given.threads} threads; seconds on the wall (of the processor)")
    print("| task | scoring | bootstrap | nulls | blind scores | nulls / bootstrap |")
    print("|---|--:|--:|--:|--:|--:|")
    total = [[0.0, 0.0] for _ in range(4)]
    for name in TASKS:
        task = registry.load("tasks", name)()
        data = open_dataset(task.datasets[0], options)
        times = measured(task, data, space_of(data, given.dim))
        for all_of, own in zip(total, times, strict=True):
            all_of[0], all_of[1] = all_of[0] + own[0], all_of[1] + own[1]
        print(row(name, times))
    print(row("all", total))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GB")


def row(name: str, times: list[Any]) -> str:
    cells = [f"{wall:.2f} ({processor:.2f})" for wall, processor in times]
    return f"| {name} | {' | '.join(cells)} | {times[2][1] / times[1][1]:.1f} |"


def space_of(data: Any, dim: int) -> SphereSpace:
    generator = torch.Generator().manual_seed(0)
    text, image, root = (
        normalise(torch.randn(n, dim, generator=generator))
        for n in (len(data.texts), len(data.images), 1)
    )
    return SphereSpace(text, image, root[0])


def measured(task: Any, data: Any, space: SphereSpace) -> list[tuple[float, float]]:
    times = []

    def timed(work: Callable[[], Any]) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        times.append((time.perf_counter() - wall, time.process_time() - processor))
        return result

    scores = timed(lambda: task.score(space, data, torch.Generator().manual_seed(0)))
    metrics = metrics_of(task, scores.items)
    values = timed(lambda: bootstrap(metrics, scores, seed=0))
    timed(lambda: nulls.evaluate(metrics, scores, values, seed=0))
    timed(lambda: blind.ceilings(task, data, metrics))
    return times


if __name__ == "__main__":
    main()
