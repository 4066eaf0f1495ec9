"""Weighted rank statistics equal the plain ones on the list that repeats each item."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ranks as oracle
from support.made import drawn, repeated

from hiereval import ranks
from hiereval.ranks import Ranking, auroc, average_precision, kendall

SCORE = st.one_of(st.integers(-2, 2).map(float), st.floats(-1, 1), st.just(math.nan))
ITEM = st.tuples(st.lists(SCORE, min_size=2, max_size=2), st.lists(SCORE, min_size=3, max_size=3))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(items=st.lists(ITEM, min_size=1, max_size=7), seed=st.integers(0, 99))
def test_auroc_and_average_precision(
    items: list[tuple[list[float], list[float]]], seed: int
) -> None:
    ranking = Ranking.of(torch.tensor([p for p, _ in items]), torch.tensor([q for _, q in items]))
    ranks_of_float32 = torch.tensor([p for p, _ in items]), torch.tensor([q for _, q in items])
    weights = drawn(len(items), seed)
    for b, row in enumerate(weights):
        positive, negative = (
            [x for i in repeated(row) for x in side[i].tolist() if not math.isnan(x)]
            for side in ranks_of_float32
        )
        assert auroc(ranking, weights)[b].item() == pytest.approx(
            oracle.auroc(positive, negative), abs=1e-9, nan_ok=True
        )
        assert average_precision(ranking, weights)[b].item() == pytest.approx(
            oracle.average_precision(positive, negative), abs=1e-9, nan_ok=True
        )


@pytest.mark.parametrize("thresholds", [1, 3, 128])
def test_blocks_of_thresholds_and_resamples_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, thresholds: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    positive = torch.randint(9, (40, 3), generator=generator).double()
    negative = torch.randint(8, (40, 5), generator=generator).double()
    ranking = Ranking.of(positive, negative)
    weights = drawn(40)
    expected = auroc(ranking, weights), average_precision(ranking, weights)
    monkeypatch.setattr(ranks, "THRESHOLDS", thresholds)
    monkeypatch.setattr(ranks, "RESAMPLES", 2)
    assert torch.equal(auroc(ranking, weights), expected[0])
    assert torch.allclose(average_precision(ranking, weights), expected[1], rtol=0, atol=1e-15)


def test_strata_count_by_their_pairs() -> None:
    first = Ranking.of(torch.tensor([2.0, math.nan]), torch.tensor([1.0, 3.0]))  # 1 of 2 right
    second = Ranking.of(torch.tensor([1.0, 1.0]), torch.tensor([0.0, math.nan]))  # 2 of 2
    empty = Ranking.of(torch.tensor([math.nan, math.nan]), torch.tensor([0.0, 0.0]))
    assert auroc([first, second, empty], torch.ones(1, 2).double()).item() == 0.75


def test_no_pairs_is_undefined() -> None:
    nothing = torch.tensor([math.nan])
    for ranking in (
        Ranking.of(nothing, torch.tensor([1.0])),
        Ranking.of(torch.tensor([1.0]), nothing),
        Ranking.of(nothing, nothing),
    ):
        assert auroc(ranking, torch.ones(1, 1).double()).isnan().all()
        assert average_precision(ranking, torch.ones(1, 1).double()).isnan().all()


@settings(max_examples=100, derandomize=True, deadline=None)
@given(row=st.lists(st.integers(0, 3).map(float), min_size=2, max_size=6))
def test_kendall(row: list[float]) -> None:
    got = kendall(torch.tensor([row])).item()
    expected = oracle.tau_b(row, [float(i) for i in range(len(row))])
    assert got == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_kendall_of_what_is_not_finite_is_nan() -> None:
    assert kendall(torch.tensor([[1.0, math.nan, 2.0]])).isnan().all()
