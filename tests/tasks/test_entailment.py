"""Entailment against angles computed pair by pair, and where angles are undefined."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.angles import angle, share
from reference.ranks import auroc, average_precision
from support.made import chains_of, drawn, random_chains, random_space, repeated

from hiereval.estimates import bootstrap, metrics_of
from hiereval.geometry import SphereSpace
from hiereval.tasks.entailment import Entailment, Negatives
from hiereval.types import Chains, Scores


def score(space: SphereSpace, data: Chains, negatives: Negatives = "both") -> Scores:
    return Entailment(negatives=negatives).score(space, data, torch.Generator())


def oracle(space: SphereSpace, data: Chains, items: list[int], negatives: str) -> dict[str, float]:
    points, root = space.text.numpy(), space.root.numpy()

    def xi(a: int, b: int) -> float:
        return math.nan if a == b else angle(points[a], points[b], root)

    assert data.negatives is not None
    triplets: dict[str, list[tuple[float, float]]] = {"released": [], "documented": []}
    direction, positive, negative = [], [], []
    for i in items:
        p, n = data.chains[i], data.negatives[i]
        for k in range(len(p) - 1):
            forward = xi(p[k], p[k + 1])
            wrong = {"released": xi(p[k], n[k]), "documented": xi(p[k], n[k + 1])}
            for pairing, other in wrong.items():
                triplets[pairing].append((forward, other))
                if negatives in ("both", pairing):
                    negative.append(-other)
            direction.append((forward, xi(p[k + 1], p[k])))
            positive.append(-forward)
    positive = [x for x in positive if not math.isnan(x)]
    negative = [x for x in negative if not math.isnan(x)]
    return {
        "triplet_accuracy_released": share(triplets["released"]),
        "triplet_accuracy_documented": share(triplets["documented"]),
        "direction_accuracy": share(direction),
        "auroc": auroc(positive, negative),
        "average_precision": average_precision(positive, negative),
    }


@settings(max_examples=20, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(2, 5),
    negatives=st.sampled_from(["both", "released", "documented"]),
)
def test_agrees_with_the_definitions(seed: int, k: int, negatives: Negatives) -> None:
    data = random_chains(seed, k=k)
    space = random_space(seed, data)
    scores = score(space, data, negatives)
    for row in drawn(len(data.chains), seed):
        expected = oracle(space, data, repeated(row), negatives)
        for metric in Entailment.metrics:
            got = metric.statistic(scores.items, row[None]).item()
            assert got == pytest.approx(expected[metric.name], abs=1e-9, nan_ok=True), metric.name


def by_hand() -> tuple[Chains, SphereSpace]:
    data = chains_of([["a", "b"], ["c", "c"]], [["x", "y"], ["a", "b"]])
    vectors = {"a": (1.0, 0.0), "b": (2.0, 0.5), "c": (0.0, 0.0), "x": (0.5, 0.0), "y": (1.0, 1.0)}
    text = torch.tensor([vectors[t] for t in data.texts], dtype=torch.float64)
    return data, SphereSpace(text, None, torch.zeros(2, dtype=torch.float64))


def test_undefined_angles_are_left_out() -> None:
    data, space = by_hand()  # the second chain repeats its caption, which stands at the root
    scores = score(space, data)
    found = bootstrap(metrics_of(Entailment(), scores.items), scores, seed=0, resamples=5)
    # Xi(a, b) = atan(1/2); Xi(a, x) = pi; Xi(a, y) = pi / 2; Xi(b, a) > pi / 2
    assert scores.items["positive"][0].tolist() == pytest.approx([-math.atan(0.5)])
    assert scores.items["negative"][0].tolist() == pytest.approx([-math.pi, -math.pi / 2])
    assert scores.items["positive"][1].isnan().all()
    assert {name: (e.value, e.n) for name, e in found.items()} == {
        "triplet_accuracy_released": (1.0, 1),
        "triplet_accuracy_documented": (1.0, 1),
        "auroc": (1.0, 1),
        "average_precision": (1.0, 1),
        "direction_accuracy": (1.0, 1),
    }
    assert scores.details is not None
    assert json.loads(json.dumps(scores.details(1)))["angles"] == [None]


def test_pairing_of_the_ranked_negatives() -> None:
    data, space = by_hand()
    assert score(space, data, "released").items["negative"][0].tolist() == [-math.pi]
    assert score(space, data, "documented").items["negative"].shape == (2, 1)


@pytest.mark.parametrize(("negatives", "share"), [("both", 1 / 3), ("released", 1 / 2)])
def test_chance_of_average_precision_is_the_share_of_positives(
    negatives: Negatives, share: float
) -> None:
    scores = score(by_hand()[1], by_hand()[0], negatives)
    chance = {metric.name: metric.chance for metric in metrics_of(Entailment(), scores.items)}
    assert chance["average_precision"] == share
    assert chance["auroc"] == 0.5


def test_a_constant_encoder_is_undefined() -> None:
    data = random_chains(0)
    text = torch.ones(len(data.texts), 3)
    scores = score(SphereSpace(text, None, torch.zeros(3)), data)
    assert scores.undefined == {
        metric.name: "all texts have the same vector, as a constant encoder's do"
        for metric in Entailment.metrics
    }


def test_no_angle_at_all_is_undefined() -> None:
    data = chains_of([["a", "a"]], [["b", "b"]])
    text = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    scores = score(SphereSpace(text, None, torch.zeros(2)), data)
    assert set(scores.undefined.values()) == {
        "every exterior angle is undefined: captions are equal or stand at the root"
    }
    assert len(scores.undefined) == 5


def test_needs_negatives_and_two_tiers() -> None:
    assert Entailment().unfit(chains_of([["a", "b"]])) == "made has no negative captions"
    assert Entailment().unfit(chains_of([["a"]], [["b"]])) == (
        "made has chains of one caption; entailment needs two"
    )
    assert Entailment().unfit(chains_of([["a", "b"]], [["c", "d"]])) is None
