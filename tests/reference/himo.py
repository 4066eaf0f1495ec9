"""HiMo@K, slowly, in float64 lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def correlation(places: Sequence[float], values: Sequence[float]) -> float:
    """Pearson's; 0 where all values are equal but for rounding."""
    if max(values) - min(values) <= 1e-12 * max(map(abs, values)):
        return 0.0
    n = len(values)
    x, y = sum(places) / n, sum(values) / n
    both = sum((a - x) * (b - y) for a, b in zip(places, values, strict=True))
    return both / math.sqrt(sum((a - x) ** 2 for a in places) * sum((b - y) ** 2 for b in values))


def himo(values: Sequence[float]) -> float:
    return correlation(range(1, len(values) + 1), values)


def within(values: Sequence[float], cut: Sequence[bool]) -> float:
    """The correlation over what is not cut, places as in the whole chain; NaN below two."""
    kept = [(j, v) for j, (v, gone) in enumerate(zip(values, cut, strict=True), 1) if not gone]
    return correlation(*zip(*kept, strict=True)) if len(kept) > 1 else math.nan


def rises(values: Sequence[float]) -> float:
    return float(all(a < b for a, b in pairwise(values)))


def segments(caption: str, n: int) -> list[str]:
    """Words dealt to n contiguous segments, the longer ones first; texts of the first 1, 2, ..."""
    words = caption.split()
    sizes = [len(words[i::n]) for i in range(n)]
    return [" ".join(words[: sum(sizes[: i + 1])]) for i in range(n)]
