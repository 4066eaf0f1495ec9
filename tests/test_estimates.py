"""The bootstrap: values, intervals, seeds, and what is undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hiereval import estimates
from hiereval.estimates import Estimate, bootstrap, interval, metrics_of, ones, resample
from hiereval.item_statistics import F1, Auroc, Mean, MeanOf
from hiereval.tasks.entailment import Entailment
from hiereval.tasks.hyperlex import HyperLex
from hiereval.types import Metric, Scores

N = 60
VALUES = torch.randn(N, 2, generator=torch.Generator().manual_seed(1)).double()
MEAN = Metric("mean", "a mean", Mean("x"))
AUROC = Metric("auroc", "a rank statistic", Auroc("x", "y"))
SCORES = Scores(ids=[str(i) for i in range(N)], items={"x": VALUES, "y": VALUES.flip(0) - 0.3})


def test_value_is_the_statistic_of_the_sample() -> None:
    found = bootstrap([MEAN, AUROC], SCORES, seed=0, resamples=20)
    assert found["mean"].value == pytest.approx(VALUES.mean().item(), abs=1e-12)
    assert found["mean"].n == N


def test_interval_is_that_of_resampled_lists() -> None:
    weights = torch.cat(list(resample(N, 300, seed=7)))
    means = [np.repeat(VALUES.numpy(), w.int().numpy(), axis=0).mean() for w in weights]
    found = bootstrap([MEAN], SCORES, seed=7, resamples=300, level=0.9)["mean"]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])))


def test_interval_of_a_mean_is_about_two_standard_errors() -> None:
    found = bootstrap([Metric("m", "", Mean("x", 0))], SCORES, seed=0, resamples=2000)["m"]
    error = VALUES[:, 0].std().item() / math.sqrt(N)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_same_seed_same_interval_other_seed_other_interval() -> None:
    first, again, other = (
        bootstrap([AUROC], SCORES, seed=seed, resamples=50)["auroc"] for seed in (3, 3, 4)
    )
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_chunks_do_not_change_how_many_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "CHUNK", 7 * N)
    weights = list(resample(N, 20, seed=0))
    assert [len(w) for w in weights] == [7, 7, 6]
    assert torch.cat(weights).sum(1).tolist() == [float(N)] * 20


def test_draws_are_multinomial() -> None:
    weights = torch.cat(list(resample(5, 20_000, seed=0)))
    assert weights.mean(0).tolist() == pytest.approx([1.0] * 5, abs=0.03)
    assert weights.var(0).tolist() == pytest.approx([0.8] * 5, abs=0.03)  # n p (1 - p)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(order=st.permutations(range(8)))
def test_order_of_items_does_not_change_values(order: list[int]) -> None:
    items = {key: value[:8] for key, value in SCORES.items.items()}
    moved = {key: value[order] for key, value in items.items()}
    for metric in (MEAN, AUROC):
        got = metric.statistic(moved, ones(8)).item()
        assert got == pytest.approx(metric.statistic(items, ones(8)).item(), abs=1e-12)


def test_undefined_items_are_left_out_and_not_counted() -> None:
    x = torch.tensor([[1.0, math.nan], [math.nan, math.nan], [0.0, 1.0]])
    found = bootstrap([MEAN], Scores(ids="abc", items={"x": x}), seed=0, resamples=9)["mean"]
    assert (found.value, found.n) == (pytest.approx(2 / 3), 2)


def test_undefined_is_none_with_a_reason() -> None:
    nothing = {"x": torch.full((3,), math.nan)}
    default, named, empty = (
        bootstrap([MEAN], scores, seed=0, resamples=5)["mean"]
        for scores in (
            Scores(ids="abc", items=nothing),
            Scores(ids="abc", items=nothing, undefined={"mean": "it was not measured"}),
            Scores(ids="", items={}),
        )
    )
    assert default == Estimate(None, None, None, 0, "it is undefined for every item")
    assert named == Estimate(None, None, None, 0, "it was not measured")
    assert empty == Estimate(None, None, None, 0, "there are no items")


def test_undefined_replicates_are_left_out() -> None:
    x, y = torch.tensor([1.0, math.nan]), torch.tensor([math.nan, 0.0])
    scores = Scores(ids="ab", items={"x": x, "y": y})
    left_out = "18 of 50 resamples leave it undefined, and are left out of the interval"
    undefined = sum(int((weights == 0).any(1).sum()) for weights in resample(2, 50, 0))
    assert undefined == 18
    expected = Estimate(1.0, 1.0, 1.0, 2, caution=left_out)
    assert bootstrap([AUROC], scores, seed=0, resamples=50)["auroc"] == expected
    assert interval(torch.full((3,), torch.nan, dtype=torch.float64), 0.95) == (None, None)


def test_the_items_may_decide_the_metrics() -> None:
    items = {"positive": torch.rand(3, 2), "negative": torch.rand(3, 6)}
    by_name = {metric.name: metric.chance for metric in metrics_of(Entailment(), items)}
    assert by_name["average_precision"] == 0.25
    assert metrics_of(HyperLex(), {}) == HyperLex.metrics


def test_a_plain_function_is_a_statistic() -> None:
    metric = Metric("total", "", lambda items, weights: weights @ items["x"])
    scores = Scores(ids="ab", items={"x": torch.tensor([1.0, 2.0]).double()})
    found = bootstrap([metric], scores, seed=0, resamples=5)["total"]
    assert (found.value, found.n) == (3.0, 2)


@pytest.mark.parametrize(
    ("precision", "recall", "f1"), [(0.5, 1.0, 2 / 3), (0.0, 0.0, 0.0), (1.0, math.nan, math.nan)]
)
def test_f1(precision: float, recall: float, f1: float) -> None:
    items = {"p": torch.tensor([precision]), "r": torch.tensor([recall])}
    got = F1(Mean("p"), Mean("r"))(items, ones(1)).item()
    assert got == pytest.approx(f1, abs=1e-9, nan_ok=True)


def test_mean_of_statistics_needs_all_of_them() -> None:
    items = {"x": torch.tensor([[1.0, math.nan]]), "y": torch.tensor([[3.0, 5.0]])}
    assert MeanOf((Mean("x"), Mean("y")))(items, ones(1)).item() == 2.5
    assert MeanOf((Mean("x"), Mean("x", 1)))(items, ones(1)).isnan().all()


def test_few_pairs_in_the_strata_are_a_caution() -> None:
    items = {
        "x": torch.arange(40.0), "y": torch.arange(40.0) + 0.5,
        "a": torch.arange(40) % 2, "b": torch.arange(40) % 2,
    }  # fmt: skip
    stratified = Auroc("x", "y", ("a", "b"))
    assert stratified.pairs(items) == 2 * 20 * 20
    assert MeanOf((stratified, Mean("x"))).pairs(items) == 800
    found = bootstrap([Metric("m", "", stratified)], Scores(range(40), items), seed=0, resamples=9)
    assert found["m"].caution == (
        "it compares 800 pairs: below 1,000 an interval holds less than it says"
    )
    assert Auroc("x", "y").pairs(items) is None
    plain = bootstrap([Metric("m", "", Auroc("x", "y"))], Scores(range(40), items), seed=0)
    assert plain["m"].caution is None
