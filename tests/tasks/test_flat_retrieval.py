"""Flat retrieval against sorting each query's candidates."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.retrieval import hit
from support.made import chains_of, drawn, random_chains, random_space, repeated

from hiereval.estimates import bootstrap
from hiereval.geometry import SphereSpace
from hiereval.tasks import flat_retrieval
from hiereval.tasks.flat_retrieval import FlatRetrieval
from hiereval.types import Chains, Scores


def score(space: SphereSpace, data: Chains) -> Scores:
    return FlatRetrieval().score(space, data, torch.Generator())


def oracle(space: SphereSpace, data: Chains) -> list[dict[str, list[float]]]:
    """Per image: hits of the image, and of each of its distinct captions."""
    assert space.image is not None
    assert data.chain_image is not None
    own = [
        list(dict.fromkeys(data.chains[data.chain_image == i, -1].tolist()))
        for i in range(len(data.images))
    ]
    captions = sorted({t for texts in own for t in texts})
    similarity = space.similarity(space.image, space.text[captions])
    found = []
    for i, texts in enumerate(own):
        item = {}
        for k in (1, 5, 10):
            correct = [captions.index(t) for t in texts]
            item[f"image_to_text_r{k}"] = [hit(similarity[i].tolist(), correct, k)]
            item[f"text_to_image_r{k}"] = [
                hit(
                    similarity[:, captions.index(t)].tolist(),
                    [j for j, others in enumerate(own) if t in others],
                    k,
                )
                for t in texts
            ]
        found.append(item)
    return found


@settings(max_examples=30, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), grid=st.booleans(), images=st.integers(2, 14))
def test_agrees_with_the_definitions(seed: int, grid: bool, images: int) -> None:
    data = random_chains(seed, c=14, images=images)
    space = random_space(seed, data, dim=2, grid=grid)
    scores = score(space, data)
    if scores.undefined:
        return
    items = oracle(space, data)
    for row in drawn(len(scores.ids), seed):
        for metric in FlatRetrieval.metrics:
            hits = [x for i in repeated(row) for x in items[i][metric.name] if not math.isnan(x)]
            expected = math.fsum(hits) / len(hits) if hits else math.nan
            got = metric.statistic(scores.items, row[None]).item()
            assert got == pytest.approx(expected, abs=1e-9, nan_ok=True), metric.name


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_chains(4)
    space = random_space(4, data)
    whole = score(space, data).items
    monkeypatch.setattr(flat_retrieval, "CHUNK", 10)
    cut = score(space, data).items
    assert all(torch.allclose(whole[key], cut[key], 0, 0, equal_nan=True) for key in whole)


def test_shared_captions_are_correct_for_each_image() -> None:
    data = chains_of([["t", "x"], ["t", "x"], ["t", "y"]], images=["1.jpg", "2.jpg", "3.jpg"])
    vectors = {"t": (0.0, 0.0), "x": (1.0, 0.0), "y": (0.0, 1.0)}
    text = torch.tensor([vectors[t] for t in data.texts])
    image = torch.tensor([[1.0, 0.1], [0.9, 0.0], [0.0, 1.0]])
    scores = score(SphereSpace(text, image, torch.zeros(2)), data)
    found = bootstrap(FlatRetrieval.metrics, scores, seed=0, resamples=5)
    assert {estimate.value for estimate in found.values()} == {1.0}
    assert scores.details is not None
    assert json.loads(json.dumps(scores.details(1))) == {
        "image_to_text_rank": 1,
        "text_to_image_ranks": {"x": 1},
    }


def test_ties_are_lost_and_a_query_that_tells_nothing_apart_is_undefined() -> None:
    data = chains_of([["x"], ["y"], ["z"]], images=["1.jpg", "2.jpg", "3.jpg"])
    text = torch.tensor(
        [{"x": (1.0, 0.0), "y": (1.0, 0.0), "z": (0.0, 1.0)}[t] for t in data.texts]
    )
    image = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    items = score(SphereSpace(text, image, torch.zeros(2)), data).items
    hits = items["image_to_text"][:, 0].tolist()
    assert hits[0] == 0.0  # x and y are equally near
    assert math.isnan(hits[1])  # all captions are
    assert hits[2] == 1.0


def test_undefined_with_its_reason() -> None:
    data = random_chains(0)
    space = random_space(0, data)
    same = score(SphereSpace(space.text * 0 + 1, space.image, space.root), data)
    assert set(same.undefined.values()) == {
        "all texts have the same vector, as a constant encoder's do"
    }
    one = chains_of([["a", "b"]], images=["1.jpg"])
    lone = score(SphereSpace(torch.eye(2), torch.ones(1, 2), torch.zeros(2)), one)
    assert set(lone.undefined.values()) == {"there is one caption or one image only"}
    assert FlatRetrieval().unfit(chains_of([["a", "b"]])) == "made has no images"
