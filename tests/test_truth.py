"""Scores of prediction paths, against string-by-string oracles on paths of any kind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import retrieval as oracle
from support.made import chains_of, random_chains

from hiereval.truth import Truth


@settings(max_examples=60, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 5), length=st.integers(1, 9))
def test_agrees_with_the_definitions(seed: int, k: int, length: int) -> None:
    data = random_chains(seed, c=6, k=k, images=3)
    assert data.chain_image is not None
    truth = Truth.of(data)
    rng = np.random.default_rng(seed)
    paths = torch.from_numpy(rng.choice(data.chains.reshape(-1), size=(3, length)))
    found = truth.found(torch.arange(3).repeat_interleave(length), paths.reshape(-1))
    ordered = truth.ordered_recall(paths)
    for i in range(3):
        rows = data.chains[data.chain_image == i]
        chains = [[data.texts[t] for t in row] for row in rows]
        path = [data.texts[t] for t in paths[i]]
        assert found.precision[i].item() == pytest.approx(oracle.precision(path, chains), abs=1e-9)
        assert found.tiers[i].tolist() == oracle.tiers(path, chains)
        assert found.recall[i].item() == pytest.approx(found.tiers[i].mean().item(), abs=1e-9)
        assert found.predictions[i].item() == len(set(path))
        expected = oracle.ordered_recall(path, chains)
        assert ordered[i].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("path", "run"),
    [
        ("", None),
        ("zz", 0),
        ("a", 1),
        ("azbzd", 3),
        ("aabb", 2),
        ("dcba", 1),
        ("abab", 2),
        ("acbd", 2),
        ("bzczdabcd", 4),
    ],
)
def test_runs_by_hand(path: str, run: int | None) -> None:
    truth = Truth.of(chains_of([list("abcd")], images=["1.jpg"]))
    texts = torch.tensor([["abcd".find(x) if x != "z" else 99 for x in path] or [-1]])
    got = truth.ordered_recall(texts).item()
    assert got == pytest.approx(math.nan if run is None else run / 4, nan_ok=True)


def test_images_without_a_chain_or_a_prediction() -> None:
    data = chains_of([["a", "b"], ["c", "d"]], images=["1.jpg", "2.jpg"])
    truth = Truth.of(data)
    assert truth.images.tolist() == [0, 1]
    found = truth.found(torch.tensor([1, 1]), torch.tensor([2, 2]))
    assert found.precision[1].item() == 1.0
    assert found.recall[1].item() == 0.5
    for values in (found.precision, found.recall, found.predictions, found.tiers[:, 0]):
        assert values.isnan().tolist() == [True, False]


def test_texts_met_are_those_of_the_whole_paths() -> None:
    data = random_chains(1, c=6, images=3)
    truth = Truth.of(data)
    paths = torch.tensor([[-1, 0, 0, 2, 2, 1], [1, 1, 3, 3, 1, 4], [-1, -1, -1, -1, -1, -1]])
    tiers = truth.tier(paths)
    for i, levels in enumerate(([1, 3, 5], [0, 2, 4, 5], [])):
        expected = [
            (level, paths[i, level].item(), tiers[i, level].item() + 1 or None) for level in levels
        ]
        assert list(truth.met(i, paths[i])) == expected
