"""How often models are told apart that are not: by `diff` and by shared ranks; and how fast.

    python benchmarks/separation.py --data-dir DATA [--pairs 100]

Structureless encoders give each distinct caption of HierarCaps one random point: a random direction
in R^32 at a random radius. `diff` compares pairs of them, uncorrected for the number of metrics;
columns of ten are ranked by paired draws, as they are, and findings alone, as boards do (the twins
of an encoder are five others). Equal models share their items' difficulty and differ by noise.
Everything is seeded.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import Generator

from hiereval import findings, nulls, registry, ties
from hiereval.blind import ceilings
from hiereval.compare import compare, replicates
from hiereval.datasets import open_dataset
from hiereval.datasets.chains import subset
from hiereval.estimates import bootstrap, metrics_of, resample
from hiereval.geometry import EuclideanSpace, normalise
from hiereval.places import Places
from hiereval.recording import metric_values
from hiereval.records import MetricValue, TaskInfo
from hiereval.samples import Identity, SampledData, SampledModel, SampledProbe, Samples
from hiereval.types import Chains, DataOptions

DIM, DRAWS, RESAMPLES, LEVEL, COLUMN, TWINS = 32, 200, 500, 0.95, 10, 5
METRICS = {
    "ordering": ("tau_d", "length_matched_auroc", "adversarial_accuracy"),
    "entailment": ("triplet_accuracy_released", "triplet_accuracy_documented", "auroc"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(2)
    print(f"{datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}")
    for name, data in datasets(given.data_dir).items():
        encoders = [encoder(name, data, seed) for seed in range(2 * given.pairs)]
        differences(name, encoders)
        separations(name, encoders)
    equal_models()
    speed()


def datasets(root: Path) -> dict[str, Chains]:
    """Return all chains of the test split, and the first expanded chain of each image."""
    options = DataOptions(places=Places.of(data_dir=root, offline=True))
    expanded = open_dataset("hierarcaps-expanded", options)
    first = np.unique(expanded.chain_image, return_index=True)[1]
    return {
        "ordering": open_dataset("hierarcaps", options),
        "entailment": subset(expanded, np.sort(first)),
    }


def encoder(name: str, data: Chains, seed: int) -> tuple[Samples, dict[str, MetricValue]]:
    """Return the samples and the metrics of one structureless encoder."""
    generator = Generator().manual_seed(seed)
    points = normalise(torch.randn(len(data.texts), DIM, generator=generator))
    radius = torch.rand(len(points), 1, generator=generator) + 0.5
    task = registry.load("tasks", name)()
    space = EuclideanSpace(radius * points, None, torch.zeros(DIM))
    scores = task.score(space, data, Generator().manual_seed(0))
    wanted = [m for m in metrics_of(task, scores.items) if m.name in METRICS[name]]
    values = bootstrap(wanted, scores, seed=0, resamples=RESAMPLES, level=LEVEL)
    bars = nulls.evaluate(wanted, scores, values, seed=0, draws=DRAWS)
    blind = ceilings(task, data, wanted)
    held = metric_values(
        wanted, values, {m.name: nulls.Bars(bars[m.name], blind[m.name]) for m in wanted}
    )
    sds = {n: null.sd for n, v in held.items() if (null := findings.structureless(v))}
    return Samples(_identity(name, data, seed, len(scores.ids), sds), scores, Path()), held


def _identity(name: str, data: Chains, seed: int, n: int, sds: dict[str, float]) -> Identity:
    return Identity(
        record_id=str(seed), run_id="run", timestamp=datetime.now(UTC),
        model=SampledModel(name=str(seed), fingerprint=str(seed), random_init=None),
        task=TaskInfo(name=name, version=registry.load("tasks", name).version, parameters={}),
        dataset=SampledData(name=data.name, split=data.split, sha256=data.sha256),
        probe=SampledProbe(name="empty-root", parameters={}, seed=None, shuffled=False),
        n=n, undefined={}, null_sd=sds,
    )  # fmt: skip


def differences(name: str, encoders: list[tuple[Samples, dict[str, MetricValue]]]) -> None:
    """Print how often `diff` finds a difference between two structureless encoders."""
    found = defaultdict(list)
    for (a, _), (b, _) in zip(encoders[::2], encoders[1::2], strict=True):
        names = ",".join(METRICS[name])
        for d in compare([a], [b], resamples=RESAMPLES, metrics=names).differences:
            found[d.metric].append(
                (d.p is not None and d.p < 0.05, replace(d, p_holm=d.p).clear(LEVEL))
            )
    print(f"\n{len(encoders) // 2} pairs of structureless encoders, {name}, in percent")
    print("| metric | p < .05 | and beyond the structureless spread |\n|---|--:|--:|")
    for metric, hits in found.items():
        shares = (100 * np.mean(column) for column in zip(*hits, strict=True))
        print(f"| {metric} | {' | '.join(f'{s:.1f}' for s in shares)} |", flush=True)


def separations(name: str, encoders: list[tuple[Samples, dict[str, MetricValue]]]) -> None:
    """Print in how many columns of structureless encoders paired draws put one above another."""
    task = registry.load("tasks", name)()
    print(f"\ncolumns of {COLUMN} structureless encoders, {name}: any rank below 1, in percent")
    print("| metric | as they are | findings alone |\n|---|--:|--:|")
    for metric in (m for m in task.metrics if m.name in METRICS[name]):
        values = [held[metric.name] for _, held in encoders]
        verdicts = [
            findings.judge(v, [values[(i + j) % len(values)] for j in range(1, TWINS + 1)]).finding
            for i, v in enumerate(values)
        ]
        hits = []
        for start in range(0, len(encoders) - COLUMN + 1, COLUMN):
            rows = range(start, start + COLUMN)
            sides = [encoders[i][0] for i in rows]
            drawn = replicates(sides, [metric], seed=0, resamples=RESAMPLES)[metric.name].numpy()
            every = np.array([values[i].value for i in rows], np.float64)
            kept = [k for k, i in enumerate(rows) if verdicts[i]]
            hits.append(
                (_separated(every, drawn), bool(kept) and _separated(every[kept], drawn[:, kept]))
            )
        shares = (100 * np.mean(column) for column in zip(*hits, strict=True))
        print(f"| {metric.name} | {' | '.join(f'{s:.1f}' for s in shares)} |", flush=True)


def _separated(values: np.ndarray, draws: np.ndarray) -> bool:
    return any(rank.best > 1 for rank in ties.of_draws(values, draws, LEVEL))


def equal_models() -> None:
    """Print in how many columns of equal models anyone is above anyone."""
    print("\ncolumns of equal models: any rank below 1, in percent")
    print("| models | items | columns | share |\n|--:|--:|--:|--:|")
    rng = np.random.default_rng(5)
    for m, n, columns in ((2, 100, 1500), (10, 100, 800), (10, 1000, 120)):
        hits = 0
        for _ in range(columns):
            items = rng.normal(size=(n, 1)) + rng.normal(size=(n, m))
            weights = rng.multinomial(n, [1 / n] * n, size=600)
            hits += _separated(items.mean(0), weights @ items / n)
        print(f"| {m} | {n:,} | {columns:,} | {100 * hits / columns:.1f} |", flush=True)


def _means(items: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return draws [b, n] of the items times items [n, m]."""
    held = torch.from_numpy(items)
    return torch.cat([w @ held / len(held) for w in resample(len(held), draws, seed)]).numpy()


def speed() -> None:
    """Print how long ranks of 200 models on 1,000 items take from 10,000 paired draws."""
    items = np.random.default_rng(0).normal(size=(1000, 200))
    started = time.perf_counter()
    ties.of_draws(items.mean(0), _means(items, 10_000, 0), LEVEL)
    seconds = time.perf_counter() - started
    print(f"\n200 models x 1,000 items x 10,000 draws: {seconds:.1f} s on 2 threads")


if __name__ == "__main__":
    main()
