"""Weighted Spearman against scipy and a slow oracle on the lists that the weights stand for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.spearman import materialise
from reference.spearman import spearman as slow
from scipy.stats import spearmanr

from hiereval.estimates import ones, resample
from hiereval.spearman import Spearman, spearman

cases = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        *[st.lists(st.sampled_from([-1.5, -1.0, 0.0, 0.25, 2.0, 7.0]), min_size=n, max_size=n)] * 2,
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)


def fast(x: list[float], y: list[float], counts: list[int]) -> float:
    weights = torch.tensor([counts], dtype=torch.float64)
    return spearman(
        torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64), weights
    ).item()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(cases)
def test_equals_the_oracle_on_the_materialised_list(
    case: tuple[list[float], list[float], list[int]],
) -> None:
    x, y, counts = case
    expected = slow(materialise(x, counts), materialise(y, counts)) if sum(counts) else math.nan
    assert fast(x, y, counts) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(cases, st.randoms(use_true_random=False))
def test_order_and_monotone_maps_change_nothing(
    case: tuple[list[float], list[float], list[int]], random: object
) -> None:
    x, y, counts = case
    order = list(range(len(x)))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = fast(
        [math.exp(x[i]) for i in order], [y[i] ** 3 for i in order], [counts[i] for i in order]
    )
    assert moved == pytest.approx(fast(x, y, counts), abs=0.0, nan_ok=True)


def test_equals_scipy_on_bootstrap_resamples() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200).round(1)  # ties
    y = (x + rng.normal(size=200)).round(1)
    weights = next(iter(resample(200, 50, seed=1)))
    found = spearman(torch.from_numpy(x), torch.from_numpy(y), weights)
    for row, rho in zip(weights.long().numpy(), found.tolist(), strict=True):
        assert rho == pytest.approx(
            spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic, abs=1e-9
        )


def test_chunks_agree_with_one_resample_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 30, generator=generator, dtype=torch.float64)
    weights = next(iter(resample(30, 7, seed=0)))
    whole = spearman(x, y, weights)
    monkeypatch.setattr("hiereval.spearman.CHUNK", 60)
    assert torch.equal(spearman(x, y, weights), whole)


def test_statistic_leaves_out_nan_and_other_items() -> None:
    items = {
        "x": torch.tensor([1.0, 2.0, float("nan"), 3.0, 9.0]),
        "y": torch.tensor([2.0, 1.0, 5.0, 3.0, 0.0]),
        "noun": torch.tensor([True, True, True, True, False]),
    }
    # (1, 2), (2, 1), (3, 3): rho = 1 - 6 (1 + 1 + 0) / (3 (9 - 1)) = 1/2
    nouns = Spearman("x", "y", where="noun")
    assert nouns(items, ones(5)).item() == pytest.approx(0.5, abs=1e-12)
    assert nouns.defined(items).tolist() == [True, True, False, True, False]
    # with (9, 0): ranks 1 2 3 4 and 3 2 4 1, d^2 = 4 + 0 + 1 + 9, rho = 1 - 84 / 60 = -0.4
    assert Spearman("x", "y")(items, ones(5)).item() == pytest.approx(-0.4, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "counts"),
    [([1.0, 1.0], [1.0, 2.0], [1, 1]), ([1.0, 2.0], [1.0, 2.0], [3, 0]), ([1.0], [1.0], [1])],
)
def test_undefined_without_two_values(x: list[float], y: list[float], counts: list[int]) -> None:
    assert math.isnan(fast(x, y, counts))


def test_undefined_without_items() -> None:
    empty = {"x": torch.tensor([float("nan")]), "y": torch.tensor([1.0])}
    assert Spearman("x", "y")(empty, ones(1)).isnan().all()
