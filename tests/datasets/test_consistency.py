"""Taxonomies, questions and logs of answers: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.at import options

from hiereval.datasets.consistency import Questions, hierarchical_consistency
from hiereval.datasets.question_files import read_taxonomy
from hiereval.errors import HierevalError
from hiereval.geometry import EuclideanSpace
from hiereval.hooks import Answers
from hiereval.tasks.hierarchical_consistency import HierarchicalConsistency

TAXONOMY = {"Robin": ["Bird", "Robin"], "jay": ["bird", "jay"], "pug": ["dog", "dog", "pug"]}
ROWS: list[dict[str, Any]] = [
    {"image": "/data/X/a/1.jpg", "level1": "bird", "choices_level1": ["dog", "bird"],
     "level2": "robin", "choices_level2": ["jay", "Robin", "pug"]},
    {"image": "/data/X/b/1.jpg", "level1": "Dog", "choices_level1": ["dog", "bird"],
     "level2": None, "choices_level2": None, "level3": "lost"},
]  # fmt: skip


def write(root: Path, rows: list[Any] = ROWS, taxonomy: Any = TAXONOMY, kind: str = "") -> Path:
    folder = root / "consistency"
    (folder / "taxonomies").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / kind).mkdir(parents=True, exist_ok=True)
    (folder / "taxonomies" / "hierarchy_CUB200.json").write_text(json.dumps(taxonomy))
    name = f"CUB200_with_{kind.removesuffix('_choices') or 'similar'}_choice.jsonl"
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "annotations" / kind / name).write_text(text)
    return root


def read(root: Path, split: str | None = None) -> Questions:
    return hierarchical_consistency(options(root, split))


def refusal(root: Path, split: str | None = None) -> str:
    with pytest.raises(HierevalError) as raised:
        read(root, split)
    return str(raised.value)


def test_what_is_read(tmp_path: Path) -> None:
    data = read(write(tmp_path))
    assert (data.name, data.split) == ("hierarchical-consistency", "cub200-similar")
    assert data.texts[0] == "a photo of a dog."
    assert data.options == ("dog", "bird", "jay", "Robin", "pug")
    assert data.choices.tolist() == [[[0, 1, -1], [2, 3, 4]], [[0, 1, -1], [-1, -1, -1]]]
    assert data.truth.tolist() == [[1, 3], [0, -1]]  # cut at the null, whatever follows
    assert [image.name for image in data.images] == ["a/1.jpg", "b/1.jpg"]
    assert data.paths == {
        "robin": ("bird", "robin"), "jay": ("bird", "jay"), "pug": ("dog", "dog", "pug")
    }  # fmt: skip
    head = data.head(1)
    assert (len(head.truth), head.sha256 != data.sha256, data.head(2)) == (1, True, data)
    other = read(write(tmp_path, kind="random_choices"), "cub200-random")
    assert (other.split, other.truth.tolist()) == ("cub200-random", data.truth.tolist())
    alone = read(tmp_path, "cub200")
    assert (len(alone.truth), alone.texts, alone.images) == (0, (), ())
    assert HierarchicalConsistency().unfit(alone) == (
        "it has no questions: hierarchical-consistency:cub200-similar has"
    )


@pytest.mark.parametrize("place", ["images/X/a", "images/a", "images/data/X/a"])
def test_images_are_found_below_any_of_their_folders(tmp_path: Path, place: str) -> None:
    folder = write(tmp_path) / "consistency" / place
    before = read(tmp_path)
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"one")
    data = read(tmp_path)
    assert data.images[0].read() == b"one"
    assert data.images_sha256 != before.images_sha256
    with pytest.raises(HierevalError, match=r"'b/1.jpg' cannot be read: No such file"):
        data.images[1].read()


def test_refusals(tmp_path: Path) -> None:
    where = tmp_path / "consistency"
    assert refusal(tmp_path).startswith(
        f"The taxonomy must stand at '{where}/taxonomies/hierarchy_CUB200.json': it comes from "
    )
    write(tmp_path)
    assert refusal(tmp_path, "cub200-simlar").endswith("Did you mean 'cub200-similar'?")
    path = where / "annotations" / "CUB200_with_similar_choice.jsonl"
    path.unlink()
    assert refusal(tmp_path).startswith(f"The questions must stand at '{path}' or below ")
    wrong = {"image": "1.jpg", "level1": "bird", "choices_level1": ["dog", "cat"]}
    write(tmp_path, [wrong, {"level1": "bird"}, {"image": "1.jpg"}, 3,
                     {"image": "1.jpg", "level1": "bird"}])  # fmt: skip
    assert refusal(tmp_path).splitlines() == [
        f"{path}:1: choices_level1: must hold the right answer 'bird', found dog, cat.",
        f"{path}:2: image: must be the path of an image, not null.",
        f"{path}:3: level1: must be given, the first level that is scored.",
        f"{path}:4: the line must be an object with image, level1, choices_level1, ....",
        f"{path}:5: choices_level1: must be a list of names, level1 its one.",
    ]
    path.write_text("\n")
    assert refusal(tmp_path) == f"{path}: the file must hold at least one row of questions."


@pytest.mark.parametrize(
    ("taxonomy", "problem"),
    [
        ({"a": []}, "the leaf 'a' must have a path of names from the root."),
        ({"a": ["b", None]}, "the leaf 'a' must have a path of names from the root."),
        ({"a": ["b", "c"]}, "the path of the leaf 'a' must end there, not at 'c'."),
        ([], 'the taxonomy must be an object, {"leaf": ["root", ...]}.'),
        ({"a": ["b", "a"], "b": ["a", "b"]}, "the taxonomy must not run in a circle: "),
    ],
)
def test_taxonomies_that_are_none(tmp_path: Path, taxonomy: Any, problem: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(taxonomy))
    with pytest.raises(HierevalError) as raised:
        read_taxonomy(path)
    assert str(raised.value).startswith(f"{path}: {problem}")


# --- logs ----------------------------------------------------------------------------------------


def answers(root: Path, log: Any, data: Questions | None = None, name: str = "log.json") -> Answers:
    path = root / name
    rows = log if isinstance(log, str) else json.dumps(log)
    path.write_text(rows)
    return HierarchicalConsistency().read_answers(path, data or read(write(root)))


def bad(root: Path, log: Any, data: Questions | None = None, name: str = "log.json") -> str:
    with pytest.raises(HierevalError) as raised:
        answers(root, log, data, name)
    return str(raised.value).replace(str(root), "")


def inspect(*samples: tuple[str, str, int, list[str]], **more: Any) -> dict[str, Any]:
    """An inspect_ai log of (answer, image, level, choices) samples, of the fields that are read."""
    return {
        "version": 2, "status": "success", "eval": {"task": "made"},
        "samples": [
            {"id": i, "epoch": 1, "choices": choices, "target": "A",
             "metadata": {"image": image, "level": level},
             "output": {"completion": f"ANSWER: {answer}"},
             "scores": {"choice": {"value": "C", "answer": answer}}}
            for i, (answer, image, level, choices) in enumerate(samples, start=1)
        ],
        **more,
    }  # fmt: skip


def lmms(*lines: tuple[int, str, Any]) -> str:
    """lmms-eval's samples of (doc_id, target, response)."""
    return "".join(
        json.dumps({"doc_id": i, "target": target, "filtered_resps": given, "input": "..."}) + "\n"
        for i, target, given in lines
    )


def test_three_formats_of_the_same_answers(tmp_path: Path) -> None:
    results = [
        {"image": "x/a/1.jpg", "ground_truth_level1": "bird", "ground_truth_level2": "robin",
         "predicted_level1": "BIRD", "predicted_level1_letter": "B", "predicted_level2": "jay"},
        {"image": "b/1.jpg", "ground_truth_level1": "dog", "predicted_level1": "cat"},
    ]  # fmt: skip
    results[0]["image"] = "a/1.jpg"
    one, two = ["dog", "bird"], ["jay", "Robin", "pug"]
    logs = [
        results,
        "".join(f"{json.dumps(row)}\n" for row in results),
        inspect(("B", "a/1.jpg", 1, one), ("A", "a/1.jpg", 2, two), ("cat", "b/1.jpg", 1, one)),
        lmms((2, "dog", "cat"), (0, "B", ["(b) bird"]), (1, "robin", "Jay.")),
    ]
    for log in logs:
        found = answers(tmp_path, log)
        asked = [tuple(n.lower() for n in row) for row in found.data.asked]  # type: ignore[attr-defined]
        given = [tuple(n.lower() for n in row) for row in found.data.answers]  # type: ignore[attr-defined]
        assert asked == [("bird", "robin"), ("dog",)]
        assert given == [("bird", "jay"), ("cat",)]
        assert (found.unknown, found.missing) == ((), ())
        assert found.outside == ("b/1.jpg (level 1): cat",)
        assert found.data.sha256 == read(tmp_path).sha256  # so one table with embeddings
        assert found.task is not None
        nothing = EuclideanSpace(torch.zeros(0, 1), None, torch.zeros(1))
        scores = found.task.score(nothing, found.data, torch.Generator())
        assert scores.items["por"].tolist() == [0.5, 0.0]
        assert scores.details is not None
        assert scores.details(1)["truth"] == ["dog"]


def test_what_is_not_asked_and_what_is_not_answered(tmp_path: Path) -> None:
    log = inspect(
        ("A", "z.jpg", 1, ["dog"]), ("A", "b/1.jpg", 2, ["dog"]), ("A", "b/1.jpg", 1, ["dog"])
    )
    found = answers(tmp_path, log)
    assert found.unknown == ("z.jpg (level 1)", "b/1.jpg (level 2)")
    assert (found.missing, found.left_out) == (("a/1.jpg",), True)
    own = [{"image": "1.jpg", "ground_truth_level1": "bird", "predicted_level1": None}]
    found = answers(tmp_path, own, read(tmp_path, "cub200"))
    assert (found.data.split, found.missing) == ("cub200", ("1.jpg",))


def test_logs_that_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    said = "hierarchical-consistency:cub200-similar"
    one = ("A", "a/1.jpg", 1, ["dog"])
    assert bad(tmp_path, "", name="log.eval") == (
        "The log '/log.eval' must be JSON: 'inspect log convert log.eval --to json --output-dir .' "
        "makes it."
    )
    assert bad(tmp_path, inspect(one, version=3)) == (
        "The log '/log.json' must be of inspect_ai's log version 2, it is of version 3."
    )
    assert bad(tmp_path, inspect(one, status="error")) == (
        "The log '/log.json' must be of a run that succeeded, its status is 'error'."
    )
    broken = inspect(one)
    broken["samples"][0]["metadata"] = {}
    assert bad(tmp_path, broken) == (
        "/log.json: sample 1: metadata must have the image and the level (a number)."
    )
    twice = inspect(one)
    twice["samples"][0]["epoch"] = 2
    assert bad(tmp_path, twice) == "/log.json: sample 1: the log must be of one epoch."
    assert bad(tmp_path, inspect(("A", "z.jpg", 1, ["dog"]))) == (
        f"The log '/log.json' must be of images of {said} such as 'a/1.jpg'; none of its 1 answers "
        "is, the first is to 'z.jpg (level 1)'."
    )
    assert bad(tmp_path, '{"doc_id": 0, "resps": [["a", "b"]]}\n') == (
        "/log.json:1: the line must have doc_id, target and filtered_resps (one text), as "
        "lmms-eval 0.7 writes them; it has doc_id, resps."
    )
    assert bad(tmp_path, lmms((1, "A", "A"))) == (
        f"/log.json:1: the target 'A' must be 'Robin', the right answer to question 1 of {said}."
    )
    assert bad(tmp_path, lmms((3, "A", "A"))) == (
        f"/log.json:1: the doc_id 3 must be below 3, the number of questions of {said}."
    )
    other = [{"image": "a/1.jpg", "ground_truth_level1": "dog", "predicted_level1": "dog"}]
    assert bad(tmp_path, other) == (
        f"/log.json: the truth of 'a/1.jpg' must be bird > robin as in {said}, it is dog."
    )
    odd = [{"image": "a/1.jpg", "ground_truth_level1": "dog", "predicted_level1": 3}, {"image": 3}]
    assert bad(tmp_path, odd).splitlines() == [
        "/log.json: row 1: predicted_level1: must be a name or null, not 3.",
        "/log.json: row 2: image: must be the name of an image.",
    ]
    assert bad(tmp_path, [{"image": "1.jpg", "answer": "dog"}]) == (
        "The log '/log.json' must be the authors' results (ground_truth_level1, predicted_level1, "
        "...), an inspect_ai log (JSON) or lmms-eval samples (JSONL); it has image, answer."
    )
    assert bad(tmp_path, '{"a": 1}\n{"b"\n').startswith("/log.json:2: the line must be JSON: ")
    assert bad(tmp_path, inspect(one), read(tmp_path, "cub200")) == (
        "The questions of '/log.json' must be known: name their wrong options as well, --dataset "
        f"{said}."
    )
