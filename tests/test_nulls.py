"""Nulls: dealing out, comparing, and each draw against a score of the dealt-out vectors."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support.made import random_chains, random_space

from hiereval import nulls
from hiereval.estimates import Estimate, bootstrap, metrics_of, ones
from hiereval.geometry import SphereSpace
from hiereval.tasks.entailment import Entailment
from hiereval.tasks.flat_retrieval import FlatRetrieval
from hiereval.tasks.image_entailment import ImageEntailment
from hiereval.tasks.interpolation import Interpolation
from hiereval.tasks.ordering import Ordering
from hiereval.tasks.retrieval import Retrieval
from hiereval.types import Chains, Metric, Null, NullKind, Scores, Task

QUALITY = Metric("m", "One.", lambda items, w: w.sum(1))


def again(task: Task, space: SphereSpace, data: Chains) -> dict[str, float]:
    """Score the vectors as they were dealt out as if an encoder had given them."""
    scores = task.score(space, data, torch.Generator().manual_seed(0))
    weights = ones(len(scores.ids))
    return {
        metric.name: math.nan
        if metric.name in scores.undefined
        else metric.statistic(scores.items, weights).item()
        for metric in metrics_of(task, scores.items)
        if nulls.is_judged(metric)
    }


def first_tier(data: Chains) -> torch.Tensor:
    assert data.negatives is not None
    rows = [*data.chains.tolist(), *data.negatives.tolist()]
    return torch.tensor(
        [min(row.index(t) for row in rows if t in row) for t in range(len(data.texts))]
    )


CASES = [
    (Ordering(), "free"),
    (Ordering(), "within-length"),
    (Entailment(), "free"),
    (Entailment(), "within-length"),
    (Entailment(negatives="documented"), "within-tier"),
    (ImageEntailment(negatives=2), "images"),
    (Retrieval(steps=5), "images"),
    (Interpolation(steps=5), "images"),
    (FlatRetrieval(), "images"),
]


# on a grid radii and similarities tie; equal angles of different points tie but for rounding
TIED = [case for case in CASES if not isinstance(case[0], Entailment | ImageEntailment)]


@pytest.mark.parametrize(
    ("task", "kind", "grid"),
    [(*case, False) for case in CASES] + [(*case, True) for case in TIED],
    ids=lambda x: str(getattr(x, "name", x)),
)
def test_a_draw_is_the_score_of_what_was_dealt_out(task: Task, kind: NullKind, grid: bool) -> None:
    data = random_chains(3, c=15)
    space = random_space(3, data, dim=3, grid=grid)
    assert space.image is not None
    scores = task.score(space, data, torch.Generator().manual_seed(0))
    drawn = scores.nulls[kind].draw(6, torch.Generator().manual_seed(1))
    groups = {
        "free": torch.zeros(len(data.texts), dtype=torch.int64),
        "within-length": nulls.word_counts(data.texts),
        "within-tier": first_tier(data),
        "images": torch.zeros(len(data.images), dtype=torch.int64),
    }[kind]
    for row, deal in enumerate(nulls.deal(groups, 6, torch.Generator().manual_seed(1))):
        text = space.text if kind == "images" else space.text[deal]
        # a chain keeps its place: image i's predictions meet the truth of image deal[i]
        image = space.image[deal.argsort()] if kind == "images" else space.image
        if isinstance(task, ImageEntailment | FlatRetrieval):
            image = space.image[deal]
        expected = again(task, SphereSpace(text, image, space.root), data)
        assert set(drawn) == set(expected)
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
