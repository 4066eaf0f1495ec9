"""PEP, slowly: every pair by itself in float64 (Hyper3-CLIP's construction, in our own words)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from reference.lorentz import inner, lift

ULPS = 16 * 2.0**-23  # of float32


def negatives(rows: Sequence[Sequence[str]], n: int) -> list[list[str]]:
    """The first n last captions of other rows that the row itself does not hold."""
    return [
        [other[-1] for j, other in enumerate(rows) if j != i and other[-1] not in own][:n]
        for i, own in enumerate(rows)
    ]


def angle(caption: Sequence[float], image: Sequence[float], c: float) -> float:
    """The exterior angle at the caption for a root at the vertex."""
    a, b = lift(caption, c), lift(image, c)
    k = c * inner(a, b)
    norm = math.sqrt(sum(float(x) ** 2 for x in caption))
    length = norm * math.sqrt(max(float(k * k - 1), 0.0))
    cosine = float(b[0] + k * a[0]) / length if length else 0.0
    return math.acos(min(1 - ULPS, max(ULPS - 1, cosine)))


def half_aperture(caption: Sequence[float], c: float, min_radius: float = 0.1) -> float:
    norm = math.sqrt(sum(float(x) ** 2 for x in caption))
    return math.asin(min(1 - ULPS, 2 * min_radius / (norm * math.sqrt(c) + ULPS)))


def entailment_score(angle: float) -> float:
    return max(0.0, 1 - 2 * angle / math.pi)


def ties(scores: Sequence[float]) -> tuple[int, float, float]:
    """Distinct scores, the share of the most frequent one, the share of zeros."""
    counts = Counter(scores)
    return len(counts), max(counts.values()) / len(scores), counts[0.0] / len(scores)
