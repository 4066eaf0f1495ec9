"""The exterior angle, slowly, and what is made of it, in float64."""

from __future__ import annotations

import math

import numpy as np


def angle(a: np.ndarray, b: np.ndarray, root: np.ndarray) -> float:
    """arccos of the clamped cosine between a - r and b - a; NaN where one has no length."""
    out, on = a - root, b - a
    lengths = math.sqrt(float(out @ out)) * math.sqrt(float(on @ on))
    if lengths == 0.0:
        return math.nan
    return math.acos(min(1.0, max(-1.0, float(out @ on) / lengths)))


def share(pairs: list[tuple[float, float]]) -> float:
    """How often the first is the smaller, where both exist."""
    known = [(x, y) for x, y in pairs if not math.isnan(x) and not math.isnan(y)]
    return sum(x < y for x, y in known) / len(known) if known else math.nan
