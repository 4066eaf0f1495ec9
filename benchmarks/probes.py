"""What the probes reach, and what their controls reach: over seeds, on one model.

    python benchmarks/probes.py [--model toy] [--datasets shapes] [--random-init SEED]
        [--tasks ordering,entailment] [--precision fp32] [--probe-args k=v,...] [--out table.md]

Without --model: a full-size CLIP ViT-B/32 with random weights, probed on HierarCaps. Prints a
Markdown table: for a learning-free probe the values with their 95 % bootstrap intervals over
items, for a trained one the mean over three seeds and their range, and the same fitted on
chains with shuffled tiers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ablation import COLUMNS, whole
from full_size import clip_b32

from hiereval import evaluate
from hiereval.records import MetricValue, Record

HEADINGS = {**COLUMNS, "direction_accuracy": "direction"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model")
    parser.add_argument("--random-init", type=int)
    parser.add_argument("--datasets", help="default: each task's own, of HierarCaps")
    parser.add_argument("--tasks", default="ordering,entailment")
    parser.add_argument("--probes", default="empty-root,learned-root,radial-linear")
    parser.add_argument("--probe-args", default="")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.model is None:
            clip_b32(Path(folder), [])
            given.model, given.random_init = f"hf-clip:{folder}", given.random_init or 0
        records = evaluate(
            given.model,
            precision=given.precision,
            random_init=given.random_init,
            datasets=given.datasets or (),
            tasks=given.tasks,
            probes=given.probes,
            controls="none",
            probe_args=dict(pair.split("=") for pair in given.probe_args.split(",") if pair),
        )
    table = markdown(whole(records))
    print(table)
    if given.out:
        given.out.write_text(table + "\n")


def markdown(records: Sequence[Record]) -> str:
    """Return the table, a row a probe and order of tiers; a metric that no record has is out."""
    cells: dict[str, dict[str, list[MetricValue]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record.status != "ok":
            print(f"{record.status}: {record.reason}", file=sys.stderr)
        shuffled = record.probe.shuffled
        row = f"`{record.probe.name}`{', tiers shuffled' if shuffled else ''}"
        for name, metric in record.metrics.items():
            if name in HEADINGS:
                cells[row][name].append(metric)
    names = [name for name in HEADINGS if any(name in row for row in cells.values())]
    lines = [
        "| probe | " + " | ".join(HEADINGS[name] for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row, metrics in cells.items():
        lines.append(f"| {row} | " + " | ".join(_cell(metrics[name]) for name in names) + " |")
    return "\n".join(lines)


def _cell(found: Sequence[MetricValue]) -> str:
    values = [metric.value for metric in found if metric.value is not None]
    if len(values) < len(found) or not values:
        return "n/a"
    if len(values) == 1:
        return f"{values[0]:.3f} [{found[0].ci_low:.3f}, {found[0].ci_high:.3f}]"
    mean = sum(values) / len(values)
    return f"{mean:.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
