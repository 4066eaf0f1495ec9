"""Nulls: dealing out, comparing, and each draw against a score of the dealt-out vectors."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support.made import random_chains, random_space

from hiereval import nulls
from hiereval.estimates import Estimate, bootstrap, ones
from hiereval.geometry import SphereSpace
from hiereval.tasks.ordering import Ordering
from hiereval.types import Chains, Metric, Null, Scores, Space, Task

QUALITY = Metric("m", "One.", lambda items, w: w.sum(1))


def again(task: Task, space: Space, data: Chains, dealt: torch.Tensor) -> dict[str, float]:
    """Score the vectors that were dealt out as if an encoder had given them."""
    assert isinstance(space, SphereSpace)
    scores = task.score(
        SphereSpace(space.text[dealt], space.image, space.root), data, torch.Generator()
    )
    weights = ones(len(scores.ids))
    return {
        metric.name: math.nan
        if metric.name in scores.undefined
        else metric.statistic(scores.items, weights).item()
        for metric in scores.metrics or task.metrics
    }


@pytest.mark.parametrize("kind", ["free", "within-length"])
@pytest.mark.parametrize("task", [Ordering()])
@pytest.mark.parametrize("grid", [False, True])
def test_a_draw_is_the_score_of_the_dealt_vectors(task: Task, kind: str, grid: bool) -> None:
    data = random_chains(3, c=15)
    space = random_space(3, data, dim=3, grid=grid)
    scores = task.score(space, data, torch.Generator())
    drawn = scores.nulls[kind].draw(6, torch.Generator().manual_seed(1))  # type: ignore[index]
    lengths = nulls.word_counts(data.texts)
    groups = torch.zeros_like(lengths) if kind == "free" else lengths
    dealt = nulls.deal(groups, 6, torch.Generator().manual_seed(1))
    assert set(drawn) == {metric.name for metric in scores.metrics or task.metrics}
    for row, deal in enumerate(dealt):
        expected = again(task, space, data, deal)
        for name, values in drawn.items():
            assert values[row].item() == pytest.approx(expected[name], abs=1e-9, nan_ok=True), name


def test_blocks_draw_on(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_chains(4)
    null = Ordering().score(random_space(4, data), data, torch.Generator()).nulls["free"]
    whole = null.draw(7, torch.Generator().manual_seed(2))["tau_d"]
    monkeypatch.setattr(nulls, "NUMBERS", 1)  # one draw at a time
    by_one = null.draw(7, torch.Generator().manual_seed(2))["tau_d"]
    assert torch.equal(whole, by_one)


def test_dealing_keeps_groups_and_loses_nothing() -> None:
    groups = torch.tensor([3, 1, 3, 1, 3, 7])
    dealt = nulls.deal(groups, 500, torch.Generator().manual_seed(0))
    assert torch.equal(groups[dealt], groups.expand(500, 6))
    assert torch.equal(dealt.sort(dim=1).values, torch.arange(6).expand(500, 6))
    seen, counts = dealt[:, [0, 2, 4]].unique(dim=0, return_counts=True)
    assert len(seen) == 6
    assert 60 <= int(counts.min()) <= int(counts.max()) <= 110  # of 83 each, +- 3 sd of 8.3
    assert dealt[:, 5].tolist() == [5] * 500


def test_compare_counts_what_is_as_good() -> None:
    drawn = torch.tensor([0.1, 0.2, 0.3, 0.4, math.nan], dtype=torch.float64)
    found = nulls.compare(QUALITY, 0.3, drawn)
    assert found is not None
    assert (found.mean, found.draws, found.p) == (0.25, 4, 3 / 5)
    assert found.sd == pytest.approx(math.sqrt(0.0125))
    assert (found.low, found.high) == pytest.approx((0.1075, 0.3925))
    lower = nulls.compare(replace(QUALITY, higher_is_better=False), 0.1, drawn)
    assert lower is not None
    assert lower.p == 2 / 5
    assert nulls.compare(QUALITY, 0.3, torch.full((3,), math.nan, dtype=torch.float64)) is None


def test_a_difference_by_rounding_is_as_good() -> None:
    drawn = torch.tensor([0.1 + 0.2], dtype=torch.float64) - 1e-16
    found = nulls.compare(QUALITY, 0.1 + 0.2, drawn)
    assert found is not None
    assert found.p == 1.0


def test_descriptive_and_undefined_metrics_have_no_null() -> None:
    def draw(draws: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"m": torch.arange(draws).double()}

    scores = Scores(["a"], {}, nulls={"free": Null(draw)})
    value = Estimate(5.0, 4.0, 6.0, 1)
    found = nulls.evaluate([QUALITY], scores, {"m": value}, seed=0, draws=10)
    assert found["m"]["free"].p == 6 / 11
    null = Estimate(None, None, None, 0, "none")
    assert nulls.evaluate([QUALITY], scores, {"m": null}, seed=0) == {}
    assert not nulls.is_judged(replace(QUALITY, higher_is_better=None))
    assert not nulls.is_judged(replace(QUALITY, role="descriptive"))


def test_bars_hold_nulls_and_ceilings() -> None:
    data = random_chains(5)
    task = Ordering()
    scores = task.score(random_space(5, data), data, torch.Generator())
    values = bootstrap(task.metrics, scores, seed=0, resamples=10)
    found = nulls.bars(task, data, scores, values, seed=0, draws=20)
    assert found["tau_d"].nulls["within-length"].draws == 20
    assert found["length_matched_auroc_1_2"].ceilings["words"] == 0.5
    assert nulls.bars(task, data, scores, values, seed=0, draws=0) == {}
