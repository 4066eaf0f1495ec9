"""The generated dataset: what its captions claim, that its splits share nothing, that it stays."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from reference.scene_truth import category, holds, things

from hiereval.errors import HierevalError
from hiereval.toy.scenes import Scene
from hiereval.toy.shapes import shapes, split_scenes
from hiereval.types import Chains, DataOptions

SPLITS = ("test", "validation", "train")


def dataset(split: str | None = None) -> Chains:
    return shapes(DataOptions(split=split))


def true_of(caption: str, scene: Scene) -> bool:
    facts = scene.facts
    texture = "" if facts.texture == "solid" else facts.texture
    other = None if facts.other is None else ("", facts.other[1], facts.other[0])
    main = (texture, facts.colour, facts.kind)
    return holds(caption, main, other, facts.relation, facts.size, facts.ground)


@pytest.mark.parametrize("split", SPLITS)
def test_every_caption_holds_and_every_negative_contradicts(split: str) -> None:
    for scene in split_scenes(split):
        assert len(set(scene.chain)) == 4
        assert all(true_of(caption, scene) for caption in scene.chain), scene
        assert not any(true_of(caption, scene) for caption in scene.negatives), scene


@pytest.mark.parametrize("split", SPLITS)
def test_a_chain_narrows_and_a_negative_is_a_child_of_the_tier_above(split: str) -> None:
    for scene in split_scenes(split):
        for first, kind, coloured, whole in (scene.chain, (scene.chain[0], *scene.negatives[1:])):
            assert category(kind) == first
            assert things(coloured)[0][2] == scene.facts.kind
            assert things(whole)[0][1:] == (scene.facts.colour, scene.facts.kind)
        assert scene.chain[1] == scene.facts.kind
        assert things(scene.chain[2])[0][1] == scene.facts.colour


@pytest.mark.parametrize("split", SPLITS)
def test_a_negative_cannot_be_told_by_itself(split: str) -> None:
    for scene in split_scenes(split):  # no scene has two objects of one kind or of one colour
        for caption in (scene.chain[3], scene.negatives[3]):
            _, colours, kinds = zip(*things(caption), strict=True)
            assert len(set(colours)) == len(colours), caption
            assert len(set(kinds)) == len(kinds), caption


def test_no_scene_stands_in_two_splits() -> None:
    splits = [split_scenes(split) for split in SPLITS]
    assert [len(split) for split in splits] == [1000, 1000, 8000]
    assert len({scene.facts for split in splits for scene in split}) == 10_000
    names = {image.name for split in SPLITS for image in dataset(split).images}
    assert len(names) == 10_000


def test_no_split_has_more_scenes_of_one_object_than_another() -> None:
    alone = [np.mean([scene.facts.other is None for scene in split_scenes(s)]) for s in SPLITS]
    assert max(alone) - min(alone) < 0.02  # a standard error of 1,000 scenes is 0.01


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
        "test": "f1591e967bbd36f416b28d6eb15299b76263336181061eaef4f52150c3b7d567",
        "validation": "347240d5ffdeb7b2a7ae1df3324730a836a11304c65503a0bc49bf15ef2d0839",
        "train": "5f6f27e6411c0d24327a95eb911eb5c2bc7ca0c30fa237ee2c97bd4c498734c3",
    }
    pixels = hashlib.sha256()
    for image in dataset().images[:100]:
        with Image.open(io.BytesIO(image.read())) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (48, 48))
            pixels.update(picture.tobytes())
    assert pixels.hexdigest() == "2e90b9107f531aa9be05fc0ed19ef4ff6d592052fbc26d6565dc1ed4f91b627f"


def test_reading_a_picture_twice_gives_the_same_bytes() -> None:
    first, again = (
        dataset().images[3],
        shapes(DataOptions()).images[3],
    )
    assert first.read() == again.read()


def test_word_count_is_a_poor_guide_to_the_tier() -> None:
    data = dataset()
    words = np.array([len(text.split()) for text in data.texts])[data.chains]
    no_longer = (words[:, 1:] <= words[:, :-1]).mean(0)
    assert no_longer == pytest.approx([1.0, 0.0, 0.059])


def test_an_unknown_split_is_one_line() -> None:
    with pytest.raises(HierevalError) as error:
        dataset("tests")
    assert str(error.value) == (
        "The split 'tests' of shapes must be test, validation, train. Did you mean 'test'?"
    )
