"""Ordering against pair-by-pair oracles, on HierarCaps' controls, and on input without order."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.ranks import auroc, partial, pooled_tau_b, tau_b, wins
from support.at import options
from support.made import chains_of, drawn, random_chains, random_space, repeated

from hiereval.datasets import open_dataset
from hiereval.estimates import bootstrap, metrics_of
from hiereval.geometry import EuclideanSpace, SphereSpace
from hiereval.tasks.ordering import Ordering, metrics
from hiereval.types import Chains, Scores

CONSTANT = "all radii are equal, as a constant encoder's are"


def of_radii(data: Chains, radius: dict[str, float]) -> Scores:
    text = torch.tensor([[radius[text]] for text in data.texts], dtype=torch.float64)
    space = EuclideanSpace(text, None, torch.zeros(1, dtype=torch.float64))
    return Ordering().score(space, data, torch.Generator())


def values(scores: Scores) -> dict[str, float | None]:
    found = bootstrap(metrics_of(Ordering(), scores.items), scores, seed=0, resamples=5)
    return {name: estimate.value for name, estimate in found.items()}


def mean(numbers: list[float]) -> float:
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def styled(data: Chains) -> Chains:
    """Give half of the captions a capital letter, and a third of them a full stop."""
    texts = [
        (text.capitalize() if i % 2 else text) + "." * (i % 3 == 0)
        for i, text in enumerate(data.texts)
    ]
    return replace(data, texts=texts)


def style(text: str) -> tuple[int, bool, bool]:
    return len(text.split()), text[0].isupper(), text[-1] == "."


def oracle(data: Chains, radii: list[float], items: list[int]) -> dict[str, float]:
    """Every metric from its definition, over these chains (repeats count)."""
    k = data.chains.shape[1]
    chains = [[data.texts[t] for t in data.chains[i]] for i in items]
    r = [[radii[t] for t in data.chains[i]] for i in items]
    w = [[float(len(text.split())) for text in chain] for chain in chains]
    tier = [float(j) for j in range(k)]
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    found = {
        "tau_d": mean([t for t in (tau_b(row, tier) for row in r) if not math.isnan(t)]),
        "exact_order": mean([float(all(a < b for a, b in pairwise(x))) for x in r]),
        "adversarial_accuracy": mean(
            [
                float(x[i] < x[j])
                for x, v in zip(r, w, strict=True)
                for i, j in pairs
                if v[j] <= v[i]
            ]
        ),
        "tau_partial": partial(
            pooled_tau_b([(x, tier) for x in r]),
            pooled_tau_b(list(zip(r, w, strict=True))),
            pooled_tau_b([(v, tier) for v in w]),
        ),
    }
    for j in range(k - 1):
        found[f"adjacent_accuracy_{j + 1}_{j + 2}"] = mean([float(x[j] < x[j + 1]) for x in r])
        found[f"length_matched_auroc_{j + 1}_{j + 2}"] = matched(data, chains, r, j, words)
    found["length_matched_auroc"] = mean(
        [found[f"length_matched_auroc_{j}_{j + 1}"] for j in range(1, k)]
    )
    found["style_matched_auroc"] = mean([matched(data, chains, r, j, style) for j in range(k - 1)])
    return found


def words(text: str) -> int:
    return len(text.split())


def matched(
    data: Chains,
    chains: list[list[str]],
    r: list[list[float]],
    j: int,
    of: Callable[[str], object],
) -> float:
    """AUROC of tier j + 1 over tier j among captions of which `of` says the same."""
    low, high = ({data.texts[t] for t in data.chains[:, c]} for c in (j, j + 1))
    cells = list(zip(chains, r, strict=True))
    right = total = 0.0
    for same in {of(c[j + 1]) for c in chains}:
        upper = [x[j + 1] for c, x in cells if of(c[j + 1]) == same and c[j + 1] not in low]
        lower = [x[j] for c, x in cells if of(c[j]) == same and c[j] not in high]
        right, total = right + wins(upper, lower), total + len(upper) * len(lower)
    return right / total if total else math.nan


@settings(max_examples=25, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 5), grid=st.booleans())
def test_agrees_with_the_definitions(seed: int, k: int, grid: bool) -> None:
    data = styled(random_chains(seed, c=40, k=k))
    space = random_space(seed, data, dim=2, grid=grid)
    scores = Ordering().score(space, data, torch.Generator())
    weights = drawn(len(data.chains), seed)
    for row in weights:
        expected = oracle(data, space.radius.tolist(), repeated(row))
        assert expected.keys() == {metric.name for metric in metrics(k)}
        for metric in metrics(k):
            got = metric.statistic(scores.items, row[None]).item()
            assert got == pytest.approx(expected[metric.name], abs=1e-9, nan_ok=True), metric.name


def test_chance_of_exact_order_follows_the_tiers() -> None:
    by_name = {metric.name: metric for metric in metrics(3)}
    assert by_name["exact_order"].chance == 1 / 6
    assert "adjacent_accuracy_3_4" not in by_name
    assert Ordering.metrics[1].chance == 1 / 24


def test_ties_are_no_order() -> None:
    data = chains_of([["a", "b", "c", "d"]])
    found = values(of_radii(data, {"a": 1.0, "b": 1.0, "c": 2.0, "d": 3.0}))
    assert found["tau_d"] == pytest.approx(5 / math.sqrt(5 * 6))
    assert (found["exact_order"], found["adjacent_accuracy_1_2"]) == (0.0, 0.0)
    assert found["adversarial_accuracy"] == 5 / 6  # all have one word


def test_a_chain_of_equal_radii_has_no_tau() -> None:
    data = chains_of([["a", "b"], ["c", "d"]])
    scores = of_radii(data, {"a": 1.0, "b": 1.0, "c": 1.0, "d": 2.0})
    found = bootstrap(metrics_of(Ordering(), scores.items), scores, seed=0, resamples=50)
    assert (found["tau_d"].value, found["tau_d"].n) == (1.0, 1)
    assert (found["exact_order"].value, found["exact_order"].n) == (0.5, 2)


def test_constant_radii_make_everything_undefined() -> None:
    data = random_chains(0)
    found = bootstrap(
        Ordering.metrics, of_radii(data, dict.fromkeys(data.texts, 2.0)), seed=0, resamples=5
    )
    assert found.keys() == {metric.name for metric in Ordering.metrics}
    for estimate in found.values():
        assert (estimate.value, estimate.low, estimate.n) == (None, None, 0)
        assert estimate.undefined_reason == CONSTANT


def test_a_radius_that_is_not_finite_makes_everything_undefined() -> None:
    data = chains_of([["a", "b"], ["c", "d"]])
    scores = of_radii(data, {"a": 1.0, "b": math.nan, "c": 1.0, "d": 2.0})
    assert set(scores.undefined.values()) == {"1 of 4 radii are not finite"}


def test_word_count_leaves_nothing_to_correlate() -> None:
    data = random_chains(1)
    scores = of_radii(data, {text: float(len(text.split())) for text in data.texts})
    assert scores.undefined["tau_partial"] == "the radius or the tier follows word count exactly"


def test_no_matched_lengths_is_undefined() -> None:
    data = chains_of([["a", "b c"], ["d", "e f"]])
    scores = of_radii(data, {"a": 1.0, "b c": 2.0, "d": 1.5, "e f": 3.0})
    assert scores.undefined == {
        "length_matched_auroc": "no captions of adjacent tiers have equal word counts",
        "length_matched_auroc_1_2": "no captions of adjacent tiers have equal word counts",
        "style_matched_auroc": "no captions of adjacent tiers have equal word counts and marks",
        "adversarial_accuracy": "no pair has a more specific caption without more words",
        "tau_partial": "the radius or the tier follows word count exactly",
    }


def test_chains_of_one_caption_do_not_fit() -> None:
    assert Ordering().unfit(chains_of([["a"], ["b"]])) == (
        "made has chains of one caption; an order needs two"
    )


def test_details_of_a_chain() -> None:
    scores = of_radii(chains_of([["a", "b c"]]), {"a": 1.0, "b c": 3.0})
    assert scores.details is not None
    assert json.loads(json.dumps(scores.details(0))) == {
        "captions": ["a", "b c"],
        "radii": [1.0, 3.0],
        "words": [1, 2],
    }


@pytest.mark.data
@pytest.mark.parametrize(
    ("control", "tau", "adversarial"), [("words", 0.9129, 0.0), ("characters", 0.8714, 0.1705)]
)
def test_controls_on_hierarcaps(
    hierarcaps_root: Path, control: str, tau: float, adversarial: float
) -> None:
    data = open_dataset("hierarcaps", options(hierarcaps_root))
    count = {t: float(len(t.split()) if control == "words" else len(t)) for t in data.texts}
    scores = of_radii(data, count)
    found = values(scores)
    assert found["tau_d"] == pytest.approx(tau, abs=5e-5)
    assert found["adversarial_accuracy"] == pytest.approx(adversarial, abs=5e-5)
    assert int(scores.items["adversarial"].isfinite().sum()) == 475
    if control == "words":
        assert [found[name] for name in found if name.startswith("length_matched")] == [0.5] * 4


def test_oracle_of_auroc_by_hand() -> None:
    assert auroc([2.0, 1.0], [1.0, 0.0]) == 3.5 / 4


def test_space_is_read_by_radius_alone() -> None:
    data = chains_of([["a", "b"]])
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    scores = Ordering().score(SphereSpace(text, None, text[0]), data, torch.Generator())
    assert scores.items["tau"].tolist() == [1.0]
