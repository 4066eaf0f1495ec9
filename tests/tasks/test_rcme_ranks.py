"""RCME ranks: the released figures, row by row, ties, repeated rows, and blind names."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import rcme as slow
from reference.ranks import tau_b
from safetensors.torch import load_file
from support import packs
from support.at import options as data_at
from support.made import Picture, drawn, repeated

from hiereval.blind import ceilings
from hiereval.datasets.ranked_names import RankedNames, assemble
from hiereval.datasets.rare_species import rare_species
from hiereval.geometry import SphereSpace, normalise
from hiereval.tasks.rcme_ranks import RcmeRanks
from hiereval.testing import check_task
from hiereval.types import Scores


def made(seed: int, r: int = 9) -> RankedNames:
    """Rows of four names of few, so that rows repeat and names stand at several ranks."""
    rng = np.random.default_rng(seed)
    names = [[f"n{rng.integers(3 * j, 3 * j + 6)}" for j in range(4)] for _ in range(r)]
    images = [Picture(f"{i % 6}.jpg") for i in range(r)]
    return assemble([*names, names[0]], [*images, images[0]], name="made", split="all")


def points(seed: int, data: RankedNames, grid: bool) -> SphereSpace:
    generator = torch.Generator().manual_seed(seed)

    def some(n: int) -> torch.Tensor:
        if grid:
            return torch.randint(1, 3, (n, 3), generator=generator).double()
        return normalise(torch.randn(n, 4, generator=generator, dtype=torch.float64))

    return SphereSpace(some(len(data.texts)), some(len(data.images)), some(1)[0])


def score(space: SphereSpace, data: RankedNames, steps: int = 7) -> Scores:
    return RcmeRanks(steps).score(space, data, torch.Generator())


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), grid=st.booleans())
def test_agrees_row_by_row(seed: int, grid: bool) -> None:
    data = made(seed)
    space = points(seed, data, grid)
    scores = score(space, data)
    assert space.image is not None
    assert data.row_image is not None
    rows = [[data.texts[t] for t in row] for row in data.ranks]
    radius = dict(zip(data.texts, space.radius.tolist(), strict=True))
    similarity = space.similarity(space.image, space.text).tolist()
    taus, released, found = [], [], []
    for i in range(len(data.images)):
        own = [row for row, image in zip(rows, data.row_image, strict=True) if image == i]
        radii = [[radius[name] for name in row] for row in own]
        taus.append([tau_b(r, range(4)) for r in radii])
        released.append([slow.d_corr(r) for r in radii])
        names = dict(zip(data.texts, similarity[i], strict=True))
        answers = slow.answers(rows, radius, names, 7)
        found.append(slow.precision_recall(answers, own))
    for weights in drawn(len(data.images), seed):
        chosen = repeated(weights)
        expected = {
            "d_corr": [tau for i in chosen for tau in released[i]],
            "tau_d": [tau for i in chosen for tau in taus[i] if not math.isnan(tau)],
            "precision": [found[i][0] for i in chosen],
            "recall": [found[i][1] for i in chosen],
        }
        for metric in RcmeRanks.metrics[:4]:
            got = metric.statistic(scores.items, weights[None]).item()
            assert got == pytest.approx(float(np.mean(expected[metric.name])), abs=1e-9)


def test_what_cannot_be_scored() -> None:
    data = made(0)
    space = points(0, data, grid=False)
    assert space.image is not None
    same = SphereSpace(space.text * 0 + 1, space.image, space.root)
    assert set(score(same, data).undefined.values()) == {
        "all radii are equal, as a constant encoder's are"
    }
    assert len(score(same, data).undefined) == 5
    assert RcmeRanks().unfit(assemble([["a", "b"]], None, name="made", split="all")) == (
        "made has no images"
    )
    with pytest.raises(ValueError, match=f"^{re.escape('The steps 0 must be at least 1.')}$"):
        RcmeRanks(steps=0)


def test_the_conformance_kit_finds_nothing() -> None:
    assert [check for check in check_task(RcmeRanks(), made(0)) if check.passed is False] == []


@pytest.mark.data
def test_blind_scores_of_the_published_names(rare_species_root: Path) -> None:
    data = rare_species(data_at(rare_species_root))
    assert (len(data.ranks), len(data.texts)) == (11_983, 1_024)
    reached = ceilings(RcmeRanks(), data, RcmeRanks.metrics)
    assert reached["precision"]["commonest"] == 1.0  # every row is an animal
    assert reached["recall"]["commonest"] == pytest.approx(1 / 7)
    # six names of one word and a species of two: a sixth of the pairs of a row, equal ones right
    assert reached["d_corr"]["words"] == 1.0
    assert 0.5 < reached["tau_d"]["words"] < 0.6
    assert reached["tau_d"]["rarity"] > 0.9


@pytest.mark.reference
@pytest.mark.parametrize("name", ["tree_d16", "random_paths_d24"])
def test_released_figures_through_the_command_line(
    packs_root: Path, tmp_path: Path, name: str
) -> None:
    folder = packs_root / "rcme"
    given = json.loads((folder / f"{name}.json").read_text())
    vectors = load_file(folder / f"{name}.safetensors")
    expected = json.loads((folder / "expected.json").read_text())[name]
    table = tmp_path / "taxonomy" / "taxonomy.csv"
    table.parent.mkdir()
    images = [f"{i}.jpg" for i in range(len(vectors["images"]))]
    for image in images:
        (table.parent / image).touch()
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"rank{j}" for j in range(1, 8)), "image"])
        for row, image in zip(given["rows"], given["image_of_row"], strict=True):
            writer.writerow([*row, images[image]])
    stored = packs.write_folder(
        tmp_path / "vectors",
        given["texts"],
        vectors["texts"],
        images,
        vectors["images"],
        root_text=given["root_text"],
        root=vectors["root"],
    )
    arguments = ("--dataset", "taxonomy", "--data-dir", str(tmp_path))
    got = packs.values(packs.run(stored, "rcme-ranks", tmp_path / "out", *arguments))
    for metric in ("d_corr", "precision", "recall"):
        assert got[metric] == pytest.approx(expected[metric], abs=1e-9)
    rooted = packs.write_folder(  # the same with another root of the model's own
        tmp_path / "rooted",
        [*given["texts"], given["root_text"]],
        torch.cat([vectors["texts"], vectors["root"][None]]),
        images,
        vectors["images"],
        root=vectors["root"] * -1,
    )
    named = ("--probes", "text-root", "--probe-args", f"text={given['root_text']}")
    again = packs.values(packs.run(rooted, "rcme-ranks", tmp_path / "again", *arguments, *named))
    assert again == got
