"""Retention: R@k as CLIP_benchmark has it, shared captions, and what chance finds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.recall import recalls
from support.made import Picture

from hiereval.blind import ceilings
from hiereval.datasets.karpathy import CaptionedImages, assemble
from hiereval.geometry import SphereSpace, normalise
from hiereval.tasks.retention import Retention, expected_hit
from hiereval.testing import check_task
from hiereval.types import Scores


def made(n: int, caption: Callable[[int, int], str]) -> CaptionedImages:
    captions = [[caption(i, j) for j in range(5)] for i in range(n)]
    return assemble(captions, [Picture(f"{i}.jpg") for i in range(n)], name="made", split="test")


def random_points(seed: int, data: CaptionedImages, grid: bool = False) -> SphereSpace:
    generator = torch.Generator().manual_seed(seed)

    def some(n: int) -> torch.Tensor:
        if grid:
            return torch.randint(1, 3, (n, 3), generator=generator).double()
        return normalise(torch.randn(n, 4, generator=generator, dtype=torch.float64))

    return SphereSpace(some(len(data.texts)), some(len(data.images)), some(1)[0])


def values(scores: Scores) -> dict[str, float]:
    weights = torch.ones(1, len(scores.ids), dtype=torch.float64)
    return {m.name: float(m.statistic(scores.items, weights)) for m in Retention.metrics}


@settings(max_examples=25, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), grid=st.booleans())
def test_equals_recall_over_unshared_captions(seed: int, grid: bool) -> None:
    data = made(12, lambda i, j: f"{i} {j}")
    space = random_points(seed, data, grid)
    assert space.image is not None
    got = values(Retention().score(space, data, torch.Generator()))
    similarity = space.similarity(space.image, space.text).tolist()
    image_of_caption = [i for i in range(12) for _ in range(5)]
    for k in (1, 5, 10):
        to_text, to_image = recalls(similarity, image_of_caption, k)
        assert got[f"image_to_text_r{k}"] == pytest.approx(to_text, abs=1e-12)
        assert got[f"text_to_image_r{k}"] == pytest.approx(to_image, abs=1e-12)


def test_a_shared_caption_is_one_candidate_and_right_for_each_of_its_images() -> None:
    data = made(3, lambda i, j: "a dog" if j == 0 and i < 2 else f"{i} {j}")
    text = torch.zeros(len(data.texts), 2, dtype=torch.float64)
    text[:, 1] = -1.0
    text[data.texts.index("a dog")] = torch.tensor([1.0, 0.0])
    image = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.9, 0.5]], dtype=torch.float64)
    scores = Retention().score(SphereSpace(text, image, text[0] * 0), data, torch.Generator())
    # nearest to images 0 and 1, for both of which it is right, and to 2, for which it is not
    assert scores.items["image_to_text"][:, 0].tolist() == [1.0, 1.0, 0.0]
    assert scores.items["text_to_image_1"][:2, 0].tolist() == [1.0, 1.0]


@settings(max_examples=20, derandomize=True, deadline=None)
@given(right=st.integers(1, 6), n=st.integers(6, 12), k=st.integers(1, 12))
def test_chance_is_the_mean_over_all_orders(right: int, n: int, k: int) -> None:
    from itertools import combinations

    k = min(k, n)
    places = list(combinations(range(n), right))
    expected = sum(min(place) < k for place in places) / len(places)
    assert float(expected_hit(torch.tensor([right]), n, k)) == pytest.approx(expected, abs=1e-12)


def test_the_ceiling_of_a_random_order() -> None:
    data = made(20, lambda i, j: f"{i} {j}")
    reached = ceilings(Retention(), data, Retention.metrics)
    assert reached["text_to_image_r1"] == {"uniform": pytest.approx(1 / 20)}
    assert reached["image_to_text_r1"] == {"uniform": pytest.approx(5 / 100)}


def test_the_conformance_kit_finds_nothing() -> None:
    data = made(9, lambda i, j: f"{i} {j}" if j else "shared")
    assert [check for check in check_task(Retention(), data) if check.passed is False] == []
    assert {metric.role for metric in Retention.metrics} == {"retention"}
