"""What each published metric gives away: the best blind score beside the best published value.

    python benchmarks/ceilings.py --data-dir DATA

Prints the Markdown table of docs/ceilings.md from the public captions, names and trees alone: no
model, no image. A row whose data is not under DATA is left out and counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hiereval import registry
from hiereval.blind import ceilings
from hiereval.datasets import open_dataset
from hiereval.errors import HierevalError
from hiereval.leaderboard.board import reported_figures
from hiereval.places import Places
from hiereval.types import DataOptions, Metric, Task

# task, dataset, metrics: those that papers publish, then their controlled twins
PUBLISHED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ordering", "hierarcaps", ("tau_d", "length_matched_auroc", "style_matched_auroc")),
    ("retrieval", "hierarcaps", ("precision", "recall")),
    (
        "pep",
        "hierarcaps",
        (
            "margin_auroc",
            "margin_average_precision",
            "matched_margin_auroc",
            "matched_margin_average_precision",
        ),
    ),
    ("himo", "himo-docci", ("himo_k", "himo_k_matched")),
    ("himo", "himo-docci:halves", ("strict_rise",)),
    ("himo", "himo-docci:thirds", ("strict_rise",)),
    ("rcme-ranks", "rare-species", ("d_corr", "tau_d", "precision", "recall")),
    (
        "hycoclip-wordnet",
        "hycoclip-wordnet:classes",
        ("tie", "lca", "jaccard", "hierarchical_precision", "hierarchical_recall"),
    ),
    (
        "hierarchical-consistency",
        "hierarchical-consistency:cub200-similar",
        ("hca", "leaf_accuracy"),
    ),
)
HEAD = ("task, data", "metric", "best blind score", "reaches", "best published", "by", "beats it")


@dataclass(frozen=True)
class Published:
    """The best value that a paper gives, and whose it is."""

    value: float
    model: str


def best_published(task: str, dataset: str, metric: Metric) -> Published | None:
    """Return the best of the figures in leaderboard/reported.toml."""
    found = [
        Published(figure.metrics[key], figure.model)
        for figure in reported_figures()
        for key in figure.metrics
        if figure.dataset == dataset and key == f"{task} {metric.name}"
    ]
    sign = -1 if metric.higher_is_better is False else 1
    return max(found, key=lambda figure: sign * figure.value, default=None)


def row(task: str, dataset: str, metric: Metric, blind: dict[str, float]) -> tuple[str, ...]:
    """Return one row of the table."""
    sign = -1 if metric.higher_is_better is False else 1
    published = best_published(task, dataset, metric)
    name, value = max(blind.items(), key=lambda item: sign * item[1], default=("none", None))
    beats = "–" if published is None or value is None else "no"
    if beats == "no" and published is not None and value is not None:
        beats = "yes" if sign * published.value > sign * value else "**no**"
    return (
        f"{task}, {dataset}",
        f"`{metric.name}`",
        name,
        "–" if value is None else f"{value:.4f}",
        "–" if published is None else f"{published.value:.4g}",
        "–" if published is None else published.model,
        beats,
    )


def rows(places: Places) -> Iterator[tuple[str, ...] | str]:
    """Yield the rows; a string says why one is missing."""
    for name, spec, metrics in PUBLISHED:
        task: Task = registry.load("tasks", name)()
        try:
            data = open_dataset(spec, DataOptions(places=places))
        except HierevalError as error:
            yield str(error)
            continue
        chosen = [next(m for m in task.metrics if m.name == metric) for metric in metrics]
        blind = ceilings(task, data, chosen)
        for metric in chosen:
            yield row(name, spec, metric, dict(blind[metric.name]))


def table(places: Places) -> tuple[str, list[str]]:
    """Return the Markdown table, and why rows are missing."""
    found = list(rows(places))
    lines = [HEAD, tuple("---" for _ in HEAD), *(r for r in found if not isinstance(r, str))]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{text}\n", [r for r in found if isinstance(r, str)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data-dir", type=Path, help="the data root; default: HIEREVAL_DATA")
    places = Places.of(data_dir=parser.parse_args().data_dir, offline=True)
    text, missing = table(places)
    print(text, end="")
    for reason in missing:
        print(f"left out: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
