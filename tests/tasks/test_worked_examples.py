"""The worked examples of the tasks' pages, computed again, and the controls' figures there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from support.at import options
from support.made import Picture, chains_of

from hiereval.blind import ceilings
from hiereval.datasets import himo_docci, karpathy, open_dataset, ranked_names
from hiereval.datasets.hierarchy import build
from hiereval.datasets.hycoclip import read_isa
from hiereval.estimates import bootstrap, metrics_of
from hiereval.geometry import EuclideanSpace
from hiereval.tasks.entailment import Entailment
from hiereval.tasks.flat_retrieval import FlatRetrieval
from hiereval.tasks.hierarchical_consistency import HierarchicalConsistency
from hiereval.tasks.himo import HiMo
from hiereval.tasks.hycoclip_wordnet import HycoclipWordnet, Worth
from hiereval.tasks.image_entailment import ImageEntailment
from hiereval.tasks.interpolation import Interpolation
from hiereval.tasks.ordering import Ordering
from hiereval.tasks.pep import Pep
from hiereval.tasks.rcme_ranks import RcmeRanks
from hiereval.tasks.retention import Retention
from hiereval.tasks.retrieval import Retrieval
from hiereval.types import Dataset, Scores, Task

PAGES = Path(__file__).parents[2] / "docs" / "tasks"
CHAIN = chains_of([["animal", "bird", "blue bird", "a blue bird on a branch"]])
CHAIN_POINTS = [(1.0, 0.0), (2.0, 0.5), (1.5, 1.0), (3.0, 1.0)]
PAIRS = chains_of(
    [["bird", "a blue bird"], ["car", "a red car"]],
    [["car", "a red car"], ["bird", "a blue bird"]],
    ["bird.jpg", "car.jpg"],
)
PICTURES = [Picture("bird.jpg"), Picture("car.jpg")]
GROWN = himo_docci.assemble(
    [["a bird", "a blue bird"], ["a car", "a car, red"]], PICTURES, name="made", split="test"
)
RANKS = ranked_names.assemble(
    [["bird", "blue bird"], ["car", "red car"]], PICTURES, name="made", split="all"
)
CAPTIONED = karpathy.assemble(
    [["bird", "a blue bird"], ["car", "a red car"]], PICTURES, name="made", split="test"
)
PAIR_POINTS = [(1.0, 0.5), (2.0, 2.0), (1.0, -1.0), (0.5, 0.25)]
IMAGES = torch.tensor([[3.0, 2.0], [1.0, -0.5]], dtype=torch.float64)


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the rows below a heading that begin with a name in code font."""
    section = (PAGES / f"{page}.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^`]+` \|.*)\|$", section, flags=re.MULTILINE)
    return [[cell.strip(" `") for cell in row.split("|")] for row in rows]


def shown(value: float | None, places: int = 3) -> str:
    return "null" if value is None else f"{value:.{places}f}"


@pytest.mark.parametrize(
    ("task", "data", "points"),
    [
        (Ordering(), CHAIN, CHAIN_POINTS),
        (Entailment(), PAIRS, PAIR_POINTS),
        (ImageEntailment(negatives=1), PAIRS, PAIR_POINTS),
        (Retrieval(steps=5), PAIRS, PAIR_POINTS),
        (Interpolation(steps=5), PAIRS, PAIR_POINTS),
        (FlatRetrieval(), PAIRS, PAIR_POINTS),
        (Pep(negatives=1, matched=1), PAIRS, PAIR_POINTS),
        (HiMo(matched=1), GROWN, PAIR_POINTS),
        (RcmeRanks(steps=5), RANKS, PAIR_POINTS),
        (Retention(), CAPTIONED, PAIR_POINTS),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_worked_example(task: Task, data: Dataset, points: list[tuple[float, float]]) -> None:
    text = torch.tensor(points, dtype=torch.float64)
    space = EuclideanSpace(text, IMAGES, torch.zeros(2, dtype=torch.float64))
    scores = task.score(space, data, torch.Generator().manual_seed(0))
    found = bootstrap(metrics_of(task, scores.items), scores, seed=0, resamples=5)
    expected = [[name, shown(estimate.value)] for name, estimate in found.items()]
    assert table(task.name, "Worked example") == expected


@pytest.mark.data
def test_controls_of_the_ordering_page(hierarcaps_root: Path) -> None:
    data = open_dataset("hierarcaps", options(hierarcaps_root))
    rows = {row[0]: row[1:] for row in table("ordering", "Chance and controls")}
    counts = {"words": lambda t: len(t.split()), "characters": len, "constant": lambda t: 1}
    assert rows.keys() == {f"control:{name}" for name in counts}
    for name, count in counts.items():
        text = torch.tensor([[float(count(t))] for t in data.texts])
        scores = Ordering().score(
            EuclideanSpace(text, None, torch.zeros(1)), data, torch.Generator()
        )
        found = bootstrap(metrics_of(Ordering(), scores.items), scores, seed=0, resamples=5)
        assert rows[f"control:{name}"] == [
            shown(found["tau_d"].value, 4),
            shown(found["exact_order"].value),
            shown(found["length_matched_auroc"].value),
            shown(found["adversarial_accuracy"].value),
            shown(found["tau_partial"].value),
        ]


def test_worked_example_of_hycoclip_wordnet() -> None:
    edges = [
        ("robin", "bird"), ("jay", "bird"), ("bird", "animal"), ("pug", "dog"), ("dog", "animal"),
        ("animal", "thing"), ("car", "vehicle"), ("vehicle", "thing"),
    ]  # fmt: skip
    hierarchy = build(edges, ["robin", "jay", "pug", "car"], "made")
    true, predicted = torch.tensor([0, 0, 2, 3]), torch.tensor([0, 1, 0, 2])
    items = Worth.of(hierarchy).items(true, predicted)
    found = bootstrap(HycoclipWordnet.metrics, Scores(list("abcd"), items), seed=0, resamples=5)
    expected = [[name, shown(estimate.value)] for name, estimate in found.items()]
    assert table("hycoclip-wordnet", "Worked example") == expected


def test_worked_example_of_hierarchical_consistency() -> None:
    names = ("animal bird robin", "animal bird jay", "animal dog pug black", "thing vehicle")
    said = ("animal bird robin", "animal dog jay", "animal dog ox black", "thing")
    truth, answers = ([row.split() for row in rows] for rows in (names, said))
    scores = HierarchicalConsistency().answered(list("abcd"), truth, answers)
    found = bootstrap(HierarchicalConsistency.metrics, scores, seed=0, resamples=5)
    expected = [[name, shown(estimate.value)] for name, estimate in found.items()]
    assert table("hierarchical-consistency", "Worked example") == expected


@pytest.mark.data
def test_ceilings_of_hycoclip_wordnet(hycoclip_edges: Path) -> None:
    edges = read_isa(hycoclip_edges)
    classes = sorted({child for child, _ in edges} - {parent for _, parent in edges})
    means = {k: t.mean() for k, t in Worth.of(build(edges, classes, "made")).tables.items()}
    rows = table("hycoclip-wordnet", "Ceilings")
    assert [value for _, value in rows] == [shown(value.item()) for value in means.values()]


@pytest.mark.data
@pytest.mark.parametrize(
    ("task", "spec", "names"),
    [
        (
            Pep(),
            "hierarcaps",
            {
                "is none of the 101 negative captions": "pool-membership",
                "fewer words": "minus-words",
                "fewer characters": "minus-characters",
            },
        ),
        (HiMo(), "himo-docci", {"words": "words", "characters": "characters"}),
        (
            RcmeRanks(),
            "rare-species",
            {
                "words": "words",
                "rarity: names that stand in fewer rows lie further out": "rarity",
                "commonest: nothing but the most frequent name": "commonest",
            },
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_ceilings_of_the_pages(
    task: Task, spec: str, names: dict[str, str], hierarcaps_root: Path, himo_root: Path,
    rare_species_root: Path,
) -> None:  # fmt: skip
    shown_metrics = {
        "pep": ("auroc", "average_precision", "matched_auroc", "matched_average_precision"),
        "himo": ("himo_k", "strict_rise", "himo_k_matched"),
        "rcme-ranks": ("d_corr", "tau_d", "precision", "recall"),
    }[task.name]
    reached = ceilings(task, open_dataset(spec, options(hierarcaps_root)), task.metrics)
    section = (PAGES / f"{task.name}.md").read_text().split("## Ceilings\n")[1]
    for words, name in names.items():
        values = [shown(reached[metric][name]) for metric in shown_metrics]
        assert f"| {words} | {' | '.join(values)} |" in section
