"""HyCoCLIP's measures: by hand, against a slow oracle, and against the released code's outputs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reference.hierarchy import strict_mistake
from safetensors.torch import load_file, save_file
from support.typed import exit_code

from hiereval.datasets.hierarchy import build
from hiereval.datasets.hycoclip import read_isa
from hiereval.datasets.image_files import FileImage
from hiereval.datasets.imagenet import LabelledImages, assemble
from hiereval.estimates import bootstrap
from hiereval.geometry import EuclideanSpace, SphereSpace, normalise
from hiereval.tasks.hycoclip_wordnet import HycoclipWordnet, Worth
from hiereval.testing import check_task

# thing > animal > bird > robin, jay;  animal > dog > pug;  thing > vehicle > car
EDGES = [
    ("robin", "bird"), ("jay", "bird"), ("bird", "animal"), ("pug", "dog"), ("dog", "animal"),
    ("animal", "thing"), ("car", "vehicle"), ("vehicle", "thing"),
]  # fmt: skip
CLASSES = ["robin", "jay", "pug", "car"]


def miniature(
    labels: list[int], templates: tuple[str, ...] = ("{}",), edges: list[tuple[str, str]] = EDGES
) -> LabelledImages:
    images = [(c, FileImage(f"{i}.png", Path("imagenet/val/x/y"))) for i, c in enumerate(labels)]
    return assemble(
        "miniature",
        "val",
        images,
        hierarchy=build(edges, CLASSES, "test"),
        classes=CLASSES,
        names={},
        superclasses=(),
        superclass_of=[-1] * 4,
        templates=templates,
    )


def test_by_hand() -> None:
    data = miniature([0, 0, 2, 3])
    answers = torch.eye(4, dtype=torch.float64)[[0, 1, 0, 2]]
    space = SphereSpace(torch.eye(4, dtype=torch.float64), answers, torch.zeros(4))
    scores = HycoclipWordnet().score(space, data, torch.Generator())
    # true > predicted: robin > robin, robin > jay, pug > robin, car > pug
    assert scores.items["tie"].tolist() == [0.0, 2.0, 4.0, 5.0]
    # |A(predicted)| = 3 each; shared 3, 3, 2 (animal, thing), 1 (thing)
    assert scores.items["lca"].tolist() == [1.0, 1.0, 2.0, 3.0]
    assert scores.items["jaccard"].tolist() == [1.0, 1.0, 2 / 4, 1 / 4]
    assert scores.items["precision"].tolist() == [1.0, 1.0, 2 / 3, 1 / 3]
    assert scores.items["recall"].tolist() == [1.0, 1.0, 2 / 3, 1 / 2]
    assert scores.details is not None
    assert scores.details(3) == {"class": "car", "predicted_class": "pug"}
    assert scores.summary == {"templates": ["{}"]}


def test_agrees_with_the_oracle_on_a_graph_with_two_parents() -> None:
    edges = [*EDGES, ("pug", "toy"), ("toy", "thing"), ("car", "toy"), ("jay", "thing")]
    true, predicted = (torch.from_numpy(a.reshape(-1)) for a in np.meshgrid(range(4), range(4)))
    found = Worth.of(build(edges, CLASSES, "test")).items(true, predicted)
    for i, (t, p) in enumerate(zip(true.tolist(), predicted.tolist(), strict=True)):
        expected = {
            **strict_mistake(edges, CLASSES, CLASSES[t], CLASSES[p]), "correct": float(t == p)
        }  # fmt: skip
        assert {key: found[key][i].item() for key in found} == pytest.approx(expected, abs=1e-12)


def test_one_class_alone_and_the_first_of_equal_classes() -> None:
    data = miniature([1, 1])  # only jays; robin and jay have one vector, so robin is the answer
    text = torch.eye(4, dtype=torch.float64)[[0, 0, 2, 3]]
    images = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.5, 0.0]], dtype=torch.float64)
    scores = HycoclipWordnet().score(SphereSpace(text, images, text[0]), data, torch.Generator())
    assert scores.items["predicted"].tolist() == [0, 0]
    found = bootstrap(HycoclipWordnet.metrics, scores, seed=0, resamples=5)
    values = {name: estimate.value for name, estimate in found.items()}
    assert values == {  # a wrong answer with full marks: only tie and accuracy see it
        "tie": 2.0, "lca": 1.0, "jaccard": 1.0, "hierarchical_precision": 1.0,
        "hierarchical_recall": 1.0, "accuracy": 0.0,
    }  # fmt: skip
    assert HycoclipWordnet().unfit(replace(data, classes=("jay",))) == "there is only one class"


def test_prompts_are_averaged_as_points_not_as_similarities() -> None:
    data = miniature([0, 2], ("{}", "a {}"))
    text = torch.zeros(len(data.texts), 2, dtype=torch.float64)
    text[:, 1] = -1.0
    # robin's prompts lie 90 degrees apart, so their mean is short: normalised, it wins
    for prompt, point in {
        "robin": (1.0, 0.0), "a robin": (0.0, 1.0), "jay": (0.9, 0.1), "a jay": (0.4, 0.6)
    }.items():  # fmt: skip
        text[data.texts.index(prompt)] = torch.tensor(point)
    image = normalise(torch.ones(2, 2, dtype=torch.float64))
    space = SphereSpace(normalise(text), image + torch.tensor([[0.0], [1e-3]]), text[0])

    def predicted(template: str) -> int:
        scores = HycoclipWordnet(template).score(space, data, torch.Generator())
        return int(scores.items["predicted"][0])

    assert predicted("{}") == 1
    assert predicted("all") == 0
    assert HycoclipWordnet("the {}").unfit(data) == (
        "the template 'the {}' is none of this data's ('{}', 'a {}'), and 'all' averages over them"
    )


def test_undefined() -> None:
    data = miniature([0, 2], ("{}", "a {}"))
    points = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points[data.texts.index("a jay")] = -points[data.texts.index("jay")]
    space = SphereSpace(normalise(points), normalise(points[:2]), points[0])
    scores = HycoclipWordnet().score(space, data, torch.Generator())
    assert set(scores.undefined.values()) == {"the prompts of the class 'jay' cancel out"}
    ones = EuclideanSpace(torch.ones(8, 3), points[:2], points[0])
    scores = HycoclipWordnet().score(ones, data, torch.Generator())
    assert set(scores.undefined.values()) == {
        "all texts have the same vector, as a constant encoder's do"
    }


def test_dealing_out_the_images_and_random_answers() -> None:
    """The null of perfect answers is the shuffled labels; uniform answers are their expectation."""
    data = miniature([0, 0, 1, 2, 3])
    space = SphereSpace(torch.eye(4), torch.eye(4)[data.labels], torch.zeros(4))
    scores = HycoclipWordnet().score(space, data, torch.Generator())
    drawn = scores.nulls["images"].draw(4000, torch.Generator().manual_seed(0))
    pairs = [(t, p) for t in data.labels.tolist() for p in data.labels.tolist()]
    tables = Worth.of(data.hierarchy).tables
    for metric, key in (("tie", "tie"), ("jaccard", "jaccard"), ("accuracy", "correct")):
        expected = sum(tables[key][t, p].item() for t, p in pairs) / len(pairs)
        assert drawn[metric].mean().item() == pytest.approx(expected, rel=0.03)
    uniform = HycoclipWordnet().blind(data)["uniform"]
    # robin among robin, jay, pug, car: 0, 2, 4, 5 edges
    assert uniform.items["tie"].tolist() == [11 / 4, 11 / 4, 11 / 4, 13 / 4, 15 / 4]
    assert uniform.items["correct"].tolist() == [0.25] * 5


def test_conforms() -> None:
    checks = check_task(HycoclipWordnet(), miniature([0, 1, 2, 3, 3], ("{}", "a {}")))
    assert [check for check in checks if check.passed is False] == []


@pytest.mark.reference
@pytest.mark.parametrize("name", ["mixed70", "same_set50"])
def test_the_released_codes_outputs_through_the_command_line(
    name: str,
    tmp_path: Path,
    packs_root: Path,
    hycoclip_edges: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = packs_root / "hycoclip_wordnet"
    answers = load_file(folder / f"{name}.safetensors")
    edges = read_isa(hycoclip_edges)
    classes = sorted({child for child, _ in edges} - {parent for _, parent in edges})
    root = tmp_path / "data"
    (root / "hycoclip").mkdir(parents=True)
    (root / "hycoclip" / "imagenet_isa.txt").write_bytes(hycoclip_edges.read_bytes())
    (root / "hycoclip" / "templates.txt").write_text("a {}\nthe {}\n")
    images = [f"{classes[t]}/{i}.JPEG" for i, t in enumerate(answers["true"].tolist())]
    for image in images:
        (root / "imagenet" / "val" / image).parent.mkdir(parents=True, exist_ok=True)
        (root / "imagenet" / "val" / image).touch()
    names = "".join(f"{c},{c}\n" for c in classes)
    (root / "imagenet" / "names.csv").write_text(f"class,name\n{names}")
    model, one_hot = tmp_path / name, torch.eye(1000)
    model.mkdir()
    texts = ["", *(f"{word} {c}" for word in ("a", "the") for c in classes)]
    (model / "index.json").write_text(json.dumps({"texts": texts, "images": images}))
    save_file(
        {
            "text": torch.cat([torch.ones(1, 1000), one_hot, one_hot]),
            "image": one_hot[answers["predicted"].long()],
        },
        model / "embeddings.safetensors",
    )
    monkeypatch.chdir(tmp_path)
    command = f"run --model precomputed:{model} --tasks hycoclip-wordnet --controls none"
    sampled = ("--log-samples", "--resamples", "10")
    assert exit_code(*command.split(), "--data-dir", root, *sampled) == 0
    record = json.loads((tmp_path / "results" / f"{name}.jsonl").read_text())
    assert record["dataset"]["revision"] == "08bb05b8"
    expected = json.loads((folder / "expected.json").read_text())[name]
    for metric, value in record["metrics"].items():
        wanted = expected["top1_accuracy" if metric == "accuracy" else metric]
        exact = metric in ("tie", "lca", "accuracy")
        assert value["value"] == pytest.approx(wanted, rel=0, abs=0.0 if exact else 1e-12)
    (samples,) = (tmp_path / "results" / "samples").iterdir()
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    place = {row["item"]: i for i, row in enumerate(rows)}
    items = load_file(folder / f"{name}.items.safetensors")
    for key in ("tie", "lca", "jaccard", "precision", "recall"):
        theirs = items[key if key in items else f"hierarchical_{key}"].tolist()
        assert [rows[place[image]]["values"][key] for image in images] == theirs
