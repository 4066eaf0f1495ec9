"""Hierarchical retrieval, slowly: the pool is masked at every level for every image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

Chains = Sequence[Sequence[str]]


def levels(radius: np.ndarray, steps: int) -> np.ndarray:
    return np.linspace(float(radius.min()), float(radius.max()), steps).astype(radius.dtype)


def rank_levels(radius: Sequence[float], steps: int) -> list[float]:
    """The radius within which ceil(p j / steps) distinct captions lie, j = 1..steps."""
    ordered = sorted(radius)
    return [ordered[math.ceil(len(ordered) * j / steps) - 1] for j in range(1, steps + 1)]


def path(
    similarity: Sequence[float],
    radius: Sequence[float],
    pool: Sequence[str],
    at: Sequence[float],
) -> list[str]:
    """The most similar caption within each level, the earliest of equals."""
    found = []
    for level in at:
        inside = [i for i in range(len(pool)) if radius[i] <= level]
        found.append(pool[max(inside, key=lambda i: (similarity[i], -i))])
    return found


def precision(predictions: Sequence[str], chains: Chains) -> float:
    return len(set(predictions) & {t for c in chains for t in c}) / len(set(predictions))


def tiers(predictions: Sequence[str], chains: Chains) -> list[float]:
    return [
        float(any(chain[k] in set(predictions) for chain in chains)) for k in range(len(chains[0]))
    ]


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def ordered_recall(predictions: Sequence[str], chains: Chains) -> float:
    tier = [
        next(list(chain).index(text) for chain in chains if text in chain)
        for text in predictions
        if any(text in chain for chain in chains)
    ]
    steps = [k for k, _ in groupby(tier)]
    best = 0
    for start in range(len(steps)):
        end = start + 1
        while end < len(steps) and steps[end] > steps[end - 1]:
            end += 1
        best = max(best, end - start)
    return best / len(chains[0])


def interpolation(image: np.ndarray, pool: np.ndarray, root: np.ndarray, steps: int) -> list[int]:
    """Indices of the captions nearest to points between the image's nearest caption and r."""
    start = pool[int(np.argmax(pool @ image))]
    found = []
    for i in range(steps):
        query = start - i / steps * (start - root)
        found.append(int(np.argmax(pool @ (query / np.linalg.norm(query)))))
    return found


def hit(similarity: Sequence[float], correct: Sequence[int], k: int) -> float:
    """Whether a correct candidate is among the k nearest, wrong ones first among equals."""
    if max(similarity) == min(similarity):
        return math.nan
    order = sorted(range(len(similarity)), key=lambda i: (-similarity[i], i in correct))
    wrong = 0
    for i in order:
        if i in correct:
            break
        wrong += 1
    return float(wrong < k)
