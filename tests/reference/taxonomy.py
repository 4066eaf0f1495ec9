"""Retrieval by rank, slowly: sets of names, one image, one level and one rank at a time."""

from __future__ import annotations

import math


def predictions(radius: list[float], similarity: list[float], steps: int) -> set[int]:
    """The most similar name within each level; level j holds the ceil(p j / steps) least radii
    and those that equal the last of them. Ties: the name that was given first."""
    found = set()
    for j in range(1, steps + 1):
        level = sorted(radius)[math.ceil(len(radius) * j / steps) - 1]
        within = [i for i, r in enumerate(radius) if r <= level]
        found.add(max(within, key=lambda i: (similarity[i], -i)))
    return found


def by_rank(
    predicted: set[int], row: list[int], ranks: list[list[int]]
) -> list[tuple[float, float]]:
    """(precision, recall) of one row's image at each rank."""
    scores = []
    for k, name in enumerate(row):
        of_rank = predicted & {other[k] for other in ranks}
        hit = float(name in predicted)
        scores.append((hit / len(of_rank) if of_rank else math.nan, hit))
    return scores
