"""The Lorentz model point by point in 50 digits, from the definitions (Desai et al., ICML 2023).

Points are (time, space...) on <x, x> = -1/c with <x, y> = x.y - x_t y_t. Angles come from tangent
vectors, not from a law of cosines; distances from acosh.
"""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
from mpmath import mpf

mpmath.mp.dps = 50
Point = list[mpf]


def lift(space: Sequence[float], c: float) -> Point:
    """d space components -> d + 1 with the time in front."""
    parts = [mpf(float(v)) for v in space]
    return [mpmath.sqrt(1 / mpf(c) + sum(v * v for v in parts)), *parts]


def inner(x: Point, y: Point) -> mpf:
    return sum(a * b for a, b in zip(x[1:], y[1:], strict=True)) - x[0] * y[0]


def distance(x: Sequence[float], y: Sequence[float], c: float) -> float:
    cosh = max(mpf(1), -mpf(c) * inner(lift(x, c), lift(y, c)))
    return float(mpmath.acosh(cosh) / mpmath.sqrt(c))


def tangent(at: Point, to: Point, c: float) -> Point:
    """Return the unit tangent at a point in the direction of another."""
    along = mpf(c) * inner(at, to)
    vector = [b + along * a for a, b in zip(at, to, strict=True)]
    length = mpmath.sqrt(inner(vector, vector))
    return [v / length for v in vector]


def exterior_angle(
    root: Sequence[float], a: Sequence[float], b: Sequence[float], c: float
) -> float:
    """Return the angle at a between the continued ray root -> a and the ray a -> b."""
    r, x, y = lift(root, c), lift(a, c), lift(b, c)
    cosine = -inner(tangent(x, r, c), tangent(x, y, c))
    return float(mpmath.acos(min(mpf(1), max(mpf(-1), cosine))))


def vertex_angle(a: Sequence[float], b: Sequence[float], c: float) -> float:
    """Return the exterior angle at a for a root at the vertex, by MERU's formula (equation 8)."""
    x, y = lift(a, c), lift(b, c)
    k = mpf(c) * inner(x, y)
    length = mpmath.sqrt(sum(v * v for v in x[1:]))
    return float(mpmath.acos((y[0] + x[0] * k) / (length * mpmath.sqrt(k * k - 1))))


def exponential_map(v: Sequence[float], c: float) -> list[float]:
    """Return where the geodesic from the vertex with velocity v arrives at time 1 (space part)."""
    parts = [mpf(float(value)) for value in v]
    length = mpmath.sqrt(mpf(c) * sum(value * value for value in parts))
    return [float(mpmath.sinh(length) / length * value) if length else 0.0 for value in parts]
