"""The paired bootstrap: by hand, against NumPy, and calibrated under the null hypothesis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from support import made_records, sampled

from hiereval import registry, samples
from hiereval.compare import compare, holm, p_value, replicates
from hiereval.estimates import resample
from hiereval.item_statistics import Mean
from hiereval.samples import Samples
from hiereval.types import Metric, Scores


@pytest.fixture(autouse=True)
def _coin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered, ("tasks", "coin"), sampled.Coin)


def side(folder: Path, scores: Scores, model: str = "a", **changes: object) -> Samples:
    return samples.read(sampled.write(folder, scores, model, **changes))[0]


def test_holm_by_hand() -> None:
    # sorted 0.01 0.03 0.04: times 3, 2, 1 is 0.03 0.06 0.04, which may not fall: 0.03 0.06 0.06
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06], abs=1e-12)
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("replicates", "p"),
    [
        ([-1.0, 1.0, 2.0, 3.0], 2 * (1 + 1) / (1 + 4)),
        ([1.0, 2.0, 3.0, 4.0], 2 * (1 + 0) / (1 + 4)),
        ([-1.0, -2.0, -3.0, 0.0], 2 * (1 + 1) / (1 + 4)),
        ([0.0, 0.0], 1.0),
        ([1e-17, -1e-17, 1e-17], 1.0),  # rounding is no difference
        ([1.0, math.nan, math.inf], 2 * 1 / (1 + 1)),
    ],
)
def test_p_value_by_hand(replicates: list[float], p: float) -> None:
    assert p_value(torch.tensor(replicates, dtype=torch.float64), 60) == pytest.approx(p, abs=1e-12)


def test_a_model_against_itself_differs_by_nothing(tmp_path: Path) -> None:
    one = side(tmp_path, sampled.coin([1.0, 0.0, 1.0, 1.0]))
    heads, tails = compare([one], [one], resamples=50).differences
    assert (heads.a, heads.b, heads.difference) == (0.75, 0.75, 0.0)
    assert (heads.low, heads.high, heads.p, heads.p_holm) == (0.0, 0.0, 1.0, 1.0)
    assert (heads.metric, tails.metric, tails.higher_is_better) == ("heads", "tails", False)


def test_pairing_removes_what_items_share(tmp_path: Path) -> None:
    """Items vary a lot, the models differ by 1/8 on each: the paired interval has no width."""
    values = [0.0, 0.5, 0.125, 0.875, 0.25]
    one = side(tmp_path, sampled.coin(values))
    two = side(tmp_path, sampled.coin([v + 0.125 for v in values]), "b")
    heads, tails = compare([one], [two], resamples=99).differences
    assert (heads.difference, heads.low, heads.high) == pytest.approx((0.125,) * 3, abs=1e-12)
    assert heads.p == pytest.approx(2 ** (1 - 5), abs=1e-12)  # of 99 resamples alone 2 / 100
    assert heads.p_holm == pytest.approx(2 / 16, abs=1e-12)
    assert tails.difference == pytest.approx(-0.125, abs=1e-12)


def test_equals_numpy_on_the_same_draws(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40))
    one = side(tmp_path, sampled.coin(x.tolist()))
    two = side(tmp_path, sampled.coin(y.tolist()), "b")
    found = compare([one], [two], seed=5, resamples=300, level=0.9).differences[0]
    weights = next(iter(resample(40, 300, 5))).numpy()
    drawn = (weights * (y - x)).sum(axis=1) / 40
    assert found.difference == pytest.approx(y.mean() - x.mean(), abs=1e-9)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=1e-9)
    assert found.p == pytest.approx(
        min(1.0, 2 * (1 + min((drawn <= 0).sum(), (drawn >= 0).sum())) / 301), abs=1e-12
    )
    back = compare([two], [one], seed=5, resamples=300, level=0.9).differences[0]
    assert (back.difference, back.low) == pytest.approx((-found.difference, -found.high), abs=1e-9)


def test_rank_statistics_are_compared_too(tmp_path: Path) -> None:
    """Spearman of HyperLex: model b follows the ratings, model a inverts them."""
    rating = torch.arange(12, dtype=torch.float64)
    nouns = torch.arange(12) < 9

    def scores(sign: float) -> Scores:
        items = {"angle": sign * rating, "radius": sign * rating, "rating": rating,
                 "nouns": nouns, "verbs": ~nouns}  # fmt: skip
        return Scores([f"pair {i}" for i in range(12)], items)

    one = side(tmp_path, scores(-1.0), task="hyperlex")
    two = side(tmp_path, scores(1.0), "b", task="hyperlex")
    found = {d.metric: d for d in compare([one], [two], resamples=200).differences}
    every = found["spearman_radius_all"]
    assert (every.a, every.b, every.difference) == pytest.approx((-1.0, 1.0, 2.0), abs=1e-12)
    assert (every.low, every.high) == pytest.approx((2.0, 2.0), abs=1e-12)
    assert len(found) == 6


def test_p_values_are_calibrated_under_the_null(tmp_path: Path) -> None:
    """Two coins of the same bias: about 5 % of 200 comparisons fall below 0.05."""
    generator = torch.Generator().manual_seed(0)
    below = 0
    for _ in range(200):
        x, y = torch.rand(2, 60, generator=generator, dtype=torch.float64)
        weights = next(iter(resample(60, 400, seed=1)))
        below += p_value(weights @ (y - x) / 60, 60) < 0.05
    assert 3 <= below <= 20


@pytest.mark.parametrize("items", [1, 2, 3, 4, 5, 6])
def test_few_items_show_no_more_than_exchanging_the_models_could(items: int) -> None:
    """Of all 2^n ways of giving each item's two values to the models, the share at least as far
    apart as what was seen (Fisher's exact test) is never above the bound: no p is below it."""
    generator = torch.Generator().manual_seed(items)
    weights = next(iter(resample(items, 400, seed=1)))
    below = 0
    for _ in range(100):
        apart = torch.randn(items, generator=generator, dtype=torch.float64)
        signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * items).view(-1, items).double()
        sums = (signs * apart.abs()).sum(1).abs()
        least = float((sums >= sums.max() - 1e-12).double().mean())
        p = p_value(weights @ apart / items, items)
        assert least == 2 ** (1 - items)
        assert p >= least
        below += p < 0.05
    assert below == 0 if items <= 5 else below > 0


# --- families, harm, spread ----------------------------------------------------------------------


@dataclass(frozen=True)
class Kept(sampled.Coin):
    """Heads is the headline, tails is to be retained, halves are neither."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("heads", "share of heads", Mean("heads"), role="headline"),
        Metric("tails", "share of tails", Mean("tails"), role="retention"),
        Metric("halves", "heads again", Mean("heads")),
        Metric("drawn", "heads again", Mean("heads"), higher_is_better=None, role="descriptive"),
    )


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered, ("tasks", "coin"), Kept)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ("headline", ["heads", "tails"]),
        ("all", ["heads", "tails", "halves", "drawn"]),
        ("ha*, drawn", ["halves", "drawn"]),
    ],
)
def test_metrics_are_chosen_by_role_or_name(tmp_path: Path, metrics: str, names: list[str]) -> None:
    one, two = (side(tmp_path, sampled.coin([v, 0.5]), str(v)) for v in (0.0, 1.0))
    found = compare([one], [two], resamples=9, metrics=metrics).differences
    assert [d.metric for d in found] == names


@pytest.mark.usefixtures("kept")
def test_only_what_can_be_better_is_corrected_for(tmp_path: Path) -> None:
    one, two = (side(tmp_path, sampled.coin([v] * 8), str(v)) for v in (0.0, 1.0))
    found = {d.metric: d for d in compare([one], [two], resamples=99, metrics="all").differences}
    assert {name: d.p_holm for name, d in found.items()} == {
        "heads": pytest.approx(0.04), "tails": None, "halves": pytest.approx(0.04), "drawn": None
    }  # fmt: skip
    assert {name: d.harm for name, d in found.items()} == {
        "heads": False, "tails": True, "halves": False, "drawn": False
    }  # fmt: skip
    assert found["tails"].p == pytest.approx(0.02)
    assert [d.metric for d in found.values() if d.clear(0.95)] == ["heads", "halves"]


def test_holm_equals_the_stepwise_procedure() -> None:
    """Reject while the smallest of the remaining p is at most alpha over how many remain."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.uniform(0, 0.2, size=6).tolist()
        adjusted = holm(p)
        for alpha in (0.01, 0.05, 0.2):
            rejected: set[int] = set()
            for step, i in enumerate(sorted(range(6), key=lambda i: p[i])):
                if p[i] > alpha / (6 - step):
                    break
                rejected.add(i)
            assert {i for i in range(6) if adjusted[i] <= alpha} == rejected


def test_a_difference_within_the_structureless_spread_is_not_clear(tmp_path: Path) -> None:
    """Nulls of sd .03 and .04: sd .05 of the difference, 95 % of differences below .098."""

    def one(model: str, heads: float, sd: float | None) -> Samples:
        null = {"mean": 0.5, "sd": sd, "low": 0.4, "high": 0.6, "p": 0.5, "draws": 99}
        nulls = {} if sd is None else {"free": null}
        return side(tmp_path, sampled.coin([heads] * 9), model,
                    metrics={"heads": made_records.metric(heads, nulls=nulls)})  # fmt: skip

    a = one("a", 0.0, 0.03)
    for heads, clear in ((0.097, False), (0.099, True)):
        (found, _) = compare([a], [one("b", heads, 0.04)], resamples=999).differences
        assert found.spread == pytest.approx(1.959964 * 0.05, abs=1e-6)
        assert (found.below_spread, found.clear(0.95)) == (not clear, clear)
    (found, _) = compare([a], [one("c", 0.001, None)], resamples=999).differences
    assert found.spread == pytest.approx(1.959964 * 0.03 * 2**0.5, abs=1e-6)  # as wide as a's
    assert (found.below_spread, found.clear(0.95)) == (True, False)
    (found, _) = compare([one("d", 0.0, None)], [one("e", 0.1, None)], resamples=999).differences
    assert (found.spread, found.below_spread, found.clear(0.95)) == (None, False, True)


def test_probes_are_compared_across_one_model(tmp_path: Path) -> None:
    def fit(heads: float, seed: int | None, shuffled: bool = False) -> Samples:
        probe: dict[str, object] = {"name": "empty-root", "parameters": {}}
        if seed is not None:
            trained = made_records.make_trained(heads, seed, shuffled=shuffled).probe
            probe = trained.model_dump()
        return side(tmp_path, sampled.coin([heads]), probe=probe,
                    record_id=f"{seed} {shuffled}")  # fmt: skip

    every = [fit(0.25, None), *(fit(0.5 + s / 8, s) for s in (0, 1)),
             *(fit(0.125 * s, s, shuffled=True) for s in (1, 0))]  # fmt: skip

    def differences(a: str, b: str) -> list[float | None]:
        found = compare(every, every, resamples=9, probes=(a, b), metrics="heads")
        return [d.difference for d in found.differences]

    assert differences("empty-root", "radial-linear") == [0.25, 0.375]
    assert differences("radial-linear:shuffled", "radial-linear") == [0.5, 0.5]  # seed by seed


def test_replicates_of_means_equal_the_statistics(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sides = [side(tmp_path, sampled.coin(rng.random(30).tolist()), str(i)) for i in range(3)]
    drawn = replicates(sides, sampled.Coin.metrics, seed=4, resamples=50)
    (weights,) = resample(30, 50, 4)
    for metric in sampled.Coin.metrics:
        for i, one in enumerate(sides):
            torch.testing.assert_close(
                drawn[metric.name][:, i], metric.statistic(one.scores.items, weights),
                rtol=0, atol=1e-12,
            )  # fmt: skip


# --- what is not shared --------------------------------------------------------------------------


def test_only_shared_items_are_compared_and_counted(tmp_path: Path) -> None:
    one = side(tmp_path, sampled.coin([1.0, 0.0, 1.0], ["x", "y", "z"]))
    two = side(tmp_path, sampled.coin([0.0, 1.0], ["z", "x"]), "b")
    found = compare([one], [two], resamples=20)
    assert found.notes == ["coin on flips:test: compared on the 2 shared items of 3 (A) and 2 (B)."]
    assert (found.differences[0].a, found.differences[0].b) == (1.0, 0.5)
    assert found.differences[0].n == 2


def test_items_of_one_name_pair_up_in_order(tmp_path: Path) -> None:
    one = side(tmp_path, sampled.coin([1.0, 0.0], ["x", "x"]))
    two = side(tmp_path, sampled.coin([1.0, 0.0], ["x", "x"]), "b")
    found = compare([one], [two], resamples=20).differences[0]
    assert (found.n, found.difference, found.high) == (2, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"dataset__sha256": "0" * 64}, "coin on flips:test: not compared, the two sides saw "
         "different data."),
        ({"ids": ["other"]}, "coin on flips:test: not compared, the two sides share no item."),
        ({"probe__name": "mean-root"}, None),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_noted(
    tmp_path: Path, changes: dict[str, object], note: str | None
) -> None:
    one = side(tmp_path, sampled.coin([1.0], ["x"]))
    ids = changes.pop("ids", ["x"])
    two = side(tmp_path, sampled.coin([0.0], ids), "b", **changes)  # type: ignore[arg-type]
    found = compare([one], [two], resamples=20)
    assert found.notes == ([] if note is None else [note])
    assert len(found.differences) == (2 if note is None else 0)


def test_parameters_and_versions_are_never_mixed(tmp_path: Path) -> None:
    one = side(tmp_path, sampled.coin([1.0]))
    two = side(tmp_path, sampled.coin([1.0]), "b", task__parameters={"bias": 0.9})
    assert compare([one], [two]).notes == [
        "coin on flips:test: not compared, B has no samples of it.",
        "coin on flips:test: not compared, A has no samples of it.",
    ]


def test_several_probes_pair_up_by_probe(tmp_path: Path) -> None:
    def probed(model: str, heads: float, probe: str) -> Samples:
        return side(
            tmp_path, sampled.coin([heads]), model, probe__name=probe, record_id=model + probe
        )

    a = [probed("a", 0.0, "empty-root"), probed("a", 0.25, "mean-root")]
    b = [probed("b", 0.75, "mean-root"), probed("b", 1.0, "empty-root")]
    found = [d for d in compare(a, b, resamples=20).differences if d.metric == "heads"]
    assert [(d.probe_a, d.probe_b, d.difference) for d in found] == [
        ("empty-root", "empty-root", 1.0), ("mean-root", "mean-root", 0.5)
    ]  # fmt: skip
    only = compare(a, [probed("b", 1.0, "origin"), probed("b", 1.0, "learned-root")])
    assert only.notes == ["coin on flips:test: not compared, no probe is on both sides."]


def test_undefined_metrics_are_null_with_the_side_and_stay_out_of_the_correction(
    tmp_path: Path,
) -> None:
    one = side(tmp_path, sampled.coin([1.0, 0.0]))
    two = side(tmp_path, sampled.coin([1.0, 0.0], undefined={"heads": "no heads"}), "b")
    heads, tails = compare([one], [two], resamples=20).differences
    assert (heads.b, heads.p, heads.p_holm) == (None, None, None)
    assert heads.undefined_reason == "B: no heads"
    assert tails.p == tails.p_holm == 1.0
    nothing = side(tmp_path, sampled.coin([math.nan, math.nan]), "c")
    assert compare([nothing], [one], resamples=20).differences[0].undefined_reason == (
        "A: it is undefined on the shared items"
    )


def test_a_side_without_any_value_is_null_throughout(tmp_path: Path) -> None:
    """A constant encoder has no items at all; the tiers are then those of the other side."""
    tiers = torch.ones(2, 5, dtype=torch.float64)
    flat = torch.ones(2, dtype=torch.float64)
    names = ["precision", "recall", "predictions", "ordered_recall"]
    items = {**dict.fromkeys(names, flat), "tiers": tiers}
    good = side(tmp_path, Scores(["x", "y"], items), "b", task="generation")
    every = samples.metrics_of(good.identity.task, items)
    bad = Scores(["x", "y"], {}, {metric.name: "constant" for metric in every})
    nothing = side(tmp_path, bad, task="generation")
    found = compare([nothing], [good], resamples=5).differences
    judged = [metric for metric in every if metric.role != "descriptive"]
    assert [d.undefined_reason for d in found] == ["A: constant"] * len(judged)
    assert "recall_tier_5" in [d.metric for d in found]
