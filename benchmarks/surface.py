"""What forms of a text reach that are composed: more than each blind score of the rule alone?

    python benchmarks/surface.py --data-dir DATA

Blind scores are one number each: words, characters, a capital, a full stop. Here the radius is a
sum of such numbers, each in units of its standard deviation, on HierarCaps' 1,000 chains. No
meaning enters. A finding is judged beside five encoders without structure as twins.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from validity import TWINS, datasets, measured, structureless

from hiereval import findings
from hiereval.geometry import EuclideanSpace
from hiereval.types import Chains

METRICS = ("style_matched_auroc", "length_matched_auroc", "exact_order", "tau_partial")
FORMS: dict[str, Callable[[str], float]] = {
    "words": lambda text: len(text.split()),
    "characters": len,
    "capital": lambda text: text[:1].isupper(),
    "full stop": lambda text: text.endswith("."),
    "article first": lambda text: text.split()[0].lower() in ("a", "an", "the"),
    "shortest word": lambda text: min(map(len, text.split())),
}
SUMS: tuple[dict[str, float], ...] = (
    {"shortest word": -1},
    {"article first": 1},
    {"article first": 1, "shortest word": -1},
    {"article first": 1, "shortest word": -1, "frequency": -1},
    {"words": 1, "capital": 2, "full stop": 1, "characters": -0.1},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = datasets(given.data_dir)["ordering"]
    numbers = forms(data)
    twins = [measured("ordering", data, _twin(data, seed)) for seed in range(TWINS)]
    print(f"| form | {' | '.join(METRICS)} |\n|---|{'--:|' * len(METRICS)}")
    for form in SUMS:
        total = sum(weight * numbers[name] for name, weight in form.items())
        assert isinstance(total, Tensor)
        space = EuclideanSpace((total - total.min())[:, None], None, torch.zeros(1).double())
        values = measured("ordering", data, space)
        cells = []
        for metric in METRICS:
            value = values[metric]
            verdict = findings.judge(value, [twin[metric] for twin in twins])
            mark = " (a finding)" if verdict.finding else ""
            cells.append("null" if value.value is None else f"{value.value:.3f}{mark}")
        words = " ".join(f"{weight:+g} {name}" for name, weight in form.items())
        print(f"| {words} | {' | '.join(cells)} |", flush=True)


def forms(data: Chains) -> dict[str, Tensor]:
    """Return each number of the texts in units of its standard deviation, and how often the text
    stands in the chains."""
    found = {
        name: torch.tensor([float(form(text)) for text in data.texts], dtype=torch.float64)
        for name, form in FORMS.items()
    }
    often = np.bincount(data.chains.reshape(-1), minlength=len(data.texts))
    found["frequency"] = torch.from_numpy(often).double()
    return {name: number / number.std() for name, number in found.items()}


def _twin(data: Chains, seed: int) -> EuclideanSpace:
    return structureless(data, Generator().manual_seed(seed))


if __name__ == "__main__":
    main()
