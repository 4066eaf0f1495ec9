"""Hierarchical classification on a miniature worked by hand, and against a slow oracle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reference.hierarchy import mistake

from hiereval.datasets.hierarchy import build
from hiereval.datasets.image_files import FileImage
from hiereval.datasets.imagenet import LabelledImages, assemble
from hiereval.estimates import bootstrap
from hiereval.geometry import SphereSpace, normalise
from hiereval.tasks.hierarchical_classification import HierarchicalClassification, mistakes
from hiereval.types import Scores

# thing > animal > bird > robin, jay;  animal > dog > pug;  thing > vehicle > car
EDGES = [
    ("robin", "bird"), ("jay", "bird"), ("bird", "animal"), ("pug", "dog"), ("dog", "animal"),
    ("animal", "thing"), ("car", "vehicle"), ("vehicle", "thing"),
]  # fmt: skip
CLASSES = ["robin", "jay", "pug", "car"]
SUPERCLASSES = ["bird", "dog", "vehicle"]
TRUE = [0, 0, 2, 3]
DIMENSIONS = CLASSES + SUPERCLASSES
IMAGES = [  # class, superclass that each image is most like, then the runner-up superclass
    {"robin": 3.0, "bird": 2.0},  # robin, and a bird
    {"jay": 3.0, "robin": 2.0, "bird": 2.0},  # jay
    {"robin": 3.0, "bird": 2.0, "dog": 1.0},  # robin, dog comes second
    {"pug": 3.0},  # pug; all superclasses tie, so vehicle comes third
]


def miniature(**changes: object) -> LabelledImages:
    data = assemble(
        "miniature",
        "val",
        [(label, FileImage(f"{i}.png", Path("imagenet/val/x/y"))) for i, label in enumerate(TRUE)],
        hierarchy=build(EDGES, CLASSES, "test"),
        classes=CLASSES,
        names={},
        superclasses=SUPERCLASSES,
        superclass_of=[0, 0, 1, 2],
        templates=["{}", "a {}"],
    )
    return replace(data, **changes)  # type: ignore[arg-type]


def score(data: LabelledImages, **parameters: object) -> Scores:
    """Texts are unit vectors of their own, whatever the template; images are mixtures."""
    text = torch.stack(
        [torch.eye(len(DIMENSIONS))[DIMENSIONS.index(t.removeprefix("a "))] for t in data.texts]
    )
    images = torch.tensor([[image.get(d, 0.0) for d in DIMENSIONS] for image in IMAGES])
    space = SphereSpace(text, normalise(images), normalise(torch.ones(len(DIMENSIONS))))
    task = HierarchicalClassification(**{"template": "{}", **parameters})  # type: ignore[arg-type]
    assert task.unfit(data) is None
    return task.score(space, data, torch.Generator())


def values(scores: Scores) -> dict[str, float | None]:
    found = bootstrap(HierarchicalClassification.metrics, scores, seed=0, resamples=20)
    return {name: estimate.value for name, estimate in found.items()}


def test_miniature_by_hand() -> None:
    scores = score(miniature())
    # true > predicted:      robin > robin   robin > jay    pug > robin       car > pug
    assert scores.items["predicted"].tolist() == [0, 1, 0, 2]
    # shortest paths                0        jay-bird-robin  pug-dog-animal-bird-robin  5 over thing
    assert scores.items["tie"].tolist() == [0.0, 2.0, 4.0, 5.0]
    # lowest common ancestor      robin          bird            animal            thing
    assert scores.items["height"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert scores.items["depth"].tolist() == [3.0, 2.0, 1.0, 0.0]
    # Ancestors without the root: robin {robin bird animal}, jay {jay bird animal},
    # pug {pug dog animal}, car {car vehicle}. Shared: 3 of 3, 2 of 4, 1 of 5, 0 of 5.
    assert values(scores) == pytest.approx(
        {
            "accuracy": 1 / 4,
            "tree_induced_error": 11 / 4,
            "lca_height": 6 / 4,
            "mistake_severity": 6 / 3,
            "lca_depth": 6 / 4,
            "jaccard": (1 + 2 / 4 + 1 / 5 + 0) / 4,
            "hierarchical_precision": (1 + 2 / 3 + 1 / 3 + 0) / 4,
            "hierarchical_recall": (1 + 2 / 3 + 1 / 3 + 0) / 4,
            "superclass_r1": 2 / 4,  # places 0, 0, 1 (dog behind bird), 2 (ties: vehicle is last)
            "superclass_r5": None,
        },
        abs=1e-9,
    )
    assert scores.undefined == {"superclass_r5": "there are only 3 superclasses"}
    assert scores.items["superclass_rank"].tolist() == [0.0, 0.0, 1.0, 2.0]
    assert scores.ids == ["0.png", "1.png", "2.png", "3.png"]
    assert scores.details is not None
    assert scores.details(3) == {"class": "car", "predicted_class": "pug"}


def test_counting_the_root_by_hand() -> None:
    found = values(score(miniature(), count_root=True))
    # With thing: robin 4, jay 4, pug 4, car 3 ancestors; shared 4, 3, 2, 1.
    assert found["jaccard"] == pytest.approx((1 + 3 / 5 + 2 / 6 + 1 / 6) / 4, abs=1e-9)
    assert found["hierarchical_precision"] == pytest.approx((1 + 3 / 4 + 2 / 4 + 1 / 4) / 4)
    assert found["hierarchical_recall"] == pytest.approx((1 + 3 / 4 + 2 / 4 + 1 / 3) / 4)
    assert found["tree_induced_error"] == 11 / 4


def test_all_templates_average_the_similarities() -> None:
    data = miniature()
    assert data.texts[:4] == ("robin", "jay", "pug", "car")
    text = torch.zeros(len(data.texts), 2, dtype=torch.float64)
    text[:, 1] = 1.0
    # "{}" prefers robin (0.8 against 0.6), "a {}" prefers jay (1.0 against 0.0): on average jay
    text[data.texts.index("robin")] = torch.tensor([0.8, 0.6])
    text[data.texts.index("jay")] = torch.tensor([0.6, 0.8])
    text[data.texts.index("a jay")] = torch.tensor([1.0, 0.0])
    image = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]], dtype=torch.float64)
    space = SphereSpace(text, image, image[0])
    predicted = {
        template: HierarchicalClassification(template=template)
        .score(space, data, torch.Generator())
        .items["predicted"][0]
        .item()
        for template in ("{}", "a {}", "all")
    }
    assert predicted == {"{}": 0, "a {}": 1, "all": 1}


def test_no_superclasses_and_no_mistakes_are_undefined() -> None:
    data = miniature(superclasses=(), superclass_of=np.full(4, -1), labels=np.array([0, 1, 0, 2]))
    scores = score(data)
    reason = "this data names no superclasses (imagenet/superclasses.txt)"
    assert scores.undefined == {
        "mistake_severity": "there is no mistake",
        "superclass_r1": reason,
        "superclass_r5": reason,
    }
    assert values(scores)["accuracy"] == 1.0


def test_a_class_without_superclass_is_left_out() -> None:
    scores = score(miniature(superclass_of=np.array([-1, -1, 1, 2])))
    found = bootstrap(HierarchicalClassification.metrics, scores, seed=0, resamples=20)
    assert (found["superclass_r1"].value, found["superclass_r1"].n) == (0.0, 2)


def test_a_constant_encoder_is_undefined() -> None:
    data = miniature()
    text, image = torch.ones(len(data.texts), 2), torch.eye(2).repeat(2, 1)
    task = HierarchicalClassification(template="{}")
    scores = task.score(SphereSpace(text, image, image[0]), data, torch.Generator())
    reason = "all texts have the same vector, as a constant encoder's do"
    assert scores.undefined == {metric.name: reason for metric in task.metrics}
    assert set(values(scores).values()) == {None}


def test_unfit() -> None:
    data = miniature()
    assert HierarchicalClassification(template="the {}").unfit(data) == (
        "the template 'the {}' is none of this data's ('{}', 'a {}'); a line in "
        "imagenet/templates.txt adds one, and 'all' averages over them"
    )
    one = replace(data, classes=("robin",))
    assert HierarchicalClassification(template="{}").unfit(one) == "there is only one class"


@pytest.mark.parametrize("count_root", [False, True])
def test_mistakes_agree_with_the_oracle_on_a_graph_with_two_parents(count_root: bool) -> None:
    edges = [*EDGES, ("pug", "toy"), ("toy", "thing"), ("car", "toy"), ("jay", "thing")]
    hierarchy = build(edges, CLASSES, "test")
    true, predicted = (a.reshape(-1) for a in np.meshgrid(range(4), range(4)))
    found = mistakes(hierarchy, true, predicted, count_root)
    for i, (t, p) in enumerate(zip(true, predicted, strict=True)):
        expected = mistake(edges, CLASSES, CLASSES[t], CLASSES[p], count_root)
        assert {key: found[key][i].item() for key in expected} == pytest.approx(expected, abs=1e-9)
    assert found["severity"].isnan().sum() == 4


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score(miniature())
    monkeypatch.setattr("hiereval.tasks.hierarchical_classification.CHUNK", 1)
    parts = score(miniature())
    for key, expected in whole.items.items():
        torch.testing.assert_close(parts.items[key], expected, rtol=0, atol=0, equal_nan=True)


def test_rotating_the_space_and_reordering_the_images_change_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    data = miniature(labels=np.array([0, 1, 2, 3]))
    text = normalise(torch.randn(len(data.texts), 6, generator=generator, dtype=torch.float64))
    image = normalise(torch.randn(4, 6, generator=generator, dtype=torch.float64))
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    task = HierarchicalClassification(template="all")
    before = task.score(SphereSpace(text, image, text[0]), data, generator).items
    turned = task.score(SphereSpace(text @ turn, image @ turn, text[0]), data, generator).items
    order = torch.tensor([2, 0, 3, 1])
    other = replace(data, labels=data.labels[order.numpy()])
    moved = task.score(SphereSpace(text, image[order], text[0]), other, generator).items
    for key, expected in before.items():
        torch.testing.assert_close(turned[key], expected, rtol=0, atol=1e-9, equal_nan=True)
        torch.testing.assert_close(moved[key], expected[order], rtol=0, atol=0, equal_nan=True)
