"""Ranks: by hand, against a slow re-implementation, and how often equal models are told apart."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest

from hiereval.ties import Rank, of_draws, of_intervals

DRAWS = 400


def slow(values: list[float], draws: list[list[float]], level: float) -> list[tuple[int, int]]:
    """One pair and one draw at a time, from the definition."""
    m = len(values)
    pairs = list(itertools.combinations(range(m), 2))
    apart = {(j, k): [row[j] - row[k] for row in draws] for j, k in pairs}
    error = {pair: statistics.stdev(differences) for pair, differences in apart.items()}
    largest = sorted(
        max(abs(apart[p][i] - statistics.fmean(apart[p])) / error[p] for p in pairs)
        for i in range(len(draws))
    )
    bar = largest[math.ceil(level * (len(draws) - 1))]
    found = []
    for j in range(m):
        above = below = 0
        for k in range(m):
            if k != j:
                t = (values[k] - values[j]) / error[min(j, k), max(j, k)]
                above += t > bar
                below += -t > bar
        found.append((1 + above, m - below))
    return found


def resampled(items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means [b, m] of items [n, m] over the same resamples for all models."""
    n = len(items)
    return rng.multinomial(n, [1 / n] * n, size=DRAWS) @ items / n


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_equals_a_slow_re_implementation(level: float) -> None:
    rng = np.random.default_rng(1)
    items = rng.normal(size=(50, 1)) + 0.5 * rng.normal(size=(50, 6))
    items += np.linspace(0, 0.8, 6)
    draws = resampled(items, rng)
    found = of_draws(items.mean(0), draws, level)
    assert [(r.best, r.worst) for r in found] == slow(items.mean(0).tolist(), draws.tolist(), level)
    assert len({r.best for r in found}) > 2


def test_what_items_share_cancels() -> None:
    """Items differ a lot and the models by .1 on each: paired, there is nothing random left."""
    rng = np.random.default_rng(0)
    items = rng.normal(scale=9.0, size=(30, 1)) + np.array([0.0, 0.1, 0.1])
    assert of_draws(items.mean(0), resampled(items, rng)) == [Rank(3, 3), Rank(1, 2), Rank(1, 2)]


def test_a_model_in_between_shares_both_ranks() -> None:
    """B cannot be told from A or C, A is above C: C alone is below someone."""
    found = of_intervals([0.9, 0.85, 0.8], [0.87, 0.82, 0.77], [0.93, 0.88, 0.83])
    assert found == [Rank(1, 2), Rank(1, 3), Rank(2, 3)]


@pytest.mark.parametrize(
    ("values", "half", "ranks"),
    [
        ([0.5, 0.7], 0.1, [Rank(2, 2), Rank(1, 1)]),  # .2 > sqrt(2) .1
        ([0.5, 0.64], 0.1, [Rank(1, 2), Rank(1, 2)]),  # .14 < .1414
        ([0.5], 0.1, [Rank(1, 1)]),
        ([], 0.1, []),
        ([0.5, 0.5, 0.5 + 1e-13], 0.0, [Rank(1, 3)] * 3),  # rounding
    ],
)
def test_intervals_of_two_by_hand(values: list[float], half: float, ranks: list[Rank]) -> None:
    assert of_intervals(values, [v - half for v in values], [v + half for v in values]) == ranks


def test_no_interval_no_separation() -> None:
    assert of_intervals([0.1, 0.9], [None, 0.9], [None, 0.9]) == [Rank(1, 2), Rank(1, 2)]


def test_undefined_draws_are_left_out() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(40, 2)) + np.array([0.0, 9.0])
    draws = resampled(items, rng)
    with_nan = np.concatenate([draws, [[np.nan, 1.0], [1.0, np.inf]]])
    assert of_draws(items.mean(0), with_nan) == of_draws(items.mean(0), draws)
    assert of_draws(items.mean(0), with_nan[-2:]) == [Rank(1, 2), Rank(1, 2)]


def test_equal_models_are_told_apart_in_at_most_5_percent_of_columns() -> None:
    """Eight equal models on 100 items, a shared part and noise: 240 columns, 95 % bound of 5 %."""
    rng = np.random.default_rng(7)
    paired = alone = 0
    for _ in range(240):
        items = rng.normal(size=(100, 1)) + rng.normal(size=(100, 8))
        draws, values = resampled(items, rng), items.mean(0)
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        paired += any(rank.best > 1 for rank in of_draws(values, draws))
        alone += any(rank.best > 1 for rank in of_intervals(list(values), list(low), list(high)))
    assert 1 <= paired <= 18
    assert alone <= 4


def test_unequal_models_are_told_apart() -> None:
    """Half a standard deviation of the items' difference, 100 items: all are separated."""
    rng = np.random.default_rng(3)
    items = rng.normal(size=(100, 1)) + 0.3 * rng.normal(size=(100, 4)) + [0.0, 0.4, 0.8, 1.2]
    found = of_draws(items.mean(0), resampled(items, rng))
    assert found == [Rank(4, 4), Rank(3, 3), Rank(2, 2), Rank(1, 1)]


def slow_of_intervals(
    values: list[float], lows: list[float | None], highs: list[float | None], level: float = 0.95
) -> list[tuple[int, int]]:
    """Every pair by itself, from the definition."""
    m, normal = len(values), statistics.NormalDist()
    tail = (1 - level) / 2
    wider = normal.inv_cdf(1 - tail / max(1, m * (m - 1) // 2)) / normal.inv_cdf(1 - tail)
    up = [math.inf if h is None else h - v for v, h in zip(values, highs, strict=True)]
    down = [math.inf if low is None else v - low for v, low in zip(values, lows, strict=True)]
    above = [
        [values[j] - values[k] > max(wider * math.hypot(down[j], up[k]), 1e-12) for k in range(m)]
        for j in range(m)
    ]
    return [(1 + sum(row[k] for row in above), m - sum(above[k])) for k in range(m)]


@pytest.mark.parametrize("m", [1, 2, 63, 64, 65, 130])
@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_intervals_a_few_at_a_time_are_intervals_one_at_a_time(m: int, gaps: float) -> None:
    rng = np.random.default_rng(m)
    values = np.round(rng.random(m), 2).tolist()
    lows, highs = (
        [None if rng.random() < gaps else v + side * rng.uniform(0, 0.04) for v in values]
        for side in (-1, 1)
    )
    found = of_intervals(values, lows, highs)
    assert [(rank.best, rank.worst) for rank in found] == slow_of_intervals(values, lows, highs)
