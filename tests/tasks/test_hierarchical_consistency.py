"""Consistency of paths: by hand, against a slow oracle, and against the released code's outputs."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from reference.consistency import measures as slow
from safetensors.torch import load_file, save_file
from support.at import options
from support.typed import exit_code

from hiereval.datasets.consistency import Questions, assemble, hierarchical_consistency
from hiereval.datasets.question_files import TAXONOMIES, Row, read_taxonomy
from hiereval.estimates import bootstrap
from hiereval.geometry import SphereSpace
from hiereval.tasks.hierarchical_consistency import HierarchicalConsistency
from hiereval.testing import check_task
from hiereval.types import Scores

PATHS = {
    "robin": ("animal", "bird", "Robin"), "jay": ("animal", "bird", "jay"),
    "pug": ("animal", "dog", "pug"), "car": ("thing", "vehicle", "car"),
}  # fmt: skip
ROWS = [
    Row("a/1.png", PATHS["robin"], (("animal", "thing"), ("dog", "bird"), ("pug", "Robin", "car"))),
    Row("a/2.png", PATHS["pug"][:2], (("thing", "animal"), ("vehicle", "dog"))),
]


def questions(rows: list[Row] | None = None) -> Questions:
    lower = {leaf: tuple(name.lower() for name in path) for leaf, path in PATHS.items()}
    return assemble(rows or ROWS, "made", 1, lower, Path("nowhere"))


def answering(data: Questions, answers: list[list[str]]) -> SphereSpace:
    """A space in which each image is nearest to these options, and to the others not at all."""
    text = torch.eye(len(data.options))
    place = {name.lower(): i for i, name in enumerate(data.options)}
    image = torch.stack([sum(text[place[name]] for name in row) for row in answers])
    return SphereSpace(text, image, torch.zeros(len(data.options)))


def values(scores: Scores) -> dict[str, float | None]:
    found = bootstrap(HierarchicalConsistency.metrics, scores, seed=0, resamples=5)
    return {name: estimate.value for name, estimate in found.items()}


def test_by_hand() -> None:
    data = questions()
    assert data.options == ("animal", "thing", "dog", "bird", "pug", "Robin", "car", "vehicle")
    assert data.texts[5] == "a photo of a Robin."  # prompts keep their case, answers have none
    space = answering(data, [["animal", "dog", "robin"], ["animal", "dog"]])
    scores = HierarchicalConsistency().score(space, data, torch.Generator())
    assert scores.ids == ["1.png", "2.png"]
    assert {key: value.tolist() for key, value in scores.items.items()} == {
        "hca": [0.0, 1.0],
        "leaf_accuracy": [1.0, 1.0],
        "por": [2 / 3, 1.0],
        "s_por": [1 / 3, 1.0],
        "tor": [0.0, 1.0],
    }
    assert scores.summary == {"level_accuracy": [1.0, 0.5, 1.0], "unscored": 0}
    assert scores.details is not None
    assert scores.details(0) == {
        "truth": ["animal", "bird", "Robin"], "answers": ["animal", "dog", "Robin"]
    }  # fmt: skip


def test_equal_options_take_the_first_and_one_level_has_no_pairs() -> None:
    row = Row("1.png", ("bird",), (("dog", "bird"),))
    data = questions([row, row])
    text = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    space = SphereSpace(torch.cat([text]), torch.tensor([[0.5, 0.5]]), text[0])
    scores = HierarchicalConsistency().score(space, data, torch.Generator())
    assert set(scores.undefined.values()) == {
        "all texts have the same vector, as a constant encoder's do"
    }
    space = SphereSpace(torch.eye(2), torch.tensor([[0.5, 0.5]]), text[0])
    scores = HierarchicalConsistency().score(space, data, torch.Generator())
    assert scores.ids == ["1.png", "1.png (2)"]
    assert values(scores) == {
        "hca": 0.0, "leaf_accuracy": 0.0, "por": 0.0, "s_por": 0.0, "tor": 0.0
    }  # fmt: skip


def test_answers_agree_with_the_oracle_whatever_is_missing() -> None:
    rng = random.Random(0)
    names = ["A", "b", "C", "d", None]
    rows = []
    for _ in range(300):
        length = rng.randint(1, 4)
        row: dict[str, str | None] = {}
        for level in range(1, length + 1):
            row[f"ground_truth_level{level}"] = rng.choice(names)
            if rng.random() < 0.9:
                name = rng.choice([row[f"ground_truth_level{level}"], rng.choice(names)])
                row[f"predicted_level{level}"] = name and name.swapcase()
        rows.append(row)
    for first in (1, 2):
        expected = [slow(row, first) for row in rows]
        truth, answers = ([_path(row, kind, first) for row in rows] for kind in
                          ("ground_truth", "predicted"))  # fmt: skip
        found = HierarchicalConsistency().answered([str(i) for i in range(300)], truth, answers)
        for i, wanted in enumerate(expected):
            got = {key: found.items[key][i].item() for key in found.items}
            if wanted is None:
                assert all(value != value for value in got.values())
            else:
                assert got == wanted


def _path(row: dict[str, str | None], kind: str, first: int) -> tuple[str, ...]:
    from hiereval.datasets.answer_logs import path_of

    levels = {int(k[-1]): v for k, v in row.items() if k.startswith(kind)}
    return path_of(levels, first)


def test_nobody_answered() -> None:
    scores = HierarchicalConsistency().answered(["a", "b"], [("x",), ("y",)], [(), ()])
    assert set(scores.undefined.values()) == {"no image has an answer"}
    assert set(values(scores).values()) == {None}


def test_what_needs_no_image() -> None:
    """The leaf whose whole path is among the options gives itself away: pug's dog is no option."""
    leaf = ("pug", "car", "Robin")
    data = questions([Row("1.png", PATHS["robin"], (("thing", "animal"), ("bird", "ox"), leaf))])
    found = {name: values(s) for name, s in HierarchicalConsistency().blind(data).items()}
    assert found["path"] == {"hca": 1, "leaf_accuracy": 1, "por": 1, "s_por": 1, "tor": 1}
    assert found["position"]["por"] == pytest.approx(1 / 3)
    assert found["characters"]["leaf_accuracy"] == 1.0  # robin is the longest
    assert found["uniform"] == pytest.approx(
        {
            "hca": 1 / 12,
            "leaf_accuracy": 1 / 3,
            "por": (1 / 2 + 1 / 2 + 1 / 3) / 3,
            "s_por": (1 / 2 + 1 / 4 + 1 / 12) / 3,
            "tor": (1 / 4 + 1 / 6) / 2,
        }
    )


def test_the_null_asks_every_row_about_another_image() -> None:
    jay = Row("a/3.png", PATHS["jay"], (("animal",), ("bird", "dog"), ("jay", "pug")))
    data = questions([*ROWS, jay])
    space = answering(data, [["animal", "bird", "robin"], ["animal", "dog"], ["bird", "jay"]])
    scores = HierarchicalConsistency().score(space, data, torch.Generator())
    drawn = scores.nulls["images"].draw(2000, torch.Generator().manual_seed(0))
    every = []
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        other = SphereSpace(space.text, space.image[list(order)], space.root)
        every.append(values(HierarchicalConsistency().score(other, data, torch.Generator())))
    for metric in HierarchicalConsistency.metrics:
        mean = sum(v[metric.name] for v in every) / 6
        assert drawn[metric.name].mean().item() == pytest.approx(mean, abs=0.02)


def test_conforms() -> None:
    checks = check_task(HierarchicalConsistency(), questions())
    assert [check for check in checks if check.passed is False] == []


def test_chance_of_the_six_taxonomies(consistency_root: Path) -> None:
    """Four options a level over every leaf's path, the table of the page."""
    page = Path(__file__).parents[2] / "docs" / "tasks" / "hierarchical-consistency.md"
    for name, taxonomy in TAXONOMIES.items():
        file = f"hierarchy_{taxonomy.taxonomy}.json"
        paths = read_taxonomy(consistency_root / "taxonomies" / file)
        depths = [len(path) - taxonomy.first + 1 for path in paths.values()]
        chance = sum(4.0**-depth for depth in depths) / len(depths)
        assert f"| `{name}` | {len(paths):,} |" in page.read_text()
        assert f"| {chance:.4f} |" in page.read_text()


# --- the released code's outputs -----------------------------------------------------------------

NAMES = {
    "hca": "HCA",
    "por": "POR",
    "s_por": "S-POR",
    "tor": "TOR",
    "leaf_accuracy": "leaf_accuracy",
}


def run(folder: Path, *arguments: str) -> tuple[dict, list[dict]]:
    """Return the record and the samples of a command."""
    sampled = ("--log-samples", "--resamples", "10", "--output-path", folder)
    assert exit_code(*arguments, *sampled) == 0
    (path,) = folder.glob("*.jsonl")
    (samples,) = (folder / "samples").iterdir()
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    return json.loads(path.read_text()), rows


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "split"), [("cub_answers", "cub200"), ("food_missing", "food101")]
)
def test_released_answers_through_the_command_line(
    name: str,
    split: str,
    packs_root: Path,
    consistency_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = packs_root / "consistency"
    record, rows = run(
        tmp_path, "score", str(folder / f"{name}.json"), "--task", "hierarchical-consistency",
        "--dataset", f"hierarchical-consistency:{split}",
        "--data-dir", str(consistency_root.parent),
    )  # fmt: skip
    expected = json.loads((folder / "expected.json").read_text())[name]
    for metric, value in record["metrics"].items():
        assert 100 * value["value"] == pytest.approx(expected[NAMES[metric]], rel=0, abs=1e-10)
        assert value["n"] == expected["n_scored"]
    levels = [100 * value for value in record["summary"]["level_accuracy"]]
    assert levels == pytest.approx([*expected["layer_accuracy"].values()], abs=1e-10)
    items = json.loads((folder / f"{name}.items.json").read_text())
    for row, wanted in zip(rows, items["rows"], strict=True):
        found = [row["values"][ours] for ours, theirs in NAMES.items()]
        if wanted is None:
            assert set(found) == {None}
        else:
            theirs = dict(zip(items["columns"], wanted, strict=True))
            assert [100 * value for value in found] == [theirs[NAMES[key]] for key in NAMES]
    missing = expected["n_rows"] - expected["n_scored"]
    said = f"{missing} of the questions of hierarchical-consistency have no answer and are left out"
    assert (said in capsys.readouterr().err) == (missing > 0)


@pytest.mark.reference
def test_released_embeddings_through_the_command_line(
    packs_root: Path, consistency_root: Path, tmp_path: Path
) -> None:
    folder = packs_root / "consistency"
    meta = json.loads((folder / "cub_embeddings_d16.json").read_text())
    vectors = load_file(folder / "cub_embeddings_d16.safetensors")
    root, model = tmp_path / "data" / "consistency", tmp_path / "model"
    (root / "annotations").mkdir(parents=True)
    (root / "taxonomies").symlink_to(consistency_root / "taxonomies")
    every = consistency_root / "annotations" / "CUB200_with_similar_choice.jsonl"
    lines = every.read_text().splitlines()
    rows = [lines[i] for i in meta["rows_0based"]]
    (root / "annotations" / "CUB200_with_similar_choice.jsonl").write_text("\n".join(rows))
    images = [Path(json.loads(row)["image"]).name for row in rows]
    texts = ["", *(meta["prompt"].format(option) for option in meta["option_texts"])]
    model.mkdir()
    (model / "index.json").write_text(json.dumps({"texts": texts, "images": images}))
    save_file(
        {"text": torch.cat([torch.ones(1, 16), vectors["options"]]), "image": vectors["images"]},
        model / "embeddings.safetensors",
    )
    record, samples = run(
        tmp_path / "results", "run", "--model", f"precomputed:{model}", "--controls", "none",
        "--tasks", "hierarchical-consistency", "--data-dir", str(root.parent),
    )  # fmt: skip
    expected = json.loads((folder / "expected.json").read_text())["cub_embeddings_d16"]
    for metric, value in record["metrics"].items():
        assert 100 * value["value"] == pytest.approx(expected[NAMES[metric]], rel=0, abs=1e-10)
    chosen = json.loads((folder / "cub_embeddings_d16.items.json").read_text())
    by_image = {row["item"]: row["details"]["answers"] for row in samples}
    for row, image, places in zip(rows, images, chosen["choice_index_by_level"], strict=True):
        given = json.loads(row)
        wanted = [given[f"choices_level{i}"][place] for i, place in enumerate(places, start=1)]
        assert by_image[image] == wanted


@pytest.mark.data
def test_the_path_gives_the_answer_away(consistency_root: Path) -> None:
    data = hierarchical_consistency(options(consistency_root.parent))
    found = HierarchicalConsistency().blind(data)
    assert values(found["uniform"])["hca"] == pytest.approx(4.0**-4)
    assert values(found["path"])["hca"] == pytest.approx(0.5863, abs=5e-5)
    assert values(found["rarity"])["leaf_accuracy"] == pytest.approx(0.4222, abs=5e-5)
