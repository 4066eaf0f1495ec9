from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made import Picture

from hiereval.datasets import open_dataset
from hiereval.datasets.chains import assemble, subset
from hiereval.errors import HierevalError
from hiereval.session import Session
from hiereval.toy.shapes import shapes
from hiereval.training import (
    checked,
    hold_out,
    image_names,
    refuse_shared_images,
    refuse_test_images,
    shuffle_tiers,
)
from hiereval.types import Chains, DataOptions, Dataset


def chains(n: int = 12, images: int | None = 5, prefix: str = "", negatives: bool = True) -> Chains:
    pictures = [Picture(f"{prefix}{i % images}.jpg") for i in range(n)] if images else None
    return assemble(
        [[f"{c} {k}" for k in range(4)] for c in range(n)],
        [[f"not {c} {k}" for k in range(4)] for c in range(n)] if negatives else None,
        pictures,
        name="mine",
        split="train",
    )


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fails(message: str) -> pytest.RaisesExc[HierevalError]:
    return pytest.raises(HierevalError, match=f"^{re.escape(message)}$")


@settings(derandomize=True, deadline=None)
@given(st.integers(2, 40), st.integers(2, 12), st.floats(0.01, 0.99), st.integers(0, 100))
def test_the_parts_share_no_image_and_lose_no_chain(
    n: int, images: int, share: float, seed: int
) -> None:
    data = chains(n, images)
    train, held = hold_out(data, share, generator(seed))
    assert sorted([*train, *held]) == list(range(n))
    assert len(train) > 0
    assert len(held) > 0
    assert data.chain_image is not None
    assert not set(data.chain_image[train]) & set(data.chain_image[held])
    if n >= images:
        wanted = min(max(1, round(share * images)), images - 1)
        assert len(set(data.chain_image[held])) == wanted


def test_without_images_chains_are_held_out() -> None:
    train, held = hold_out(chains(10, None), 0.3, generator())
    assert (len(train), len(held)) == (7, 3)


def test_nothing_is_held_out_when_nothing_is_asked_for() -> None:
    train, held = hold_out(chains(4), 0, generator())
    assert (train.tolist(), held.tolist()) == ([0, 1, 2, 3], [])


def test_one_image_cannot_be_split() -> None:
    with fails(
        "The training data 'mine' must describe at least 2 images, so that a development part can "
        "be held out; it describes 1."
    ):
        hold_out(chains(4, 1), 0.1, generator())


def test_shuffling_keeps_every_chain_and_pairs_negatives() -> None:
    data = chains(200)
    mixed = shuffle_tiers(data, generator())
    assert mixed.negatives is not None
    assert data.negatives is not None
    assert np.array_equal(np.sort(mixed.chains, axis=1), np.sort(data.chains, axis=1))
    partner = dict(zip(data.chains.ravel(), data.negatives.ravel(), strict=True))
    assert [partner[i] for i in mixed.chains.ravel()] == mixed.negatives.ravel().tolist()
    at_home = (mixed.chains == data.chains).mean()
    assert 0.2 < at_home < 0.3  # one place in four
    assert mixed.texts == data.texts


@pytest.mark.parametrize("n", [0, 1])
def test_too_little_is_refused(n: int) -> None:
    data = subset(chains(), range(n))
    with fails(f"The training data 'mine' must have at least 2 chains; it has {n}."):
        checked(data)


def test_missing_negatives_are_refused_only_where_they_are_needed() -> None:
    data = chains(negatives=False)
    assert checked(data, negatives=False) is data
    with fails(
        "The training data 'mine' must have negatives (a contradicting chain for each chain: the "
        "column 'negative' of a CSV). 'hierarcaps-train' and 'shapes:train' do."
    ):
        checked(data)


def test_other_kinds_of_data_are_refused() -> None:
    data = Dataset(
        name="words", split="all", revision=None, sha256="0" * 64, image_source="", texts=("a",)
    )
    with fails(
        "The training data 'words' must be caption chains, and is Dataset. 'hiereval ls datasets' "
        "describes the datasets."
    ):
        checked(data)


def test_shared_images_are_refused() -> None:
    train, test = chains(), chains(3, 3)
    with fails(
        "The training data 'mine' must share no image with the test data 'mine'; they share 3, "
        "the first is '0.jpg'."
    ):
        refuse_shared_images(train.name, image_names(train), test)
    refuse_shared_images(train.name, image_names(train), chains(3, 3, prefix="other-"))


def test_test_images_are_refused_wherever_the_test_split_is_at_hand(tmp_path: Path) -> None:
    at_hand = Session.of(device="cpu", data_dir=tmp_path).at_hand
    with fails(
        "The training data 'mine' must share no image with the test data 'shapes'; they share 1, "
        "the first is 'test-0000'."
    ):
        refuse_test_images(
            assemble(
                [list("abcd")] * 2,
                [list("efgh")] * 2,
                [Picture("test-0000"), Picture("mine.jpg")],
                name="mine",
                split="train",
            ),
            at_hand,
        )
    refuse_test_images(chains(), at_hand)
    refuse_test_images(chains(images=None), at_hand)


def test_a_dataset_says_itself_what_trains_for_it(tmp_path: Path) -> None:
    """A user's file of a known name has no training data that it did not ask for."""
    assert shapes(DataOptions()).training == "shapes:train"
    path = tmp_path / "shapes.csv"
    path.write_text("captions\na => b => c => d\n")
    assert open_dataset(str(path), DataOptions()).training is None
