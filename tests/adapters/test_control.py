"""Controls: counts on a line, and a constant that must come out undefined."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from hiereval.adapters.control import Control
from hiereval.errors import HierevalError
from hiereval.models import open_adapter, resolve
from hiereval.places import Places
from hiereval.spaces import space_of
from hiereval.types import LoadOptions

TEXTS = ["", "bird", "a  blue\tbird", "naïve café"]


@pytest.mark.parametrize(
    ("what", "counts"), [("words", [0, 1, 3, 2]), ("characters", [0, 4, 12, 10])]
)
def test_the_radius_is_the_count(what: str, counts: list[int]) -> None:
    control = Control(what, LoadOptions())
    vectors = control.encode_texts(TEXTS)
    assert vectors.tolist() == [[float(count)] for count in counts]
    space = space_of(control.id, vectors, None, control.encode_texts([""])[0])
    assert space.radius.tolist() == counts
    assert control.modalities == {"text"}


def test_the_constant_is_one_vector() -> None:
    control = Control("constant", LoadOptions())
    assert control.encode_texts(TEXTS).tolist() == [[1.0]] * 4
    picture = control.preprocess(Image.new("RGB", (2, 2)))
    assert control.encode_images([picture, picture]).tolist() == [[1.0]] * 2
    space = space_of(control.id, control.encode_texts(TEXTS), None, control.encode_texts([""])[0])
    assert space.radius.tolist() == [0.0] * 4
    assert bool(space.exterior_angle(space.text, space.text).isnan().all())


def test_controls_are_different_models() -> None:
    ids = [Control(what, LoadOptions()).id for what in ("words", "characters", "constant")]
    assert len({model.fingerprint() for model in ids}) == 3
    assert [model.name for model in ids] == [
        "control:words",
        "control:characters",
        "control:constant",
    ]
    assert resolve("control:words", Places.of()).checkpoint == "words"


def test_no_texts() -> None:
    assert Control("words", LoadOptions()).encode_texts([]).shape == torch.Size([0, 1])


def test_bad_names_and_options() -> None:
    with pytest.raises(HierevalError) as caught:
        Control("word", LoadOptions())
    assert str(caught.value) == (
        "The control 'word' must be one of words, characters, constant. Did you mean 'words'?"
    )
    with pytest.raises(HierevalError) as caught:
        Control("words", LoadOptions(random_init=0))
    assert str(caught.value) == (
        "The model 'control:words' must be given without a revision and without a random "
        "initialisation: it has no weights."
    )


def test_the_root_counts_nothing_whatever_its_text() -> None:
    options = LoadOptions(root_text="an entity")
    words, constant = (
        open_adapter(f"control:{what}", options, {}) for what in ("words", "constant")
    )
    assert words.encode_texts(["an entity", "a bird", ""]).tolist() == [[0.0], [2.0], [0.0]]
    assert constant.encode_texts(["an entity", "a bird"]).tolist() == [[1.0], [1.0]]
