"""Nulls and blind scores of tasks whose data are not chains, against a score of what was dealt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.made import Picture, random_chains

from hiereval import nulls
from hiereval.datasets.hierarchy import build
from hiereval.datasets.image_files import FileImage
from hiereval.datasets.imagenet import assemble
from hiereval.datasets.predictions import PredictedChains
from hiereval.datasets.ranked_names import RankedNames
from hiereval.estimates import metrics_of, ones
from hiereval.geometry import SphereSpace, normalise
from hiereval.tasks.generation import Generation
from hiereval.tasks.hierarchical_classification import HierarchicalClassification
from hiereval.tasks.hyperlex import HyperLex, WordPairs
from hiereval.tasks.taxonomy import Taxonomy, TaxonomyRetrieval
from hiereval.testing import check_task
from hiereval.types import Dataset, NullKind, Scores, Task

RNG = np.random.default_rng(0)
NAMED = {"split": "all", "revision": None, "sha256": "0", "image_source": ""}


def words() -> WordPairs:
    texts = tuple("word" + "x" * (i % 3) + str(i) for i in range(9))
    pairs = [(i, j) for i in range(9) for j in range(9) if i != j][::3]
    return WordPairs(
        name="pairs",
        **NAMED,  # type: ignore[arg-type]
        texts=texts,
        specific=np.array([i for i, _ in pairs]),
        general=np.array([j for _, j in pairs]),
        rating=RNG.integers(0, 5, len(pairs)).astype(float),
        pos=tuple("NV"[i % 2] for i in range(len(pairs))),
        relation=("r",) * len(pairs),
    )


def table() -> RankedNames:
    ranks = np.stack([RNG.integers(0, 3, 8), RNG.integers(3, 7, 8), np.arange(7, 15)], 1)
    return RankedNames(
        name="ranks",
        **NAMED,  # type: ignore[arg-type]
        texts=tuple("name " * (i % 2) + str(i) for i in range(15)),
        images=tuple(Picture(f"{i}.jpg") for i in range(8)),
        ranks=ranks,
        row_image=np.array([3, 1, 0, 2, 4, 7, 6, 5]),
    )


def classes() -> Dataset:
    names = list("abcdef")
    edges = [*((c, "xyz"[i % 3]) for i, c in enumerate(names)), *((s, "top") for s in "xyz")]
    file = Path("imagenet/val/x/y")
    return assemble(
        "classes",
        "val",
        [(int(c), FileImage(f"{i}.png", file)) for i, c in enumerate(RNG.integers(0, 6, 20))],
        hierarchy=build(edges, names, "test"),
        classes=names,
        names={},
        superclasses=["x", "y"],
        superclass_of=[0, 1, -1, 0, 1, -1],
        templates=["a {}"],
    )


def generated() -> PredictedChains:
    truth = random_chains(1, c=9, k=3, images=9)
    paths = RNG.integers(-1, len(truth.texts), (9, 4))
    paths[2] = -1
    return PredictedChains(
        name="made",
        **NAMED,  # type: ignore[arg-type]
        texts=truth.texts,
        images=truth.images,
        truth=truth,
        vocabulary=truth.texts,
        paths=paths,
    )


def space_of(data: Dataset, seed: int = 0) -> SphereSpace:
    generator = torch.Generator().manual_seed(seed)
    text, image, root = (
        normalise(torch.randn(n, 4, generator=generator, dtype=torch.float64))
        for n in (len(data.texts), len(data.images), 1)
    )
    return SphereSpace(text, image, root[0])


def judged(task: Task, scores: Scores) -> dict[str, float]:
    weights = ones(len(scores.ids))
    return {
        m.name: math.nan
        if m.name in scores.undefined
        else m.statistic(scores.items, weights).item()
        for m in metrics_of(task, scores.items)
        if nulls.is_judged(m)
    }


def dealt_texts(task: Task, data: Dataset, deal: torch.Tensor) -> Scores:
    space = space_of(data)
    space = SphereSpace(space.text[deal], space.image, space.root)
    return task.score(space, data, torch.Generator())


def dealt_images(task: Task, data: Dataset, deal: torch.Tensor) -> Scores:
    space = space_of(data)
    assert space.image is not None
    space = SphereSpace(space.text, space.image[deal], space.root)
    return task.score(space, data, torch.Generator())


def dealt_paths(task: Task, data: Dataset, deal: torch.Tensor) -> Scores:
    assert isinstance(data, PredictedChains)
    moved = replace(data, paths=data.paths[deal.argsort().numpy()])
    return task.score(space_of(data), moved, torch.Generator())


CASES: list[tuple[Task, Callable[[], Dataset], NullKind, Callable[..., Scores]]] = [
    (HyperLex(), words, "free", dealt_texts),
    (HyperLex(), words, "within-length", dealt_texts),
    (Taxonomy(), table, "within-length", dealt_texts),
    (TaxonomyRetrieval(steps=6), table, "images", dealt_images),
    (HierarchicalClassification(template="a {}"), classes, "images", dealt_images),
    (Generation(), generated, "images", dealt_paths),  # type: ignore[list-item]
]


@pytest.mark.parametrize(
    ("task", "make", "kind", "again"), CASES, ids=lambda x: str(getattr(x, "name", ""))
)
def test_a_draw_is_the_score_of_what_was_dealt_out(
    task: Task, make: Callable[[], Dataset], kind: NullKind, again: Callable[..., Scores]
) -> None:
    data = make()
    scores = task.score(space_of(data), data, torch.Generator())
    null = scores.nulls[kind]
    assert null.draws == 1000
    drawn = null.draw(5, torch.Generator().manual_seed(3))
    groups = {
        "free": torch.zeros(len(data.texts), dtype=torch.int64),
        "within-length": torch.tensor(
            [len(t) if isinstance(task, HyperLex) else len(t.split()) for t in data.texts]
        ),
        "images": torch.zeros(len(data.images), dtype=torch.int64),
    }[kind]
    for row, deal in enumerate(nulls.deal(groups, 5, torch.Generator().manual_seed(3))):
        expected = judged(task, again(task, data, deal))
        assert set(drawn) == set(expected)
        for name, values in drawn.items():
            if name not in scores.undefined:
                got = values[row].item()
                assert got == pytest.approx(expected[name], abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize(("task", "make"), [(t, make) for t, make, *_ in CASES[:-1]])
def test_they_conform(task: Task, make: Callable[[], Dataset]) -> None:
    assert [check for check in check_task(task, make()) if check.passed is False] == []


def test_random_answers_are_a_ceiling_of_classification() -> None:
    data = classes()
    task = HierarchicalClassification(template="a {}")
    found = task.blind(data)  # type: ignore[arg-type]
    assert "uniform" in found
    accuracy = judged(task, found["uniform"])["accuracy"]
    assert 0.0 <= accuracy <= 0.5
