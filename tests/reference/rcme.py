"""RCME's order metrics, slowly: rows of names with vectors, in float64 lists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations


def d_corr(radii: Sequence[float]) -> float:
    """Kendall's tau of the ranks that a stable sort gives: equal radii are in order."""
    order = sorted(range(len(radii)), key=lambda j: (radii[j], j))
    place = [order.index(j) for j in range(len(radii))]
    pairs = list(combinations(place, 2))
    return sum(1 if a < b else -1 for a, b in pairs) / len(pairs)


def levels(radii: Sequence[float], steps: int) -> list[float]:
    low, high = min(radii), max(radii)
    return [low + (high - low) * j / (steps - 1) for j in range(steps - 1)] + [high]


def answers(
    rows: Sequence[Sequence[str]],
    radius: Mapping[str, float],
    similarity: Mapping[str, float],
    steps: int,
) -> set[str]:
    """The most similar name within each level, the first in (row, rank) order of equal ones."""
    names = [name for row in rows for name in row]
    found = set()
    for level in levels([radius[name] for name in names], steps):
        within = [name for name in names if radius[name] <= level]
        if within:
            found.add(max(within, key=lambda name: similarity[name]))
    return found


def precision_recall(found: set[str], own: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Of an image with these rows."""
    true = {name for row in own for name in row}
    ranks = range(len(own[0]))
    recall = sum(any(row[rank] in found for row in own) for rank in ranks) / len(own[0])
    return (len(found & true) / len(found) if found else math.nan), recall
