"""The one rule of what is a finding: every bar by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats
from support.made_records import judged, metric

from hiereval.findings import Finding, judge, over_seeds, structureless
from hiereval.records import MetricValue


def value(number: float | None, p: float = 0.001, **fields: Any) -> MetricValue:
    return MetricValue.model_validate(judged(number, p, **fields))


def seeds(*numbers: float, half: float = 0.01) -> list[MetricValue]:
    return [MetricValue.model_validate(metric(number, half)) for number in numbers]


FIVE = (0.763, 0.853, 0.839, 0.724, 0.825)  # one tiny CLIP, five random initialisations


def test_beyond_every_bar() -> None:
    found = judge(value(0.98, ceilings={"words": 0.913, "capital": 0.1}), seeds(*FIVE))
    wide = stats.t.ppf(0.975, 4) * 0.0547 * math.sqrt(6 / 5)
    assert f"{wide:.2f}" == "0.17"
    assert found == Finding(
        True,
        "beyond the free null (p 0.001), 5 random-init twins (0.801 ± 0.167) and the blind score "
        "words (0.913), at 95 %",
    )


@pytest.mark.parametrize("n", [1, 2, 30, 1000])
@pytest.mark.parametrize("span", [(0.0, 1.0), (-1.0, 1.0)])
def test_an_interval_without_width_is_as_wide_as_that_of_n_items_alike(
    n: int, span: tuple[float, float]
) -> None:
    """All n items are right. The exact interval of their share, and a blind score as wide beside
    it, decide, not the resamples, of which none has another value."""
    low = stats.binomtest(n, n).proportion_ci(method="exact").low
    half = (span[1] - span[0]) * (1 - low)
    for nudge, passed in ((1e-9, True), (-1e-9, False)):
        blind = 1.0 - math.hypot(half, half) - nudge
        alike = value(1.0, half=0.0, n=n, range=span, ceilings={"words": blind})
        assert judge(alike, seeds(-10.0)).finding is passed  # the twin is far below
    found = judge(value(1.0, half=0.0, n=n, range=(0.0, math.inf)), seeds(0.5))
    assert found.finding is True  # without an end there is nothing to go by


def test_each_bar_that_is_not_passed_is_named() -> None:
    ceilings = {"words": 0.88, "characters": 0.9, "capital": 0.1}
    found = judge(value(0.89, p=0.2, ceilings=ceilings), seeds(*FIVE))
    assert found == Finding(
        False,
        "not beyond the free null (p 0.200), 5 random-init twins (0.801 ± 0.167), the blind score "
        "characters (0.900) or the blind score words (0.880), at 95 %",
        ("null", "twins", "blind"),
    )


@pytest.mark.parametrize(("p", "passed"), [(0.05, True), (0.051, False), (1 / 201, True)])
def test_the_null_is_passed_at_one_minus_the_level(p: float, passed: bool) -> None:
    assert judge(value(0.9, p), seeds(0.5)).finding is passed


@pytest.mark.parametrize(
    ("kinds", "applies"),
    [
        (("free", "within-length", "within-tier"), "within-length"),
        (("images",), "images"),
        (("free", "within-tier"), "free"),
        (("within-tier",), "within-tier"),
    ],
)
def test_the_strictest_null_that_was_drawn_applies(kinds: tuple[str, ...], applies: str) -> None:
    null = judged(0.9)["nulls"]["free"]
    nulls = {kind: {**null, "p": 0.3 if kind == applies else 0.001} for kind in kinds}
    found = judge(value(0.9, nulls=nulls), seeds(0.5))
    assert found.because == f"not beyond the {applies} null (p 0.300), at 95 %"


@pytest.mark.parametrize(
    ("number", "higher", "passed"),
    [
        (0.52, True, True),  # beyond .5 by .02 > hypot(.01, .01) = .0141
        (0.514, True, False),  # its interval leaves .5 out, the difference does not hold
        (0.48, True, False),
        (0.48, False, True),
        (0.486, False, False),
    ],
)
def test_a_blind_score_is_taken_to_be_as_uncertain_as_the_model(
    number: float, higher: bool, passed: bool
) -> None:
    fields = {"higher_is_better": higher, "ceilings": {"words": 0.5}}
    twin = seeds(0.1 if higher else 0.9)
    assert judge(value(number, **fields), twin).finding is passed


def test_one_twin_is_compared_by_both_intervals_and_said_to_be_one() -> None:
    assert judge(value(0.555), seeds(0.5, half=0.05)).finding is True  # .055 > hypot(.01, .05)
    found = judge(value(0.55), seeds(0.5, half=0.05))
    assert found.because == (
        "not beyond one random-init twin (0.500, one seed: the spread is unknown), at 95 %"
    )


def test_twins_are_compared_by_the_prediction_interval_of_one_more_seed() -> None:
    """Mean .5, sd .1, two seeds: t(1) .1 sqrt(3/2); the model's own half interval is .01."""
    low, high = 0.5 - 0.1 / math.sqrt(2), 0.5 + 0.1 / math.sqrt(2)
    bar = 0.5 + math.hypot(0.01, stats.t.ppf(0.975, 1) * 0.1 * math.sqrt(1.5))
    assert judge(value(bar + 1e-6), seeds(low, high)).finding is True
    assert judge(value(bar - 1e-6), seeds(low, high)).finding is False


def test_equal_twins_leave_the_best_of_them_as_the_bar() -> None:
    assert judge(value(0.5101), seeds(0.5, 0.5, 0.5)).finding is True
    assert judge(value(0.5099), seeds(0.5, 0.5, 0.5)).finding is False


@pytest.mark.parametrize(
    ("given", "twins", "because"),
    [
        (value(None), (0.5,), "undefined: all radii are equal"),
        (value(0.9, higher_is_better=None), (0.5,), "descriptive: no value is better than another"),
        (value(0.9, role="descriptive"), (0.5,), "descriptive: no value is better than another"),
        (value(0.9), (), "not known: there is no random-init twin"),
        (value(0.9, nulls={}), (0.5,), "not known: no null was drawn"),
        (value(0.9, nulls={}), (), "not known: no null was drawn and there is no random-init twin"),
        (value(0.9, ci_low=None), (0.5,), "not known: it has no interval"),
    ],
)
def test_what_is_undefined_or_lacks_a_bar_is_not_known(
    given: MetricValue, twins: tuple[float, ...], because: str
) -> None:
    found = judge(given, seeds(*twins))
    assert (found.finding, found.because) == (None, because)


def test_a_bar_that_is_not_passed_decides_before_one_that_is_missing() -> None:
    found = judge(value(0.9, p=0.5))
    assert (found.finding, found.failed, found.missing) == (False, ("null",), ("twins",))


def test_a_trained_probe_is_judged_by_its_weakest_seed() -> None:
    yes, no, open_ = Finding(True, "a"), Finding(False, "b"), Finding(None, "c")
    assert over_seeds([yes, yes]) == yes
    assert over_seeds([yes, open_]) == open_
    assert over_seeds([open_, no, yes]) == no


def test_the_structureless_spread_is_of_the_free_null_or_of_the_images() -> None:
    null = judged(0.9)["nulls"]["free"]
    kinds = {"within-length": 0.01, "images": 0.02, "free": 0.03}
    nulls = {kind: {**null, "sd": sd} for kind, sd in kinds.items()}
    both = structureless(value(0.9, nulls=nulls))
    assert both is not None
    assert both.sd == 0.03
    del nulls["free"]
    images = structureless(value(0.9, nulls=nulls))
    assert images is not None
    assert images.sd == 0.02
    assert structureless(value(0.9, nulls={})) is None
