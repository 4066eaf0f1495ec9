"""Measures of one image's path of answers, name by name, as the paper words them."""

from __future__ import annotations

from itertools import pairwise

Row = dict[str, str | None]


def path(row: Row, kind: str, first: int) -> list[str]:
    """The names of kind_levelN from the first level on: a gap ends it, a null closes up."""
    names = []
    for level in range(first, 100):
        if f"{kind}_level{level}" not in row:
            break
        name = row[f"{kind}_level{level}"]
        if name is not None:
            names.append(name.lower())
    return names


def measures(row: Row, first: int) -> dict[str, float] | None:
    truth, answers = path(row, "ground_truth", first), path(row, "predicted", first)
    if not truth or not answers:
        return None
    right = [i < len(answers) and answers[i] == name for i, name in enumerate(truth)]
    prefix = right.index(False) if False in right else len(right)
    pairs = [a and b for a, b in pairwise(right)]
    return {
        "hca": float(truth == answers),
        "leaf_accuracy": float(truth[-1] == answers[-1]),
        "por": sum(right) / len(truth),
        "s_por": prefix / len(truth),
        "tor": sum(pairs) / len(pairs) if pairs else 0.0,
    }
