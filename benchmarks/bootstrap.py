"""Intervals of every metric of a run at HierarCaps' sizes: 1,000 chains, 4,709 with negatives.

    python benchmarks/bootstrap.py [--resamples 1000]

Prints the seconds of scoring and of the bootstrap, task by task, on random vectors.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import torch

from hiereval.datasets.chains import assemble
from hiereval.estimates import bootstrap
from hiereval.geometry import SphereSpace, normalise
from hiereval.tasks.entailment import Entailment
from hiereval.tasks.flat_retrieval import FlatRetrieval
from hiereval.tasks.image_entailment import ImageEntailment
from hiereval.tasks.interpolation import Interpolation
from hiereval.tasks.ordering import Ordering
from hiereval.tasks.retrieval import Retrieval
from hiereval.types import Chains

TASKS = (Ordering(), Retrieval(), Interpolation(), ImageEntailment(), FlatRetrieval())


@dataclass(frozen=True)
class Picture:
    name: str

    def read(self) -> bytes:
        raise NotImplementedError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    test, expanded = made(1000, 1000), made(4709, 1000)
    total = [0.0, 0.0, 0.0]
    print(f"{given.resamples:,} resamples, {given.threads} threads")
    for task, data in [*((task, test) for task in TASKS), (Entailment(), expanded)]:
        wall, cpu, scoring = measured(task, data, given.resamples)
        total = [total[0] + wall, total[1] + cpu, total[2] + scoring]
        print(f"{task.name:18s} scoring {scoring:6.2f} s   bootstrap {wall:6.2f} s wall", end="")
        print(f" {cpu:6.2f} s processor")
    print(f"{'all':18s} scoring {total[2]:6.2f} s   bootstrap {total[0]:6.2f} s wall", end="")
    print(f" {total[1]:6.2f} s processor")


def measured(task: Any, data: Chains, resamples: int) -> tuple[float, float, float]:
    generator = torch.Generator().manual_seed(0)
    points = [
        normalise(torch.randn(n, 512, generator=generator))
        for n in (len(data.texts), len(data.images), 1)
    ]
    space = SphereSpace(points[0], points[1], points[2][0])
    start = time.perf_counter()
    scores = task.score(space, data, generator)
    scored, cpu = time.perf_counter(), time.process_time()
    bootstrap(task.metrics, scores, seed=0, resamples=resamples)
    return time.perf_counter() - scored, time.process_time() - cpu, scored - start


def made(chains: int, images: int) -> Chains:
    """Return chains of 1, 2, 4 and 9 words, up to three words more, none shared."""
    generator = torch.Generator().manual_seed(0)

    def rows(kind: str) -> list[list[str]]:
        extra = torch.randint(0, 4, (chains, 4), generator=generator).tolist()
        return [
            [
                " ".join([f"{kind}{i}"] * (n + more))
                for n, more in zip((1, 2, 4, 9), row, strict=True)
            ]
            for i, row in enumerate(extra)
        ]

    pictures = [Picture(f"{i % images}.jpg") for i in range(chains)]
    return assemble(rows("p"), rows("n"), pictures, name="made", split="all")


if __name__ == "__main__":
    main()
