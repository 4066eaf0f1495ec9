"""Hierarchical retrieval against masking per level, the released code's figures, invariances."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import retrieval as oracle
from safetensors.torch import load_file
from support.at import options
from support.made import chains_of, drawn, random_chains, random_space, repeated

from hiereval.datasets import open_dataset
from hiereval.estimates import bootstrap, metrics_of
from hiereval.geometry import SphereSpace
from hiereval.spaces import space_of
from hiereval.tasks.ordering import Ordering
from hiereval.tasks.retrieval import Retrieval, metrics
from hiereval.types import Chains, ModelId, Scores, Space


def score(space: Space, data: Chains, steps: int = 50) -> Scores:
    return Retrieval(steps=steps).score(space, data, torch.Generator())


def values(scores: Scores) -> dict[str, float | None]:
    found = bootstrap(metrics_of(Retrieval(), scores.items), scores, seed=0, resamples=5)
    return {name: estimate.value for name, estimate in found.items()}


def mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def definitions(space: SphereSpace, data: Chains, steps: int) -> list[dict[str, float]]:
    """Every image's metrics, masking the pool (duplicates kept) at every level."""
    assert space.image is not None
    assert data.chain_image is not None
    pool = [data.texts[t] for t in data.pool]
    radius = space.radius[torch.from_numpy(data.pool)].numpy()
    distinct = [float(space.radius[t]) for t in dict.fromkeys(data.pool.tolist())]
    similarity = space.similarity(space.image, space.text[torch.from_numpy(data.pool)])
    levels = {
        "": oracle.levels(radius, steps).tolist(),
        "rank_": oracle.rank_levels(distinct, steps),
        "rank_full_": sorted(set(radius.tolist())),
    }
    found = []
    for image in sorted(set(data.chain_image.tolist())):
        rows = data.chains[data.chain_image == image]
        chains = [[data.texts[t] for t in row] for row in rows]
        item: dict[str, float] = {}
        for prefix, at in levels.items():
            path = oracle.path(similarity[image].tolist(), radius.tolist(), pool, at)
            tiers = oracle.tiers(path, chains)
            item[f"{prefix}precision"] = oracle.precision(path, chains)
            item[f"{prefix}recall"] = mean(tiers)
            if not prefix:
                item |= {f"recall_tier_{k + 1}": x for k, x in enumerate(tiers)}
                item["ordered_recall"] = oracle.ordered_recall(path, chains)
                item["mean_predictions"] = len(set(path))
        found.append(item)
    return found


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 5),
    grid=st.booleans(),
    steps=st.integers(1, 20),
)
def test_agrees_with_the_definitions(seed: int, k: int, grid: bool, steps: int) -> None:
    data = random_chains(seed, k=k, images=5)
    space = random_space(seed, data, dim=3, grid=grid)
    scores = score(space, data, steps)
    if scores.undefined:  # on a grid all radii may be equal
        assert grid
        return
    items = definitions(space, data, steps)
    for row in drawn(len(scores.ids), seed):
        drawn_items = [items[i] for i in repeated(row)]
        expected = {name: mean([item[name] for item in drawn_items]) for name in items[0]}
        for prefix in ("", "rank_", "rank_full_"):
            pair = expected[f"{prefix}precision"], expected[f"{prefix}recall"]
            expected[f"{prefix}f1"] = oracle.f1(*pair)
        assert expected.keys() == {metric.name for metric in metrics(k)}
        for metric in metrics(k):
            got = metric.statistic(scores.items, row[None]).item()
            assert got == pytest.approx(expected[metric.name], abs=1e-9), metric.name


def test_several_chains_of_an_image() -> None:
    # one image, two chains; radii 1..5; similarities rise with the radius: all are predicted
    data = chains_of([["a", "b", "d"], ["a", "c", "e"]], images=["1.jpg", "1.jpg"])
    radius = {"a": 1.0, "c": 2.0, "e": 3.0, "b": 4.0, "d": 5.0}
    text = torch.tensor([[radius[t], 0.0] for t in data.texts])
    space = SphereSpace(text, torch.tensor([[1.0, 0.0]]), torch.zeros(2))
    found = values(score(space, data, steps=5))
    assert (found["precision"], found["recall"], found["mean_predictions"]) == (1.0, 1.0, 5.0)
    assert found["ordered_recall"] == 1.0  # tiers 1 2 3 2 3: the longest run is 1 2 3


def test_a_repeated_tier_does_not_break_the_run() -> None:
    data = chains_of([["a", "b", "d"], ["x", "c", "e"]], images=["1.jpg", "1.jpg"])
    radius = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0, "x": 5.0, "e": 6.0}
    text = torch.tensor([[radius[t], 0.0] for t in data.texts])
    space = SphereSpace(text, torch.tensor([[1.0, 0.0]]), torch.zeros(2))
    assert values(score(space, data, steps=6))["ordered_recall"] == 1.0  # 1 2 2 3 1 3


def test_an_image_without_a_chain_is_left_out() -> None:
    data = random_chains(0, images=3)
    other = replace(data, images=(*data.images, replace(data.images[0], name="lonely.jpg")))  # type: ignore[type-var]
    space = random_space(0, other)
    scores = score(space, other)
    assert "lonely.jpg" not in scores.ids
    assert scores.ids == [data.images[i].name for i in range(3)]
    assert len(scores.items["precision"]) == 3


def test_an_image_that_is_nan_is_left_out() -> None:
    data = random_chains(0, images=3)
    space = random_space(0, data)
    assert space.image is not None
    image = space.image.clone()
    image[1] = math.nan
    scores = score(SphereSpace(space.text, image, space.root), data)
    found = bootstrap(metrics_of(Retrieval(), scores.items), scores, seed=0, resamples=5)
    assert {estimate.n for estimate in found.values()} == {2}
    assert scores.details is not None
    assert scores.details(1) == {"predictions": []}


@settings(max_examples=25, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), grid=st.booleans())
def test_duplicates_in_the_pool_change_nothing(seed: int, grid: bool) -> None:
    data = random_chains(seed)
    space = random_space(seed, data, grid=grid)
    again = replace(data, pool=np.concatenate([data.pool, data.pool[::-1], data.pool[:3]]))
    assert values(score(space, data)) == values(score(space, again))


@settings(max_examples=25, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_rows_rotation_and_scale_change_nothing(seed: int) -> None:
    data = random_chains(seed)
    raw = random_space(seed, data)
    assert raw.image is not None
    assert data.chain_image is not None
    expected = values(score(raw, data))
    free = {name: value for name, value in expected.items() if name != "ordered_recall"}
    order = np.random.default_rng(seed).permutation(len(data.chains))
    moved = replace(data, chains=data.chains[order], chain_image=data.chain_image[order])
    moved = replace(moved, pool=moved.chains.reshape(-1))
    found = values(score(raw, moved))
    # a caption at different tiers of an image's chains counts at that of the first chain
    assert {name: found[name] for name in free} == pytest.approx(free, abs=1e-12)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(seed))).Q
    model = ModelId(adapter="made", name="made", checkpoint="made")
    turned = space_of(
        model, 3 * raw.text @ turn.double(), raw.image @ turn.double(), 9 * raw.root @ turn.double()
    )
    assert values(score(turned, data)) == pytest.approx(expected, abs=1e-12)


class Scaled(SphereSpace):
    """The same space with its radii squared."""

    @property
    def radius(self) -> torch.Tensor:  # type: ignore[override]
        return super().radius ** 2


def test_scale_of_the_radius_changes_precision_but_not_the_rank_sweep() -> None:
    data = random_chains(1, c=30, images=30)
    space = random_space(1, data)
    plain = values(score(space, data, 10))
    squared = values(score(Scaled(space.text, space.image, space.root), data, 10))
    ranked = [name for name in plain if name.startswith("rank_")]
    assert len(ranked) == 6
    assert {name: plain[name] for name in ranked} == {name: squared[name] for name in ranked}
    assert plain["precision"] != squared["precision"]
    tau = [
        Ordering().score(each, data, torch.Generator()).items["tau"]
        for each in (space, Scaled(space.text, space.image, space.root))
    ]
    assert torch.equal(*tau)


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        ({"a": (1.0, 0.0), "b": (0.0, 1.0)}, "all radii are equal, as a constant encoder's are"),
        ({"a": (1.0, 0.0), "b": (math.nan, 1.0)}, "1 of 2 radii are not finite"),
    ],
)
def test_undefined_with_its_reason(vectors: dict[str, tuple[float, float]], reason: str) -> None:
    data = chains_of([["a", "b"], ["b", "a"]], images=["1.jpg", "2.jpg"])
    text = torch.tensor([vectors[t] for t in data.texts])
    scores = score(SphereSpace(text, torch.eye(2), torch.zeros(2)), data)
    found = bootstrap(metrics_of(Retrieval(), scores.items), scores, seed=0, resamples=5)
    assert found.keys() == {metric.name for metric in metrics(2)}
    assert {(e.value, e.undefined_reason) for e in found.values()} == {(None, reason)}


def test_a_pool_of_one_caption_is_undefined() -> None:
    data = chains_of([["a"], ["a"]], images=["1.jpg", "2.jpg"])
    scores = score(SphereSpace(torch.ones(1, 2), torch.eye(2), torch.zeros(2)), data)
    assert set(scores.undefined.values()) == {"there is one caption only"}


def test_images_that_are_all_the_same_are_undefined() -> None:
    data = random_chains(0)
    space = random_space(0, data)
    assert space.image is not None
    scores = score(SphereSpace(space.text, space.image * 0 + 1, space.root), data)
    assert set(scores.undefined.values()) == {
        "all images have the same vector, as a constant encoder's do"
    }


def test_details_name_captions_levels_and_tiers() -> None:
    data = chains_of([["a", "b"]], images=["1.jpg"], pool=["a", "b", "z"])
    text = torch.tensor([[{"a": 1.0, "z": 2.0, "b": 3.0}[t]] for t in data.texts])
    scores = score(SphereSpace(text, torch.ones(1, 1), torch.zeros(1)), data, steps=3)
    assert scores.details is not None
    assert json.loads(json.dumps(scores.details(0))) == {
        "predictions": [
            {"caption": "a", "level": 1.0, "tier": 1},
            {"caption": "z", "level": 2.0, "tier": None},
            {"caption": "b", "level": 3.0, "tier": 2},
        ]
    }


def test_parameters_and_data_that_do_not_fit() -> None:
    assert Retrieval().unfit(chains_of([["a", "b"]])) == "made has no images"
    with pytest.raises(ValueError, match=r"^The steps 0 must be at least 1\.$"):
        Retrieval(steps=0)


def reference_space(folder: Path, data: Chains) -> Space:
    arrays = load_file(folder / "embeddings.safetensors")
    index = json.loads((folder / "index.json").read_text())
    text = {name: i for i, name in enumerate(index["texts"])}
    image = {name: i for i, name in enumerate(index["images"])}
    return space_of(
        ModelId(adapter="made", name="made", checkpoint="made"),
        arrays["text"][[text[t] for t in data.texts]],
        arrays["image"][[image[i.name] for i in data.images]],
        arrays["text"][text[""]],
    )


@pytest.mark.data
@pytest.mark.reference
@pytest.mark.parametrize("name", ["random64", "tree_mid", "tree_steps10", "unnormalised"])
def test_released_figures(hierarcaps_root: Path, reference_root: Path, name: str) -> None:
    data = open_dataset("hierarcaps", options(hierarcaps_root))
    expected = json.loads((reference_root / "expected.json").read_text())[name]
    space = reference_space(reference_root / "embeddings" / name, data)
    found = values(score(space, data, expected["steps"]))
    assert found["precision"] == pytest.approx(expected["precision"], abs=1e-6)
    assert found["recall"] == pytest.approx(expected["recall"], abs=1e-6)
    tau = Ordering().score(space, data, torch.Generator()).items["tau"]
    assert tau.mean().item() == pytest.approx(expected["d_corr"], abs=1e-6)
