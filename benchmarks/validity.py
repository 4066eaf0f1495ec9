"""Whether verdicts hold: what encoders without structure, of length alone, and with some reach.

    python benchmarks/validity.py --data-dir DATA [--tasks ordering,...] [--encoders 200]
        [--images 300] [--study structureless|length|coverage|width|power]

Every encoder gives each distinct string of HierarCaps' captions one random point, so captions
that repeat share it, as they do under any encoder:

- structureless: a random direction at a random radius in R^32, the same for images;
- of length alone: the radius is the word count plus noise of 1.5 words, the direction random;
- planted: noise of sd 1 and, `strength` long at the last tier, the direction of the chain's image.

A twin of an encoder is another of the same kind. Sizes: ordering on all 1,000 chains, entailment
on the first expanded chain of each image, image tasks on the first 300; 200 draws of a null, 200
resamples. Everything is seeded. Differences between two models and shared ranks are those of
`hiereval.compare` and `hiereval.ties`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from hiereval import findings, nulls, registry
from hiereval.datasets import open_dataset
from hiereval.datasets.chains import subset
from hiereval.estimates import bootstrap, metrics_of, ones
from hiereval.geometry import EuclideanSpace, normalise
from hiereval.places import Places
from hiereval.recording import metric_values
from hiereval.records import MetricValue
from hiereval.types import Chains, DataOptions

DIM, DRAWS, RESAMPLES, TWINS, LEVEL = 32, 200, 200, 5, 0.95
TEXT_TASKS = ("ordering", "entailment")
IMAGE_TASKS = ("image-entailment", "retrieval", "interpolation", "flat-retrieval")
HEADLINES = {
    "ordering": ("tau_d", "length_matched_auroc", "style_matched_auroc", "tau_partial"),
    "entailment": ("triplet_accuracy_documented", "auroc", "direction_accuracy"),
    "image-entailment": ("image_auroc",),
    "retrieval": ("rank_f1",),
    "interpolation": ("f1",),
    "flat-retrieval": ("image_to_text_r10",),
}
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0)
Values = dict[str, dict[str, MetricValue]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--study", choices=list(STUDIES), action="append")
    parser.add_argument("--tasks", default=",".join(HEADLINES))
    parser.add_argument("--encoders", type=int, default=200)
    parser.add_argument("--images", type=int, default=300, help="of the image tasks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = datasets(given.data_dir, given.images)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {' '.join(given.study or ['all studies'])}")
    for study in given.study or STUDIES:
        STUDIES[study](data, given.tasks.split(","), given.encoders)


def datasets(root: Path, images: int = 300) -> dict[str, Chains]:
    """Return each task's chains, cut to the sizes that the docstring states."""
    options = DataOptions(places=Places.of(data_dir=root, offline=True))
    test, expanded = (open_dataset(n, options) for n in ("hierarcaps", "hierarcaps-expanded"))
    first = np.unique(expanded.chain_image, return_index=True)[1]
    small = subset(test, range(images))
    return {
        "ordering": test,
        "entailment": subset(expanded, np.sort(first)),
        **dict.fromkeys(IMAGE_TASKS, small),
        "population": expanded,
    }


# --- encoders ------------------------------------------------------------------------------------


def structureless(data: Chains, generator: Generator) -> EuclideanSpace:
    return _space(data, torch.rand(len(data.texts), generator=generator) + 0.5, generator)


def of_length(data: Chains, generator: Generator) -> EuclideanSpace:
    words = nulls.word_counts(data.texts).float()
    noise = 1.5 * torch.randn(len(words), generator=generator)
    return _space(data, (words + noise).clamp(min=0.1), generator)


def planted(data: Chains, strength: float, generator: Generator) -> EuclideanSpace:
    assert data.chain_image is not None
    images = normalise(torch.randn(len(data.images), DIM, generator=generator))
    k = data.chains.shape[1]
    total, count = torch.zeros(len(data.texts), DIM), torch.zeros(len(data.texts), 1)
    for j, column in enumerate(torch.from_numpy(data.chains).unbind(1), 1):
        total.index_add_(0, column, images[torch.from_numpy(data.chain_image)] * j / k)
        count.index_add_(0, column, torch.ones(len(column), 1))
    noise = torch.randn(len(data.texts), DIM, generator=generator) / DIM**0.5
    other = torch.randn(len(data.images), DIM, generator=generator) / DIM**0.5
    text = noise + strength * total / count.clamp(min=1.0)
    return EuclideanSpace(text, other + strength * images, torch.zeros(DIM))


def _space(data: Chains, radius: Tensor, generator: Generator) -> EuclideanSpace:
    points = [
        normalise(torch.randn(n, DIM, generator=generator))
        for n in (len(data.texts), len(data.images))
    ]
    return EuclideanSpace(radius[:, None] * points[0], points[1], torch.zeros(DIM))


def measured(name: str, data: Chains, space: EuclideanSpace) -> dict[str, MetricValue]:
    """Return the task's metrics as a record holds them, by the null that applies alone."""
    task = registry.load("tasks", name)()
    if name == "image-entailment":
        task = replace(task, negatives=3)
    scores = task.score(space, data, Generator().manual_seed(0))
    kind = next(kind for kind in findings.KINDS if kind in scores.nulls)
    scores = replace(scores, nulls={kind: scores.nulls[kind]})
    metrics = metrics_of(task, scores.items)
    values = bootstrap(metrics, scores, seed=0, resamples=RESAMPLES, level=LEVEL)
    return metric_values(
        metrics, values, nulls.bars(task, data, scores, values, seed=0, draws=DRAWS)
    )


# --- studies -------------------------------------------------------------------------------------


def of_structureless(data: dict[str, Chains], tasks: list[str], encoders: int) -> None:
    """Print how often encoders that know nothing look as if they did."""
    print(f"\n{encoders} structureless encoders: share of them, in percent")
    _false_findings(data, structureless, tasks, encoders)


def of_length_alone(data: dict[str, Chains], tasks: list[str], encoders: int) -> None:
    """Print how often encoders that know a text's length alone look as if they knew more."""
    print(f"\n{encoders} encoders of length alone: share of them, in percent")
    _false_findings(data, of_length, [t for t in tasks if t in TEXT_TASKS], encoders)


def _false_findings(
    data: dict[str, Chains], encoder: Callable[..., EuclideanSpace], tasks: list[str], encoders: int
) -> None:
    print("| task | metric | interval beyond chance | beyond the null | a finding |")
    print("|---|---|--:|--:|--:|", flush=True)
    for name in tasks:
        found = defaultdict(list)
        for seed in range(encoders):
            space = encoder(data[name], Generator().manual_seed(seed))
            for metric, value in measured(name, data[name], space).items():
                if value.nulls:
                    found[metric].append(value)
        for metric, values in found.items():
            print(f"| {name} | {metric} | {' | '.join(_shares(values))} |", flush=True)


def _shares(values: list[MetricValue]) -> Iterator[str]:
    """Yield three shares; an encoder's twins are the next ones."""
    chance = values[0].chance
    if chance is None:
        yield "-"
    else:
        low = [v.ci_low if v.higher_is_better else -(v.ci_high or 0.0) for v in values]
        yield _percent([x is not None and x > chance for x in low])
    yield _percent([null.p <= 1 - LEVEL for v in values for null in v.nulls.values()])
    verdicts = [
        findings.judge(v, [values[(i + j) % len(values)] for j in range(1, TWINS + 1)])
        for i, v in enumerate(values)
    ]
    yield _percent([verdict.finding is True for verdict in verdicts])


def _percent(hits: list[bool]) -> str:
    return f"{100 * np.mean(hits):.1f}" if hits else "-"


def coverage(data: dict[str, Chains], tasks: list[str], encoders: int) -> None:
    """Print how often an interval of n chains holds the value of all 4,709 (one encoder)."""
    population = data["population"]
    space = planted(population, 1.0, Generator().manual_seed(0))
    task = registry.load("tasks", "ordering")()
    scores = task.score(space, population, Generator().manual_seed(0))
    metrics = metrics_of(task, scores.items)
    n_all = len(scores.ids)
    truth = {m.name: m.statistic(scores.items, ones(n_all)).item() for m in metrics}
    generator = Generator().manual_seed(1)
    print(f"\ncoverage of 95 % intervals, ordering, {encoders} samples, in percent")
    print("| metric | n = 100 | n = 1,000 |")
    print("|---|--:|--:|")
    held: dict[str, list[str]] = {metric.name: [] for metric in metrics}
    for n in (100, 1000):
        inside = defaultdict(list)
        for _ in range(encoders):
            rows = torch.randint(n_all, (n,), generator=generator)
            drawn = replace(
                scores,
                ids=[str(i) for i in range(n)],
                items={key: values[rows] for key, values in scores.items.items()},
                undefined={},
            )
            for name, e in bootstrap(metrics, drawn, seed=0, resamples=RESAMPLES).items():
                if e.low is not None and e.high is not None:
                    inside[name].append(e.low <= truth[name] <= e.high)
        for metric in metrics:
            held[metric.name].append(_percent(inside[metric.name]))
    for name, shares in held.items():
        print(f"| {name} | {' | '.join(shares)} |", flush=True)


def width(data: dict[str, Chains], tasks: list[str], encoders: int) -> None:
    """Print the spread of structureless encoders, and of one's free null, on 4,709 chains."""
    task, population = registry.load("tasks", "entailment")(), data["population"]
    found = defaultdict(list)
    for seed in range(encoders):
        space = structureless(population, Generator().manual_seed(seed))
        scores = task.score(space, population, Generator())
        for metric in task.metrics:
            value = metric.statistic(scores.items, ones(len(scores.ids))).item()
            found[metric.name].append(value)
    drawn = scores.nulls["free"].draw(DRAWS, Generator().manual_seed(0))
    print(f"\nstandard deviation over {encoders} encoders, and over {DRAWS} draws of one's null")
    print("| metric | encoders | null |")
    print("|---|--:|--:|")
    for name, values in found.items():
        print(f"| {name} | {np.std(values):.4f} | {drawn[name].std().item():.4f} |", flush=True)


def power(data: dict[str, Chains], tasks: list[str], encoders: int) -> None:
    """Print from which strength on a planted structure is told in 80 % of encoders."""
    tried = max(10, encoders // 10)
    print(f"\nplanted structure, {tried} encoders a strength: share beyond the null, in percent")
    print(f"| task | metric | {' | '.join(map(str, STRENGTHS))} | beyond the null from | value | "
          "null | a finding from | value |")  # fmt: skip
    print(f"|---|---|{'--:|' * (len(STRENGTHS) + 5)}")
    for name in tasks:
        found: dict[float, list[dict[str, MetricValue]]] = {
            strength: [
                measured(
                    name,
                    data[name],
                    planted(data[name], strength, Generator().manual_seed(seed)),
                )
                for seed in range(tried)
            ]
            for strength in STRENGTHS
        }
        for metric in HEADLINES[name]:
            print(f"| {name} | {metric} | {' | '.join(_power(found, metric))} |", flush=True)


def _power(found: dict[float, list[dict[str, MetricValue]]], metric: str) -> Iterator[str]:
    """Yield the shares beyond the null; twins are the first encoders without structure."""
    of = {strength: [one[metric] for one in encoders] for strength, encoders in found.items()}
    drawn = {s: [null for v in values for null in v.nulls.values()] for s, values in of.items()}
    beyond = {s: [null.p <= 1 - LEVEL for null in nulls] for s, nulls in drawn.items()}
    twins = of[0.0][:TWINS]
    verdicts = {s: [findings.judge(v, twins).finding is True for v in of[s]] for s in of}
    yield from map(_percent, beyond.values())
    told, told_value = _enough(beyond, of)
    yield from (told, told_value, f"{drawn[0.0][0].mean:.3g}", *_enough(verdicts, of))


def _enough(hits: dict[float, list[bool]], of: dict[float, list[MetricValue]]) -> tuple[str, str]:
    """Return the first strength with 80 % hits, and the mean value there."""
    first = next((strength for strength, found in hits.items() if np.mean(found) >= 0.8), None)
    if first is None:
        return "-", "-"
    return f"{first:g}", f"{np.mean([v.value for v in of[first] if v.value is not None]):.3g}"


STUDIES: dict[str, Callable[[dict[str, Chains], list[str], int], None]] = {
    "structureless": of_structureless,
    "length": of_length_alone,
    "coverage": coverage,
    "width": width,
    "power": power,
}

if __name__ == "__main__":
    main()
