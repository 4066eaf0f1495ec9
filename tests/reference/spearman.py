"""Spearman's rho, slowly: ranks by counting, Pearson by its definition, float64 lists only."""

from __future__ import annotations

import math
from collections.abc import Sequence


def ranks(values: Sequence[float]) -> list[float]:
    """The average of the places that a value's ties would take, counted from 1."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    a, b = ranks(x), ranks(y)
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    covariance = math.fsum((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True))
    variance_a = math.fsum((p - mean_a) ** 2 for p in a)
    variance_b = math.fsum((q - mean_b) ** 2 for q in b)
    if variance_a == 0 or variance_b == 0:
        return math.nan
    return covariance / math.sqrt(variance_a * variance_b)


def materialise(values: Sequence[float], counts: Sequence[int]) -> list[float]:
    """The list in which value i stands counts[i] times."""
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
