"""What each part of the RE objective buys: pairing, pullback, hard term, negatives.

    python benchmarks/ablation.py [--with probe|finetune] [--model toy] [--data shapes:train]
        [--dataset shapes] [--lr LR] [--seeds 3] [--out table.md]

Trains one variant after another, the radial-linear probe on frozen embeddings or the text tower,
measures each on the test data and prints a Markdown table: values with 95 % bootstrap intervals
over items, for several seeds the mean of both. `*` stands where an interval excludes the value of
the model before training.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiereval import evaluate
from hiereval.finetune.finetuning import FinetuneConfig, finetune
from hiereval.finetune.recipe import Recipe
from hiereval.records import Record
from hiereval.session import Session

VARIANTS: dict[str, dict[str, Any]] = {
    "released": {},
    "documented pairing": {"pairing": "documented"},
    "without pullback": {"pullback": 0.0},
    "without negatives": {"negatives": False},
}
HARD = {
    "probe": {"with hard term": {"hard": 1.0}},
    "finetune": {"without hard term": {"hard": 0.0}},
}
TASKS = "ordering,entailment,retrieval,flat-retrieval"
COLUMNS = {  # metric -> heading
    "tau_d": "tau_d",
    "exact_order": "exact order",
    "length_matched_auroc": "length-matched AUROC",
    "triplet_accuracy_released": "triplets, released",
    "triplet_accuracy_documented": "triplets, documented",
    "auroc": "entailment AUROC",
    "precision": "P",
    "recall": "R",
    "text_to_image_r1": "T2I R@1",
    "image_to_text_r1": "I2T R@1",
}


@dataclass(frozen=True)
class Cell:
    """A value with its interval."""

    value: float
    low: float
    high: float

    def text(self, before: Cell | None) -> str:
        """Return "0.123 [0.1, 0.2]", starred where the interval excludes the value before."""
        star = before is not None and not self.low <= before.value <= self.high
        return f"{self.value:.3f}{'*' if star else ''} [{self.low:.3f}, {self.high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--with", dest="trainer", choices=["probe", "finetune"], default="probe")
    parser.add_argument("--model", default="toy")
    parser.add_argument("--data", default="shapes:train")
    parser.add_argument("--dataset", default="shapes")
    parser.add_argument("--lr", type=float, help="default: the probe's own; 1e-6 for finetune")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--only", help="comma-separated variants")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    variants = {**VARIANTS, **HARD[given.trainer]}
    if given.only:
        variants = {name: variants[name] for name in given.only.split(",")}
    rows = {"before training": measured(given, given.model, "empty-root", {})}
    for name, changes in variants.items():
        started = time.perf_counter()
        rows[name] = (probe if given.trainer == "probe" else tuned)(given, changes)
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if given.trainer == "probe":
        rows["released, tiers shuffled"] = probe(given, {"shuffled": True})
    table = markdown(rows)
    print(table)
    if given.out:
        given.out.write_text(table + "\n")


def probe(given: argparse.Namespace, changes: Mapping[str, Any]) -> dict[str, Cell]:
    """Fit radial-linear and measure it; mean over the seeds."""
    own = {"lr": given.lr, "epochs": given.epochs}
    arguments = {
        "shuffled": False,
        **{key: str(value) for key, value in own.items() if value is not None},
        **{key: str(value) for key, value in changes.items()},
    }
    return mean(
        [
            measured(given, given.model, "radial-linear", {**arguments, "seed": str(seed)})
            for seed in range(given.seeds)
        ]
    )


def tuned(given: argparse.Namespace, changes: Mapping[str, Any]) -> dict[str, Cell]:
    """Fine-tune the text tower and measure it; mean over the seeds."""
    measured_seeds = []
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = finetune(
                Session.of(),
                FinetuneConfig(
                    model=given.model,
                    train_data=given.data,
                    out=Path(folder) / "out",
                    recipe=Recipe(
                        lr=given.lr or 1e-6, epochs=given.epochs or 1, seed=seed, **changes
                    ),
                ),
            )
            measured_seeds.append(measured(given, checkpoint, "empty-root", {}))
    return mean(measured_seeds)


def measured(
    given: argparse.Namespace, model: str, name: str, arguments: Mapping[str, str]
) -> dict[str, Cell]:
    """Return every metric of one model under one probe."""
    records: Sequence[Record] = evaluate(
        model,
        datasets=given.dataset,
        controls="none",
        tasks=TASKS,
        probes=[name],
        probe_args=dict(arguments),
        train_data=given.data,
        resamples=given.resamples,
    )
    return {
        metric: Cell(value.value, value.ci_low, value.ci_high)
        for record in whole(records)
        for metric, value in record.metrics.items()
        if value.value is not None and value.ci_low is not None and value.ci_high is not None
    }


def whole(records: Sequence[Record]) -> list[Record]:
    """Return the records of each task on all its data, without those on unseen strings alone."""
    n: dict[str, int] = {}
    for record in records:
        n[record.task.name] = max(n.get(record.task.name, 0), record.dataset.n_texts)
    return [record for record in records if record.dataset.n_texts == n[record.task.name]]


def mean(rows: Sequence[Mapping[str, Cell]]) -> dict[str, Cell]:
    """Return the mean over seeds of values and of interval ends."""

    def average(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return {
        metric: Cell(
            average([row[metric].value for row in rows]),
            average([row[metric].low for row in rows]),
            average([row[metric].high for row in rows]),
        )
        for metric in rows[0]
    }


def markdown(rows: Mapping[str, Mapping[str, Cell]]) -> str:
    """Return the table, a variant a row."""
    before = rows["before training"]
    lines = [
        "| variant | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name, row in rows.items():
        cells = [
            row[metric].text(None if row is before else before[metric]) if metric in row else "n/a"
            for metric in COLUMNS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
