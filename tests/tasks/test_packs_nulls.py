"""The packs' nulls: a draw is the score of the vectors as they were dealt out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.made import Picture, random_chains

from hiereval import nulls
from hiereval.datasets import himo_docci, karpathy, ranked_names
from hiereval.estimates import metrics_of, ones
from hiereval.geometry import LorentzSpace, SphereSpace, normalise
from hiereval.tasks.himo import HiMo
from hiereval.tasks.pep import Pep
from hiereval.tasks.rcme_ranks import RcmeRanks
from hiereval.tasks.retention import Retention
from hiereval.types import Dataset, NullKind, Scores, Space, Task

RNG = np.random.default_rng(5)
PICTURES = [Picture(f"{i}.jpg") for i in range(9)]
WORDS = [
    [" ".join(RNG.choice(list("abc"), RNG.integers(1, 4))) for _ in range(5)] for _ in PICTURES
]
CHAINS = random_chains(3, c=9, images=9)
GROWN = himo_docci.assemble(
    [row[: 2 + i % 4] for i, row in enumerate(WORDS)], PICTURES, name="made", split="test"
)
GROWN = replace(GROWN, truncated=np.arange(len(GROWN.texts)) % 3 == 0)
RANKS = ranked_names.assemble([row[:4] for row in WORDS], PICTURES, name="made", split="all")
CAPTIONED = karpathy.assemble(WORDS, PICTURES, name="made", split="test")
PEP = Pep(negatives=4, matched=2)
CASES: list[tuple[Task, Dataset, NullKind, bool]] = [
    (PEP, CHAINS, "within-length", False),
    (PEP, CHAINS, "images", False),
    (PEP, CHAINS, "within-length", True),
    (PEP, CHAINS, "images", True),
    (HiMo(matched=2), GROWN, "free", False),
    (HiMo(matched=2), GROWN, "within-length", False),
    (HiMo(matched=2), GROWN, "images", True),
    (RcmeRanks(steps=5), RANKS, "free", False),
    (RcmeRanks(steps=5), RANKS, "within-length", False),
    (Retention(), CAPTIONED, "images", False),
]


def space(data: Dataset, lorentz: bool, seed: int = 1) -> SphereSpace | LorentzSpace:
    generator = torch.Generator().manual_seed(seed)
    sizes = (len(data.texts), len(data.images))
    text, image = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in sizes)
    if lorentz:
        return LorentzSpace(text, image, text.new_zeros(4), 1.0)
    return SphereSpace(normalise(text), normalise(image), normalise(torch.ones(4).double()))


def score(task: Task, points: Space, data: Dataset) -> Scores:
    return task.score(points, data, torch.Generator().manual_seed(0))


def values(task: Task, scores: Scores) -> dict[str, float]:
    return {
        metric.name: math.nan
        if metric.name in scores.undefined
        else metric.statistic(scores.items, ones(len(scores.ids))).item()
        for metric in metrics_of(task, scores.items)
    }


@pytest.mark.parametrize(
    ("task", "data", "kind", "lorentz"), CASES, ids=lambda x: str(getattr(x, "name", x))
)
def test_a_draw_is_the_score_of_what_was_dealt_out(
    task: Task, data: Dataset, kind: NullKind, lorentz: bool
) -> None:
    points = space(data, lorentz)
    null = score(task, points, data).nulls[kind]
    drawn = null.draw(5, torch.Generator().manual_seed(2))
    assert drawn
    anywhere = torch.zeros(len(data.images if kind == "images" else data.texts)).long()
    groups = nulls.word_counts(data.texts) if kind == "within-length" else anywhere
    assert points.image is not None
    for row, deal in enumerate(nulls.deal(groups, 5, torch.Generator().manual_seed(2))):
        moved = {"image": points.image[deal]} if kind == "images" else {"text": points.text[deal]}
        expected = values(task, score(task, replace(points, **moved), data))
        for name, numbers in drawn.items():
            assert numbers[row].item() == pytest.approx(expected[name], abs=1e-6, nan_ok=True), name


def test_images_dealt_out_under_the_names_found_move_the_truth_alone() -> None:
    task = RcmeRanks(steps=5)
    points = space(RANKS, lorentz=False)
    drawn = score(task, points, RANKS).nulls["images"].draw(5, torch.Generator().manual_seed(2))
    assert points.image is not None
    anywhere = torch.zeros(len(RANKS.images)).long()
    for row, deal in enumerate(nulls.deal(anywhere, 5, torch.Generator().manual_seed(2))):
        # what image i found is compared with the rows of image deal[i]
        moved = replace(points, image=points.image[deal.argsort()])
        expected = values(task, score(task, moved, RANKS))
        for name in ("precision", "recall", "f1"):
            assert drawn[name][row].item() == pytest.approx(expected[name], abs=1e-9)
