"""The generated dataset: what its captions claim, that its splits share nothing, that it stays."""

from __future__ import annotations

import hashlib
import io
import re
from collections import defaultdict
from itertools import pairwise

import pytest
from PIL import Image
from reference.scene_truth import CATEGORIES, category, holds, statement

from hiereval import blind
from hiereval.errors import HierevalError
from hiereval.tasks.entailment import Entailment
from hiereval.tasks.ordering import Ordering
from hiereval.toy.shapes import shapes, split_scenes
from hiereval.types import Chains, DataOptions

SPLITS = ("test", "validation", "train")


def dataset(split: str | None = None) -> Chains:
    return shapes(DataOptions(split=split))


@pytest.mark.parametrize("split", SPLITS)
def test_every_caption_holds_and_every_negative_contradicts(split: str) -> None:
    for scene in split_scenes(split):
        assert len(set(scene.chain)) == 4
        facts = vars(scene.facts)
        assert all(holds(caption, facts) for caption in scene.chain), scene
        assert not any(holds(caption, facts) for caption in scene.negatives), scene


def stated(caption: str) -> dict[str, str]:
    """What a caption says, by fact: the noun is a kind, a category or nothing."""
    said = {key: value for key, value in statement(caption).items() if value and key != "beside"}
    if said.get("relation") == "beside":
        del said["relation"]
    return {key: value for key, value in said.items() if value != "thing"}


@pytest.mark.parametrize("split", SPLITS)
def test_a_chain_states_ever_more_and_a_negative_changes_one_fact(split: str) -> None:
    for scene in split_scenes(split):
        chain = [stated(caption) for caption in scene.chain]
        assert len(chain[0]) == 1
        for less, more in pairwise(chain):
            narrowed = "noun" in less and less["noun"] != more["noun"]  # a category to its kind
            assert len(more) - len(less) == (0 if narrowed else 1)
            for fact, value in less.items():
                assert more[fact] == value or (fact, value) == ("noun", category_of(more["noun"]))
        for true, negative in zip(chain, map(stated, scene.negatives), strict=True):
            assert set(true) == set(negative)
            assert sum(true[fact] != negative[fact] for fact in true) == 1


def category_of(noun: str) -> str:
    return noun if noun in CATEGORIES else category(noun)


@pytest.mark.parametrize("split", SPLITS)
def test_a_negative_cannot_be_told_by_itself(split: str) -> None:
    for scene in split_scenes(split):  # no scene has two objects of one category or of one colour
        for caption in (*scene.chain, *scene.negatives):
            said = stated(caption)
            if "colour" in said:
                assert said["colour"] != said.get("other_colour"), caption
            if "other_noun" in said and "noun" in said:
                assert category_of(said["noun"]) != category(said["other_noun"]), caption


def test_equal_statements_read_equal() -> None:
    texts: dict[frozenset[tuple[str, str]], set[str]] = defaultdict(set)
    for scene in split_scenes("train"):
        for caption in scene.chain:
            texts[frozenset(stated(caption).items())].add(caption)
    assert max(map(len, texts.values())) == 1


def test_no_scene_stands_in_two_splits() -> None:
    splits = [split_scenes(split) for split in SPLITS]
    assert [len(split) for split in splits] == [1000, 1000, 8000]
    assert len({scene.facts for split in splits for scene in split}) == 10_000
    names = {image.name for split in SPLITS for image in dataset(split).images}
    assert len(names) == 10_000


def test_no_picture_stands_in_two_splits() -> None:
    pictures = [{image.read() for image in dataset(split).images[:400]} for split in SPLITS]
    assert [len(part) for part in pictures] == [400, 400, 400]
    assert len(set.union(*pictures)) == 1200


def test_the_form_is_that_of_chains() -> None:
    data = dataset()
    assert (data.name, data.split, data.revision) == ("shapes", "test", None)
    assert data.chains.shape == (1000, 4)
    assert data.negatives is not None
    assert data.negatives.shape == (1000, 4)
    assert data.chain_image is not None
    assert data.chain_image.tolist() == list(range(1000))
    assert data.pool.tolist() == data.chains.reshape(-1).tolist()
    assert len(set(data.texts)) == len(data.texts)
    scene = split_scenes("test")[7]
    assert tuple(data.texts[i] for i in data.chains[7]) == scene.chain
    assert tuple(data.texts[i] for i in data.negatives[7]) == scene.negatives


def test_it_is_the_same_everywhere() -> None:
    assert {split: dataset(split).sha256 for split in SPLITS} == {
        "test": "608ac984431cda71df8488cdf1d79c97e038f12d8139f2b4e48081198705ee39",
        "validation": "8473be301bd63f46e3df75afeb63f9252260c593a7ac55f5a4f3dd08ca4d75f4",
        "train": "5a0f890045a64e4f5189e35e320f234620e549e289f5f18e046ec305d24cba9f",
    }
    pixels = hashlib.sha256()
    for image in dataset().images[:100]:
        with Image.open(io.BytesIO(image.read())) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (48, 48))
            pixels.update(picture.tobytes())
    assert pixels.hexdigest() == "707391b7b88219427a0a69a55610e1d8470c66b16d97f99ccb6df7c5a06fe348"


def test_reading_a_picture_twice_gives_the_same_bytes() -> None:
    first, again = (
        dataset().images[3],
        shapes(DataOptions()).images[3],
    )
    assert first.read() == again.read()


def test_every_caption_has_12_to_16_words_no_capital_and_no_stop() -> None:
    for text in dataset("train").texts:
        assert 12 <= len(text.split()) <= 16
        assert 69 <= len(text) <= 97
        assert re.fullmatch("[a-z ]+", text)


@pytest.mark.parametrize("split", ["test", "validation"])
@pytest.mark.parametrize("task", [Ordering(), Entailment()], ids=["ordering", "entailment"])
def test_length_tells_nothing(task: Ordering | Entailment, split: str) -> None:
    """Words, characters, capitals and full stops, either way round, are beyond chance by less than
    0.041, 2.6 standard errors of 1,000 chains, and 0.009 for the few statements of tier 1.

    Two metrics look at word count themselves and are left out.
    """
    data = dataset(split)
    reached = blind.ceilings(task, data, task.metrics)
    lengths = ("words", "characters", "capital", "full-stop")
    compared = 0
    for metric in task.metrics:
        if metric.name in ("adversarial_accuracy", "tau_partial", "average_precision"):
            continue
        assert metric.chance is not None
        for name, value in reached[metric.name].items():
            if name.removeprefix("minus-") in lengths:
                assert value < metric.chance + 0.05, (metric.name, name)
                compared += 1
    assert compared >= 30


def test_an_unknown_split_is_one_line() -> None:
    with pytest.raises(HierevalError) as error:
        dataset("tests")
    assert str(error.value) == (
        "The split 'tests' of shapes must be test, validation, train. Did you mean 'test'?"
    )
