"""Rank statistics, slowly: every pair is looked at, in float64 lists."""

from __future__ import annotations

import math
from collections.abc import Sequence


def sign(x: float) -> int:
    return (x > 0) - (x < 0)


def pair_sums(x: Sequence[float], y: Sequence[float]) -> tuple[int, int, int]:
    """Concordant minus discordant pairs, pairs untied in x, pairs untied in y."""
    agree = untied_x = untied_y = 0
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            dx, dy = sign(x[j] - x[i]), sign(y[j] - y[i])
            agree, untied_x, untied_y = agree + dx * dy, untied_x + abs(dx), untied_y + abs(dy)
    return agree, untied_x, untied_y


def tau_b(x: Sequence[float], y: Sequence[float]) -> float:
    agree, untied_x, untied_y = pair_sums(x, y)
    return agree / math.sqrt(untied_x * untied_y) if untied_x and untied_y else math.nan


def pooled_tau_b(chains: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """One tau-b over the pairs within each chain (x, y), pooled."""
    sums = [pair_sums(x, y) for x, y in chains]
    agree, untied_x, untied_y = (sum(part) for part in zip(*sums, strict=True))
    return agree / math.sqrt(untied_x * untied_y) if untied_x and untied_y else math.nan


def partial(rt: float, rw: float, tw: float) -> float:
    left = (1 - rw * rw) * (1 - tw * tw)
    return (rt - rw * tw) / math.sqrt(left) if left > 0 else math.nan


def wins(positive: Sequence[float], negative: Sequence[float]) -> float:
    return sum(0.5 + 0.5 * sign(p - q) for p in positive for q in negative)


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    pairs = len(positive) * len(negative)
    return wins(positive, negative) / pairs if pairs else math.nan


def average_precision(positive: Sequence[float], negative: Sequence[float]) -> float:
    if not positive or not negative:
        return math.nan
    total, last = 0.0, 0.0
    for threshold in sorted(set(positive) | set(negative), reverse=True):
        true = sum(p >= threshold for p in positive)
        false = sum(q >= threshold for q in negative)
        recall = true / len(positive)
        total += (recall - last) * true / (true + false)
        last = recall
    return total
