"""Image entailment: its draws, its angles pair by pair, and what cannot be drawn."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.angles import angle
from reference.ranks import auroc, average_precision
from support.made import chains_of, drawn, random_chains, random_space, repeated

from hiereval.geometry import SphereSpace
from hiereval.tasks.image_entailment import ImageEntailment, draw
from hiereval.types import Chains, Scores


def score(space: SphereSpace, data: Chains, negatives: int = 3, seed: int = 0) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    return ImageEntailment(negatives=negatives).score(space, data, generator)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 4))
def test_agrees_with_the_definitions(seed: int, k: int) -> None:
    data = random_chains(seed, k=k)
    space = random_space(seed, data)
    scores = score(space, data)
    assert scores.details is not None
    assert space.image is not None
    assert data.chain_image is not None
    index = {text: i for i, text in enumerate(data.texts)}
    for row in drawn(len(data.chains), seed):
        positive, negative = [], []
        for i in repeated(row):
            image = space.image[data.chain_image[i]].numpy()
            details = scores.details(i)

            def xi(text: str, image: object = image) -> float:
                return angle(space.text[index[text]].numpy(), image, space.root.numpy())

            positive += [-xi(text) for text in details["captions"]]
            negative += [-xi(text) for tier in details["negatives"] for text in tier]
        expected = auroc(positive, negative), average_precision(positive, negative)
        for metric, value in zip(ImageEntailment.metrics, expected, strict=True):
            got = metric.statistic(scores.items, row[None]).item()
            assert got == pytest.approx(value, abs=1e-9, nan_ok=True)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_negatives_are_of_the_same_tier_and_never_a_caption_of_the_image(seed: int) -> None:
    data = random_chains(seed)
    assert data.chain_image is not None
    scores = score(random_space(seed, data), data)
    assert scores.details is not None
    for i, image in enumerate(data.chain_image):
        own = {data.texts[t] for c in data.chains[data.chain_image == image] for t in c}
        for tier, texts in enumerate(scores.details(i)["negatives"]):
            others = {data.texts[t] for t in data.chains[data.chain_image != image][:, tier]}
            assert set(texts) <= others - own
            assert len(texts) == (3 if others - own else 0)


def test_draws_are_seeded() -> None:
    data = random_chains(3)
    space = random_space(3, data)
    first, again, other = (score(space, data, seed=seed).items["negative"] for seed in (1, 1, 2))
    assert torch.equal(first.nan_to_num(9.0), again.nan_to_num(9.0))
    assert not torch.equal(first.nan_to_num(9.0), other.nan_to_num(9.0))


def test_draws_are_uniform_over_chains() -> None:
    chains, image = torch.tensor([[0], [1], [2], [1]]), torch.tensor([0, 1, 2, 3])
    generator = torch.Generator().manual_seed(0)
    found = [int(draw(chains, image, generator)[0, 0]) for _ in range(800)]
    assert found.count(1) / 800 == pytest.approx(2 / 3, abs=0.05)
    assert 0 not in found


def test_nothing_to_draw_is_undefined() -> None:
    data = chains_of([["a", "b"], ["b", "a"]], images=["1.jpg", "2.jpg"])
    scores = score(random_space(0, data), data)
    assert set(scores.undefined.values()) == {
        "no other image has a caption that could be a negative"
    }


def test_a_constant_encoder_is_undefined() -> None:
    data = random_chains(0)
    space = random_space(0, data)
    assert space.image is not None
    same = SphereSpace(space.text, space.image * 0 + 1, space.root)
    assert set(score(same, data).undefined.values()) == {
        "all images have the same vector, as a constant encoder's do"
    }
    assert len(score(same, data).undefined) == 2


def test_captions_at_the_root_are_undefined() -> None:
    data = chains_of([["a"], ["b"]], images=["1.jpg", "2.jpg"])
    text = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    image = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    scores = score(SphereSpace(text, image, torch.zeros(2)), data)
    # a stands at the root; b is its own image's point, and its only other pair is a negative
    assert scores.items["positive"].isnan().all()
    assert set(scores.undefined.values()) == {
        "every exterior angle is undefined: captions stand at the root"
    }
    assert scores.details is not None
    assert json.loads(json.dumps(scores.details(0)))["angles"] == [None]
    assert scores.items["negative"][0].tolist() == pytest.approx([-math.pi / 2] * 3)


def test_parameters_and_data_that_do_not_fit() -> None:
    assert ImageEntailment().unfit(chains_of([["a", "b"]])) == "made has no images"
    with pytest.raises(ValueError, match=f"^{re.escape('The negatives 0 must be at least 1.')}$"):
        ImageEntailment(negatives=0)
