"""HiMo@K: the released figures, chain by chain, what is cut, and what is constant."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import himo as slow
from safetensors.torch import load_file
from support import packs
from support.at import options as data_at
from support.made import Picture, drawn, repeated

from hiereval.blind import ceilings
from hiereval.datasets import open_dataset
from hiereval.datasets.himo_docci import GrowingCaptions, assemble
from hiereval.geometry import SphereSpace, normalise
from hiereval.growth import Grown
from hiereval.tasks.himo import UNKNOWN, HiMo
from hiereval.testing import check_task
from hiereval.types import Scores


def made(seed: int, c: int = 9) -> GrowingCaptions:
    """Chains of 2 to 6 captions, some of which stand in several."""
    rng = np.random.default_rng(seed)
    chains = [
        [f"t{rng.integers(12)} " * rng.integers(1, 3) for _ in range(rng.integers(2, 7))]
        for _ in range(c)
    ]
    data = assemble(chains, [Picture(f"{i % 7}.jpg") for i in range(c)], name="made", split="all")
    return replace(data, truncated=rng.random(len(data.texts)) < 0.4)


def points(seed: int, data: GrowingCaptions, grid: bool) -> SphereSpace:
    generator = torch.Generator().manual_seed(seed)

    def some(n: int) -> torch.Tensor:
        if grid:  # not normalised, so that similarities tie exactly
            return torch.randint(0, 2, (n, 2), generator=generator).double()
        return normalise(torch.randn(n, 4, generator=generator, dtype=torch.float64))

    return around(some(len(data.texts)), some(len(data.images)))


def around(text: torch.Tensor, image: torch.Tensor) -> SphereSpace:
    return SphereSpace(text, image, text.new_zeros(text.shape[1]))


def score(space: SphereSpace, data: GrowingCaptions) -> Scores:
    return HiMo(matched=3).score(space, data, torch.Generator().manual_seed(1))


def mean(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else math.nan


@settings(max_examples=20, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_matched_captions_are_as_long_and_of_other_images(seed: int) -> None:
    data = made(seed)
    words = [len(text.split()) for text in data.texts]
    matched = Grown.of(data, 4, torch.Generator().manual_seed(seed)).matched.tolist()
    for i, (row, drawn_) in enumerate(zip(data.captions.tolist(), matched, strict=True)):
        own = set(data.captions[data.caption_image == data.caption_image[i]].reshape(-1).tolist())
        for text, others in zip(row, drawn_, strict=True):
            there = {t for t, n in enumerate(words) if text >= 0 and n == words[text]} - own
            assert set(others) <= there | ({-1} if not there else set())


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), grid=st.booleans())
def test_agrees_chain_by_chain(seed: int, grid: bool) -> None:
    data = made(seed)
    space = points(seed, data, grid)
    assert space.image is not None
    assert data.truncated is not None
    scores = score(space, data)
    others = Grown.of(data, 3, torch.Generator().manual_seed(1)).matched.tolist()
    expected: dict[str, list[float]] = {metric.name: [] for metric in HiMo.metrics}
    for row, image in zip(data.captions, data.caption_image, strict=True):
        own = row[row >= 0]
        sims = [float(space.text[t] @ space.image[image]) for t in own]
        cut = data.truncated[own].tolist()
        expected["himo_k"].append(slow.himo(sims))
        expected["himo_k_over_3"].append(slow.himo(sims) if len(own) > 3 else math.nan)
        expected["himo_k_within_context"].append(slow.within(sims, cut))
        foreign = [
            mean([float(space.text[t] @ space.image[image]) for t in texts if t >= 0])
            for texts in others[len(expected["himo_k"]) - 1][: len(own)]
        ]
        gains = [
            0.0 if math.isclose(a, b, rel_tol=1e-12) else a - b
            for a, b in zip(sims, foreign, strict=True)
        ]
        one_point = len({tuple(space.text[t].tolist()) for t in own}) == 1
        matched = slow.within(gains, [gain != gain for gain in gains])
        expected["himo_k_matched"].append(matched * (0.0 if one_point else 1.0))
        expected["strict_rise"].append(slow.rises(sims))
        expected["truncated_captions"].append(float(sum(cut)))
        expected["truncated_ends"].append(float(cut[-1] and cut[-2]))
    for weights in drawn(len(data.captions), seed):
        for metric in HiMo.metrics:
            values = [expected[metric.name][i] for i in repeated(weights)]
            got = metric.statistic(scores.items, weights[None]).item()
            assert got == pytest.approx(mean(values), abs=1e-9, nan_ok=True)


def test_equal_caption_vectors_correlate_0_whatever_rounding_makes_of_them() -> None:
    data = made(0)
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(1, 512, generator=generator).expand(len(data.texts), 512).clone()
    text[data.captions[0][0]] += 1.0  # one chain or a few can be told apart
    image = torch.randn(len(data.images), 512, generator=generator)
    scores = score(around(normalise(text), normalise(image)), data)
    odd = data.captions[0][0]
    flat = torch.tensor([len(set(row[row >= 0])) == 1 or odd not in row for row in data.captions])
    assert 0 < int(flat.sum()) < len(flat)
    assert bool((scores.items["pearson"][flat] == 0).all())
    assert bool((scores.items["rises"][flat] == 0).all())
    assert bool((scores.items["pearson"][~flat] != 0).any())


def test_unknown_truncation_short_chains_and_constant_encoders_are_undefined() -> None:
    chains = [["a", "b b"], ["c c c", "d d d d", "e e e e e"]]
    data = assemble(chains, [Picture("1.jpg"), Picture("2.jpg")], name="made", split="all")
    scores = score(points(0, data, grid=False), data)
    unknown = ("himo_k_within_context", "truncated_captions", "truncated_ends")
    assert scores.undefined == {
        **dict.fromkeys(unknown, UNKNOWN),
        "himo_k_over_3": "no chain has more than three captions",
        "himo_k_matched": "no two captions of a chain are as long as another image's",
    }
    assert set(scores.summary["by_k"]) == {"2", "3"}
    assert scores.details is not None
    assert json.loads(json.dumps(scores.details(1)))["captions"][0] == "c c c"
    same = around(torch.ones(5, 3), torch.eye(3)[:2])
    assert score(same, data).undefined == {
        metric.name: "all texts have the same vector, as a constant encoder's do"
        for metric in HiMo.metrics
    }


@pytest.mark.data
@pytest.mark.parametrize("split", ["test", "halves", "thirds"])
def test_blind_scores_of_the_published_captions(himo_root: Path, split: str) -> None:
    data = open_dataset(f"himo-docci:{split}", data_at(himo_root))
    reached = ceilings(HiMo(), data, HiMo.metrics)
    assert reached["strict_rise"]["words"] == 1.0  # HiMo@2 and HiMo@3 of the halves and thirds
    assert reached["himo_k_matched"]["words"] == 0.0
    if split == "test":
        assert reached["himo_k"]["words"] == pytest.approx(0.9920, abs=5e-5)
        assert reached["himo_k"]["characters"] == pytest.approx(0.9923, abs=5e-5)


def test_the_conformance_kit_finds_nothing() -> None:
    assert [check for check in check_task(HiMo(), made(0)) if check.passed is False] == []


@pytest.mark.reference
@pytest.mark.parametrize("name", ["rising_d16", "random_flat_d12"])
def test_released_figures_through_the_command_line(
    himo_root: Path, reference_root: Path, tmp_path: Path, name: str
) -> None:
    folder = reference_root / "packs" / "himo"
    data = open_dataset("himo-docci", data_at(himo_root))
    vectors = load_file(folder / f"{name}.safetensors")
    expected = json.loads((folder / "expected.json").read_text())[name]
    stored = packs.write_folder(
        tmp_path / "vectors",
        data.texts,
        vectors["captions"].float(),
        [image.name for image in data.images],
        vectors["images"].float(),
        root=torch.ones(vectors["captions"].shape[1]),
    )
    record = packs.run(stored, "himo", tmp_path / "out", "--data-dir", str(himo_root))
    got = packs.values(record)
    assert got["himo_k"] == pytest.approx(expected["HiMoK_pearson"], abs=1e-8)
    assert got["himo_k_over_3"] == pytest.approx(expected["mean_K_over_3"], abs=1e-8)
    by_k = {k: (group["n"], group["mean"]) for k, group in record.summary["by_k"].items()}
    assert by_k.keys() == expected["by_K"].keys()
    for k, group in expected["by_K"].items():
        assert by_k[k] == (group["n"], pytest.approx(group["mean"], abs=2e-7))


@pytest.mark.reference
def test_released_figures_image_by_image(himo_root: Path, reference_root: Path) -> None:
    folder = reference_root / "packs" / "himo"
    data = open_dataset("himo-docci", data_at(himo_root))
    assert isinstance(data, GrowingCaptions)
    for name in ("rising_d16", "random_flat_d12"):
        raw = load_file(folder / f"{name}.safetensors")
        text, image = (normalise(raw[key].float()) for key in ("captions", "images"))
        got = score(around(text, image), data).items["pearson"]
        expected = load_file(folder / f"{name}.items.safetensors")["pearson"]
        assert float((got - expected).abs().max()) < 2e-6
