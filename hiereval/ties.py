"""Ranks that hold: which models of a column can be told apart, and what rank each may have.

Model j is above model k if their difference holds against the largest that chance makes of any
pair of the column (Mogstad, Romano, Shaikh & Wilhelm, Inference for ranks with applications to
mobility and achievement across areas, Review of Economic Studies 91, 2024). So in at most 5 % of
columns of equal models is anyone above anyone, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int

ROUNDING = 1e-12  # a difference within it is none


@dataclass(frozen=True)
class Rank:
    """The ranks that a model may have: 1 + how many are above it, and how many are not below.

    Models that cannot be told apart share `best`, the rank that is shown.
    """

    best: int
    worst: int


def of_draws(
    values: Float[np.ndarray, " m"], draws: Float[np.ndarray, "b m"], level: float = 0.95
) -> list[Rank]:
    """Return each model's rank from resampled scores, of which larger is better.

    A row of `draws` is one resample of the items, the same for all models, so that what items
    share cancels. Rows with a value that is not finite are left out.

    >>> draws = np.array([[0.9, 0.8, 0.1], [0.8, 0.9, 0.2], [0.9, 0.9, 0.1], [0.8, 0.8, 0.2]])
    >>> of_draws(np.array([0.85, 0.85, 0.15]), draws, level=0.5)
    [Rank(best=1, worst=2), Rank(best=1, worst=2), Rank(best=3, worst=3)]
    """
    values = np.asarray(values, np.float64)
    draws = draws[np.isfinite(draws).all(axis=1)]
    if len(draws) < 2:
        return _ranks(np.zeros((len(values), len(values)), bool))
    error = _standard_errors(draws)
    difference = values[:, None] - values[None, :]
    return _ranks(difference > np.maximum(_largest(draws, error, level) * error, ROUNDING))


def of_intervals(
    values: Sequence[float],
    lows: Sequence[float | None],
    highs: Sequence[float | None],
    level: float = 0.95,
) -> list[Rank]:
    """Return each model's rank from intervals of the given level alone; larger is better.

    Conservative: the models count as measured on items of their own, and all pairs are corrected
    for (Bonferroni). A model without an interval is told apart from none.

    >>> of_intervals([0.9, 0.88, 0.5], [0.87, 0.85, 0.47], [0.93, 0.91, 0.53])
    [Rank(best=1, worst=2), Rank(best=1, worst=2), Rank(best=3, worst=3)]
    """
    m = len(values)
    middle = np.array(values, np.float64)
    down = middle - np.array([-np.inf if low is None else low for low in lows], np.float64)
    up = np.array([np.inf if high is None else high for high in highs], np.float64) - middle
    pairs = max(1, m * (m - 1) // 2)
    tail, normal = (1.0 - level) / 2.0, NormalDist()
    wider = normal.inv_cdf(1.0 - tail / pairs) / normal.inv_cdf(1.0 - tail)
    order = np.argsort(-middle, kind="stable")
    found = _from_the_best_down(middle[order], wider * down[order], wider * up[order])
    ranks = np.empty((m, 2), int)
    ranks[order] = found
    return [Rank(best, worst) for best, worst in ranks.tolist()]


def _from_the_best_down(
    middle: Float[np.ndarray, " m"], down: Float[np.ndarray, " m"], up: Float[np.ndarray, " m"]
) -> Int[np.ndarray, "m 2"]:
    """Return best and worst ranks of models in order, the best first.

    A few models at a time are compared with those below them that are near enough for the widths
    to matter; the others are below in any case.

    >>> width = np.array([0.04, 0.04, 0.04])
    >>> _from_the_best_down(np.array([0.9, 0.85, 0.5]), width, width).tolist()
    [[1, 2], [1, 2], [3, 3]]
    """
    m = len(middle)
    best, worst, below = np.ones(m, int), np.full(m, m), np.zeros(m + 1, int)
    widest = max(float(np.hypot(down.max(initial=0), up.max(initial=0))), ROUNDING) * (1 + 1e-9)
    for part in _blocks(m):
        last = middle[part][-1]
        near = slice(part.start, int(np.searchsorted(-middle, widest - last, side="right")))
        bar = np.hypot(down[part, None], up[None, near])  # j's lower half, k's upper half
        above = middle[part, None] - middle[None, near] > np.maximum(bar, ROUNDING)
        best[near] += above.sum(axis=0)
        worst[part] -= above.sum(axis=1) + m - near.stop
        below[near.stop] += len(above)
    return np.stack([best + below.cumsum()[:-1], worst], axis=1)


def _blocks(m: int, size: int = 64) -> list[slice]:
    """Return the rows of an [m, m] comparison, a few at a time, so that they stay in the cache."""
    return [slice(start, start + size) for start in range(0, m, size)]


def _standard_errors(draws: Float[np.ndarray, "b m"]) -> Float[np.ndarray, "m m"]:
    """Return the standard deviation over the draws of every difference, 0 where it is rounding."""
    centred = draws - draws.mean(axis=0)
    covariance = centred.T.astype(np.float64) @ centred.astype(np.float64) / (len(draws) - 1)
    spread = np.diag(covariance)
    scale = spread[:, None] + spread[None, :]
    variance = scale - 2.0 * covariance
    return np.sqrt(np.where(variance > 1e-9 * scale, variance, 0.0))


def _largest(
    draws: Float[np.ndarray, "b m"], error: Float[np.ndarray, "m m"], level: float
) -> float:
    """Return what the largest of all studentised differences stays below in `level` of the draws.

    One model against all later ones at a time, so that memory is m x b.
    """
    centred = np.ascontiguousarray((draws - draws.mean(axis=0)).T, np.float32)  # [m, b]
    largest = np.zeros(centred.shape[1], np.float32)
    weight = np.divide(1.0, error, out=np.zeros_like(error), where=error > 0).astype(np.float32)
    for j in range(len(centred) - 1):
        apart = centred[j + 1 :] - centred[j]
        apart *= weight[j, j + 1 :, None]
        np.abs(apart, out=apart)
        np.maximum(largest, apart.max(axis=0), out=largest)
    return float(np.quantile(largest, level, method="higher"))


def _ranks(above: Bool[np.ndarray, "m m"]) -> list[Rank]:
    """Return ranks from whether j is above k."""
    best = 1 + above.sum(axis=0)
    worst = len(above) - above.sum(axis=1)
    return [Rank(int(b), int(w)) for b, w in zip(best, worst, strict=True)]
