"""PEP: the released figures, every pair by itself, and what has no score."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pep as slow
from reference.ranks import auroc, average_precision
from safetensors.torch import load_file
from support import packs
from support.at import options as data_at
from support.made import chains_of, drawn, random_chains, random_space, repeated

from hiereval.blind import ceilings
from hiereval.datasets import open_dataset
from hiereval.geometry import EuclideanSpace, LorentzSpace, SphereSpace
from hiereval.tasks.pep import NO_CONES, Pep
from hiereval.testing import check_task
from hiereval.types import Chains, Scores, Space

CURVATURES = st.sampled_from([0.1, 1.0, 4.0])
RELEASED = {
    "auroc": "auc_roc",
    "average_precision": "average_precision",
    "mean_positive": "mean_positive_score",
    "mean_negative": "mean_negative_score",
    "zero_share": "exactly_zero_fraction",
}


def score(space: Space, data: Chains, **fields: int) -> Scores:
    return Pep(**fields).score(space, data, torch.Generator().manual_seed(0))


def value(scores: Scores, name: str, weights: torch.Tensor | None = None) -> float:
    weights = torch.ones(1, len(scores.ids)).double() if weights is None else weights[None]
    (metric,) = (m for m in Pep.metrics if m.name == name)
    return float(metric.statistic(scores.items, weights))


def lorentz(seed: int, data: Chains, c: float, grid: bool) -> LorentzSpace:
    """Points around the vertex; on a grid they coincide, some at the vertex, some at an image."""
    generator = torch.Generator().manual_seed(seed)

    def made(n: int) -> torch.Tensor:
        if grid:
            return torch.randint(0, 2, (n, 2), generator=generator).double() / 2
        return torch.randn(n, 4, generator=generator, dtype=torch.float64)

    text, image = made(len(data.texts)), made(len(data.images))
    return LorentzSpace(text, image, text.new_zeros(text.shape[1]), c)


@settings(max_examples=15, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), c=CURVATURES, grid=st.booleans())
def test_agrees_pair_by_pair(seed: int, c: float, grid: bool) -> None:
    data = random_chains(seed, c=7, k=3, images=7)
    space = lorentz(seed, data, c, grid)
    scores = score(space, data, negatives=4, matched=2)
    assert space.image is not None
    assert data.chain_image is not None
    rows = [[data.texts[t] for t in chain] for chain in data.chains]
    pools = [rows, slow.negatives(rows, 4)]
    index = {text: i for i, text in enumerate(data.texts)}
    names = [("", "positive"), ("margin_", "positive"), ("", "negative"), ("margin_", "negative")]
    expected: dict[tuple[str, str], list[list[float]]] = {name: [] for name in names}
    for i, image in enumerate(data.chain_image):
        for side, pool in zip(("positive", "negative"), pools, strict=True):
            points = [space.text[index[text]].tolist() for text in pool[i]]
            angles = [slow.angle(point, space.image[image].tolist(), c) for point in points]
            apertures = [slow.half_aperture(point, c) for point in points]
            expected["", side].append([slow.entailment_score(angle) for angle in angles])
            expected["margin_", side].append(
                [wide - angle for wide, angle in zip(apertures, angles, strict=True)]
            )
    for (prefix, side), lists in expected.items():
        for got, own in zip(scores.items[f"{prefix}{side}"], lists, strict=True):
            assert got[: len(own)].tolist() == pytest.approx(own, abs=1e-6)
            assert got[len(own) :].isnan().all()
    for row in drawn(len(rows), seed):
        for prefix in ("", "margin_"):
            # what was scored, so that a rounding cannot make or break a tie
            sides = [
                [
                    x
                    for i in repeated(row)
                    for x in scores.items[prefix + side][i].tolist()
                    if x == x
                ]
                for side in ("positive", "negative")
            ]
            assert value(scores, f"{prefix}auroc", row) == pytest.approx(auroc(*sides), abs=1e-9)
            assert value(scores, f"{prefix}average_precision", row) == pytest.approx(
                average_precision(*sides), abs=1e-9
            )


@settings(max_examples=15, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), grid=st.booleans())
def test_ties_are_counted(seed: int, grid: bool) -> None:
    data = random_chains(seed, c=7, k=3, images=7)
    scores = score(lorentz(seed, data, 1.0, grid), data, negatives=4)
    for prefix in ("", "margin_"):
        pooled = [scores.items[f"{prefix}{side}"].reshape(-1) for side in ("positive", "negative")]
        distinct, modal, zero = slow.ties([x for x in torch.cat(pooled).tolist() if x == x])
        assert scores.summary[f"{prefix}distinct_scores"] == distinct
        assert value(scores, f"{prefix}modal_share") == pytest.approx(modal, abs=1e-12)
        assert value(scores, f"{prefix}zero_share") == pytest.approx(zero, abs=1e-12)


def test_matched_negatives_are_of_the_same_tier_and_never_the_images_own() -> None:
    data = random_chains(3)
    assert data.chain_image is not None
    chains = torch.from_numpy(data.chains)
    drawn_ = Pep(matched=6).pairs(data, torch.Generator().manual_seed(1))["matched_negative"]
    for i, row in enumerate(drawn_.reshape(len(chains), -1, 6)):
        own = set(
            chains[torch.from_numpy(data.chain_image) == data.chain_image[i]].flatten().tolist()
        )
        for tier, texts in enumerate(row):
            for text in texts[texts >= 0].tolist():
                assert text in chains[:, tier]
                assert text not in own


def test_a_caption_at_the_vertex_or_at_its_image_has_a_right_angle() -> None:
    data = chains_of([["a"], ["b"]], images=["1.jpg", "2.jpg"])
    text = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    image = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    scores = score(LorentzSpace(text, image, torch.zeros(2), 1.0), data)
    widest = math.asin(1 - slow.ULPS)
    assert scores.items["positive"].tolist() == [[0.0], [0.0]]
    assert scores.items["margin_positive"][0].tolist() == pytest.approx(
        [widest - math.pi / 2], abs=1e-6
    )


@pytest.mark.parametrize("kind", [SphereSpace, EuclideanSpace])
def test_without_cones_the_margin_is_undefined(kind: type[EuclideanSpace]) -> None:
    data = random_chains(0)
    made = random_space(0, data)
    scores = score(kind(made.text, made.image, made.root), data, negatives=4)
    margins = {metric.name for metric in Pep.metrics if "margin_" in metric.name}
    assert scores.undefined == dict.fromkeys(margins, NO_CONES)
    assert len(margins) == 8
    assert scores.details is not None
    assert json.loads(json.dumps(scores.details(0)))["captions"]
    assert 0.0 < value(scores, "auroc") < 1.0


def test_what_cannot_be_scored() -> None:
    data = random_chains(0)
    made = random_space(0, data)
    assert made.image is not None
    same = SphereSpace(made.text, made.image * 0 + 1, made.root)
    assert score(same, data).undefined == {
        metric.name: "all images have the same vector, as a constant encoder's do"
        for metric in Pep.metrics
    }
    alone = chains_of([["a", "b"]], images=["1.jpg"])
    space = SphereSpace(torch.eye(3)[:2], torch.eye(3)[2:], torch.ones(3))
    assert set(score(space, alone).undefined.values()) == {
        "no other row has a caption that could be a negative"
    }
    assert Pep().unfit(chains_of([["a", "b"]])) == "made has no images"
    for name in ("negatives", "matched"):
        message = f"The {name} 0 must be at least 1."
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            Pep(**{name: 0})


def test_the_conformance_kit_finds_nothing() -> None:
    assert [
        check for check in check_task(Pep(negatives=5, matched=2)) if check.passed is False
    ] == []


@pytest.mark.data
def test_blind_scores_of_the_published_captions(hierarcaps_root: Path) -> None:
    data = open_dataset("hierarcaps", data_at(hierarcaps_root))
    reached = ceilings(Pep(), data, Pep.metrics)
    for prefix in ("", "margin_"):
        found = {
            name: (round(value, 4), round(reached[f"{prefix}average_precision"][name], 4))
            for name, value in reached[f"{prefix}auroc"].items()
        }
        assert found["minus-words"] == (0.8574, 0.7505)
        assert found["minus-characters"] == (0.8549, 0.7286)
        assert found["pool-membership"] == (0.9874, 0.9757)
    assert reached["matched_auroc"]["minus-words"] == pytest.approx(0.5, abs=0.005)
    assert reached["matched_average_precision"]["minus-words"] == pytest.approx(0.0385, abs=1e-3)
    pairs = Pep().pairs(data, torch.Generator().manual_seed(0))
    assert pairs["negative"].shape == (1000, 100)
    assert len(pairs["negative"].unique()) == 101


@pytest.mark.reference
@pytest.mark.parametrize("name", ["tree_k1", "ties_k0.25"])
def test_released_figures_through_the_command_line(
    hierarcaps_root: Path, reference_root: Path, tmp_path: Path, name: str
) -> None:
    folder = reference_root / "packs" / "pep"
    data = open_dataset("hierarcaps", data_at(hierarcaps_root))
    points = load_file(folder / f"{name}.safetensors")
    expected = json.loads((folder / "expected.json").read_text())[name]
    vectors = packs.write_folder(
        tmp_path / "vectors",
        data.texts,
        points["captions"],
        [image.name for image in data.images],
        points["images"],
        geometry="lorentz",
        curvature=expected["curvature_float32"],
    )
    arguments = ("--probes", "origin", "--data-dir", str(hierarcaps_root), "--offline")
    record = packs.run(vectors, "pep", tmp_path / "out", *arguments)
    got = packs.values(record)
    for score, prefix in (("entailment_score", ""), ("signed_margin", "margin_")):
        for ours, theirs in RELEASED.items():
            assert got[f"{prefix}{ours}"] == pytest.approx(expected[score][theirs], abs=1e-6)
        if name.startswith("ties") or not prefix:  # elsewhere float32 makes ties of its own
            assert record.summary[f"{prefix}distinct_scores"] == expected[score]["distinct_scores"]
            assert got[f"{prefix}modal_share"] == pytest.approx(
                expected[score]["modal_score_fraction"], abs=1e-12
            )
