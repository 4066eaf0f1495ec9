"""Captions, images and prompts of one vector are equally near, whatever a matrix product says.

`Tilted` does to every later row and column what rounding does to some. A task must then give what
it gives with `Exact`, whose products do not depend on where a point stands.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.made import Picture, random_chains

from hiereval.datasets import consistency, himo_docci, imagenet, question_files, ranked_names
from hiereval.datasets.hierarchy import build
from hiereval.datasets.image_files import FileImage
from hiereval.geometry import SphereSpace, normalise
from hiereval.tasks.flat_retrieval import FlatRetrieval
from hiereval.tasks.hierarchical_classification import HierarchicalClassification
from hiereval.tasks.hierarchical_consistency import HierarchicalConsistency
from hiereval.tasks.himo import HiMo
from hiereval.tasks.hycoclip_wordnet import HycoclipWordnet
from hiereval.tasks.interpolation import Interpolation
from hiereval.tasks.rcme_ranks import RcmeRanks
from hiereval.tasks.retrieval import Retrieval
from hiereval.tasks.taxonomy import TaxonomyRetrieval
from hiereval.types import Dataset, Scores, Task

TILT = 1e-13


class Exact(SphereSpace):
    """Similarities by one sum a pair."""

    def similarity(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x[:, None] * y[None]).sum(-1)


class Tilted(Exact):
    """The later a point stands among those it is asked with, the nearer it seems."""

    def similarity(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        rows, columns = torch.arange(len(x)), torch.arange(len(y))
        return super().similarity(x, y) + TILT * (rows[:, None] + columns[None])


def growing(seed: int) -> himo_docci.GrowingCaptions:
    rng = np.random.default_rng(seed)
    chains = [[f"t{rng.integers(9)} " * k for k in range(1, rng.integers(3, 7))] for _ in range(12)]
    images = [Picture(f"{i % 7}.jpg") for i in range(12)]
    return himo_docci.assemble(chains, images, name="made", split="all")


def ranked(seed: int) -> ranked_names.RankedNames:
    rng = np.random.default_rng(seed)
    rows = [[f"{rank} {rng.integers(4 * rank)}" for rank in (1, 2, 3)] for _ in range(9)]
    images = [Picture(f"{i % 6}.jpg") for i in range(9)]
    return ranked_names.assemble(rows, images, name="made", split="all")


def labelled(seed: int) -> imagenet.LabelledImages:
    classes = [f"c{i}" for i in range(9)]
    edges = [(name, f"group {i % 3}") for i, name in enumerate(classes)]
    edges += [(f"group {i}", "thing") for i in range(3)]
    images = [(i % 9, FileImage(f"{i}.png", Path("imagenet/val/x/y"))) for i in range(18)]
    return imagenet.assemble(
        "made", "val", images, hierarchy=build(edges, classes, "made"), classes=classes, names={},
        superclasses=[f"group {i}" for i in range(3)], superclass_of=[i % 3 for i in range(9)],
        templates=["{}"],
    )  # fmt: skip


def questions(seed: int) -> consistency.Questions:
    rng = np.random.default_rng(seed)
    names = [[f"{level} {i}" for i in range(6)] for level in range(3)]
    rows = []
    for image in range(8):
        options = tuple(tuple(rng.permutation(level)[:4].tolist()) for level in names)
        truth = tuple(str(rng.choice(level)) for level in options)
        rows.append(question_files.Row(f"{image}.png", truth, options))
    paths = {row.truth[-1]: row.truth for row in rows}
    return consistency.assemble(rows, "made", 1, paths, Path("nowhere"))


CASES: list[tuple[Task, object]] = [
    (Retrieval(steps=7), random_chains),
    (Interpolation(steps=7), random_chains),
    (FlatRetrieval(), random_chains),
    (HiMo(matched=2), growing),
    (RcmeRanks(steps=7), ranked),
    (TaxonomyRetrieval(), ranked),
    (HierarchicalClassification(template="{}"), labelled),
    (HycoclipWordnet(), labelled),
    (HierarchicalConsistency(), questions),
]


def spaces(seed: int, data: Dataset) -> tuple[SphereSpace, SphereSpace]:
    """Both spaces over the same few vectors, most of them several texts' or images'."""
    generator = torch.Generator().manual_seed(seed)

    def some(n: int) -> torch.Tensor:
        few = normalise(torch.randn(max(2, n // 3), 5, generator=generator, dtype=torch.float64))
        return few[torch.randint(len(few), (n,), generator=generator)]

    text, image, root = some(len(data.texts)), some(len(data.images)), some(6)[0]
    return Exact(text, image, root), Tilted(text, image, root)


def scored(task: Task, space: SphereSpace, data: Dataset) -> Scores:
    return task.score(space, data, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("task", "made"), CASES, ids=[task.name for task, _ in CASES])
def test_rounding_decides_nothing_between_equal_points(task: Task, made: object) -> None:
    for seed in range(5):
        data = made(seed)  # type: ignore[operator]
        exact, tilted = spaces(seed, data)
        expected, got = (scored(task, space, data) for space in (exact, tilted))
        assert expected.items
        assert got.items.keys() == expected.items.keys()
        for key, values in expected.items.items():
            torch.testing.assert_close(got.items[key], values, rtol=0, atol=1e-11, equal_nan=True)
        for kind, null in expected.nulls.items():
            draws = [
                one.draw(20, torch.Generator().manual_seed(seed)) for one in (null, got.nulls[kind])
            ]
            for metric, values in draws[0].items():
                torch.testing.assert_close(
                    draws[1][metric], values, rtol=0, atol=1e-11, equal_nan=True
                )


def test_a_chain_whose_last_captions_are_cut_alike_does_not_rise() -> None:
    """In float32 of 512 coordinates two thirds of such chains had unequal ends by rounding."""
    data = himo_docci.assemble(
        [[f"{i} a", f"{i} b b", f"{i} c c c"] for i in range(40)],
        [Picture(f"{i}.jpg") for i in range(40)], name="made", split="all",
    )  # fmt: skip
    data = replace(data, truncated=np.array([False, True, True] * 40))
    generator = torch.Generator().manual_seed(0)
    text = normalise(torch.randn(120, 512, generator=generator))
    text[2::3] = text[1::3]
    image = normalise(torch.randn(40, 512, generator=generator))
    scores = scored(HiMo(), SphereSpace(text, image, text[0]), data)
    assert scores.items["rises"].tolist() == [0.0] * 40
