"""Generated chains on a miniature worked by hand, against a slow oracle, and bad files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from reference.generation import score as slow

from hiereval.answers import NoSpace
from hiereval.datasets.chains import assemble
from hiereval.datasets.image_files import FileImage
from hiereval.datasets.predictions import match, read
from hiereval.errors import HierevalError
from hiereval.estimates import bootstrap, metrics_of
from hiereval.hooks import Answers
from hiereval.tasks.generation import Generation
from hiereval.testing import check_task
from hiereval.types import Chains, Embeddings, ModelId, Scores

CHAINS = {
    "a.png": [["animal", "bird", "blue bird", "a blue bird on a branch"]],
    "b.png": [
        ["animal", "dog", "small dog", "a small dog asleep"],
        ["animal", "pet", "small dog", "a small dog on a mat"],
    ],
    "c.png": [["thing", "car", "red car", "a red car"]],
}


def dataset(chains: dict[str, list[list[str]]] = CHAINS) -> Chains:
    rows = [(name, chain) for name, several in chains.items() for chain in several]
    return assemble(
        [chain for _, chain in rows],
        None,
        [FileImage(name, Path(name)) for name, _ in rows],
        name="mine",
        split="all",
    )


def write(path: Path, predicted: dict[str, list[str]]) -> Path:
    lines = [json.dumps({"image": i, "chain": c}) for i, c in predicted.items()]
    path.write_text("\n".join(lines) + "\n\n")
    return path


def scored(path: Path, truth: Chains) -> tuple[Scores, Answers]:
    answers = match(read(path), truth)
    space = NoSpace().space(
        Embeddings(ModelId(adapter="a", name="a", checkpoint=""), torch.empty(0, 0), None)
    )
    return Generation().score(space, answers.data, torch.Generator()), answers


def test_miniature_by_hand(tmp_path: Path) -> None:
    path = write(
        tmp_path / "chains.jsonl",
        {
            "a.png": ["animal", "blue bird", " bird ", "animal", "a plane"],
            "folder/b.png": ["animal", "pet", "a small dog asleep"],
            "x.png": ["animal"],
        },
    )
    scores, coverage = scored(path, dataset())
    assert (coverage.unknown, coverage.missing) == (("x.png",), ("c.png",))
    # a: 4 distinct captions, 3 true, tiers 1 2 3 of 4; path 1 3 2 1: the longest run is 1 3
    # b: all 3 true, tiers 1, 2 (pet, of the second chain) and 4; path 1 2 4
    # c: nothing generated: nothing found, and no precision
    found = bootstrap(metrics_of(Generation(), scores.items), scores, seed=0, resamples=10)
    assert {name: e.value for name, e in found.items()} == pytest.approx(
        {
            "precision": (3 / 4 + 1) / 2,
            "recall": (3 / 4 + 3 / 4 + 0) / 3,
            "f1": 2 * 0.875 * 0.5 / (0.875 + 0.5),
            "recall_tier_1": 2 / 3,
            "recall_tier_2": 2 / 3,
            "recall_tier_3": 1 / 3,
            "recall_tier_4": 1 / 3,
            "ordered_recall": (2 / 4 + 3 / 4 + 0) / 3,
            "mean_predictions": (4 + 3 + 0) / 3,
        },
        abs=1e-12,
    )
    assert found["precision"].n == 2
    assert scores.ids == ["a.png", "b.png", "c.png"]
    assert scores.details is not None
    assert scores.details(0)["predictions"][-2:] == [
        {"caption": "animal", "tier": 1}, {"caption": "a plane", "tier": None}
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_random_chains_agree_with_the_oracle(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    words = [f"word {i}" for i in range(9)]
    chains = {
        f"{i}.png": [draw.choices(words, k=3) for _ in range(draw.choice([1, 1, 2]))]
        for i in range(30)
    }
    predicted = {name: draw.choices([*words, "wrong"], k=draw.randrange(7)) for name in chains}
    scores, _ = scored(write(tmp_path / "p.jsonl", predicted), dataset(chains))
    for i, name in enumerate(scores.ids):
        expected = slow(predicted[name], chains[name])
        got = {key: scores.items[key][i].item() for key in expected}
        assert got == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_nothing_generated_is_undefined_precision(tmp_path: Path) -> None:
    scores, _ = scored(write(tmp_path / "p.jsonl", {"a.png": []}), dataset())
    reason = "no caption was generated for any image"
    assert scores.undefined == {"precision": reason, "f1": reason}
    found = bootstrap(metrics_of(Generation(), scores.items), scores, seed=0, resamples=10)
    assert (found["recall"].value, found["mean_predictions"].value) == (0.0, 0.0)


GOOD = '{"image": "a.png", "chain": ["animal"]}'


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], ": the file must hold at least one prediction."),
        ([GOOD, "{"], ":2: Expecting property name enclosed in double quotes: line 1 column 2 "
         "(char 1)."),
        (["[1]"], ':1: the line must be an object, {"image": ..., "chain": [...]}.'),
        (['{"img": "a", "chain": []}'], ":1: image: must be given, the line has img, chain."),
        (['{"image": "a.png"}'], ":1: chain: must be given, the line has image."),
        (['{"image": 7, "chain": []}'], ":1: image: must be the name of an image, not 7."),
        (['{"image": "a", "chain": "animal"}'],
         ':1: chain: must be a list of texts, not "animal".'),
        (['{"image": "a", "chain": ["animal", null]}'], ":1: chain.1: must be a text, not null."),
        (['{"image": "a", "chain": [" "]}'], ':1: chain.0: must be a text, not " ".'),
        ([GOOD, "", GOOD], ":3: image: 'a.png' stands already at line 1."),
    ],
)  # fmt: skip
def test_bad_lines_are_named(tmp_path: Path, lines: list[str], problem: str) -> None:
    path = tmp_path / "chains.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(HierevalError) as raised:
        read(path)
    assert str(raised.value) == f"{path}{problem}"


def test_many_bad_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "chains.jsonl"
    path.write_text("{}\n" * 15)
    with pytest.raises(HierevalError) as raised:
        read(path)
    assert str(raised.value).splitlines()[-1] == "... and 5 more"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(HierevalError, match=r"cannot be read: No such file or directory\.$"):
        read(tmp_path / "none.jsonl")
    path = tmp_path / "latin.jsonl"
    path.write_bytes(GOOD.encode() + b"\n\xe9")
    with pytest.raises(HierevalError) as raised:
        read(path)
    assert str(raised.value) == f"{path}:2: the line must be UTF-8."


def test_predictions_for_other_images_alone_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"x.png": ["animal"], "y.png": []})
    with pytest.raises(HierevalError) as raised:
        match(read(path), dataset())
    assert str(raised.value) == (
        "The predictions must be for images of 'mine' such as 'a.png'; none of their 2 images is, "
        "the first is 'x.png'."
    )


def test_chains_without_images_are_refused(tmp_path: Path) -> None:
    truth = assemble([["a", "b"]], name="mine", split="all")
    with pytest.raises(HierevalError) as raised:
        match(read(write(tmp_path / "p.jsonl", {"a.png": []})), truth)
    assert str(raised.value) == "The dataset 'mine' must have images to score chains for them."


def test_it_is_a_task_like_any_other(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"a.png": ["animal", "bird"], "b.png": ["dog"]})
    answers = Generation().read_answers(path, dataset())
    failed = {c.name: c.detail for c in check_task(Generation(), answers.data) if c.passed is False}
    assert failed == {}
