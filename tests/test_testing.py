"""`check_adapter`: every check has a broken adapter that fails it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL.Image import Image
from support import checkpoints
from support.failing import failed
from torch import Tensor

from hiereval import models, registry
from hiereval.errors import HierevalError
from hiereval.testing import Check, check_adapter
from hiereval.types import LoadOptions, ModelId

DIM = 8
ID = ModelId(
    adapter="good",
    name="good",
    checkpoint="good",
    weights_sha256="0" * 64,
    preprocess_fingerprint="1" * 64,
    tokenizer_fingerprint="2" * 64,
    embed_dim=DIM,
    context_length=32,
)


class Good:
    """A small bag of characters and of colours that does everything right."""

    modalities: frozenset[str] = frozenset({"text", "image"})

    def __init__(self) -> None:
        self.id = ID

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        rows = torch.zeros(len(texts), DIM)
        for row, text in zip(rows, texts, strict=True):
            row[0] = 1.0
            for word in text.split()[:30]:
                row[1 + sum(word.encode()) % (DIM - 1)] += 0.1
        return rows

    def preprocess(self, image: Image) -> np.ndarray:
        if image.mode.startswith("I"):
            from hiereval.adapters.image_processing import to_rgb

            image = to_rgb(image)
        return np.asarray(image.convert("RGB").resize((2, 2))) / 255.0

    def encode_images(self, inputs: Sequence[np.ndarray]) -> Tensor:
        colours = torch.tensor(np.stack([x.reshape(-1) for x in inputs])).float()
        return 0.1 + torch.nn.functional.pad(colours, (0, 0))[:, :DIM]


def test_nothing_fails_on_a_good_adapter() -> None:
    checks = check_adapter(Good)
    assert failed(checks) == {}
    assert [check for check in checks if not check.passed] == [
        Check("towers load apart", None, "nothing comes apart: 0 parameters for texts alone")
    ]
    assert len({check.name for check in checks}) == len(checks) > 30


def test_towers_that_load_apart_are_counted() -> None:
    class TwoTowers(Good):
        def encode_texts(self, texts: Sequence[str]) -> Tensor:
            self.text = torch.nn.Linear(2, 3)
            return super().encode_texts(texts)

        def encode_images(self, inputs: Sequence[np.ndarray]) -> Tensor:
            self.image = torch.nn.Linear(4, 5)
            self.absent = torch.nn.Linear(6, 7, device="meta")
            return super().encode_images(inputs)

    checks = check_adapter(TwoTowers)
    assert all(check.passed for check in checks)
    detail = next(check.detail for check in checks if check.name == "towers load apart")
    assert detail == "9 of 34 parameters for texts alone"


# --- broken adapters: each fails its check -------------------------------------------------------


class NoHash(Good):
    def __init__(self) -> None:
        self.id = dataclasses.replace(ID, weights_sha256=None)


class Curved(Good):
    def __init__(self) -> None:
        self.id = dataclasses.replace(ID, curvature=1.0)


class Eager(Good):
    def __init__(self) -> None:
        super().__init__()
        self.model = torch.nn.Linear(2, 2)


class Hoarding(Good):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.zeros(1000, 1000)


class Double(Good):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return super().encode_texts(texts).double()


class Flat(Good):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return super().encode_texts(texts).flatten()


class Zero(Good):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return 0 * super().encode_texts(texts)


class NoCounts(Good):
    def text_lengths(self, texts: Sequence[str]) -> Any:
        return torch.ones(len(texts))


class Truncating(Good):
    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        return [5 for _ in texts]


class Training(Good):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return torch.nn.functional.dropout(super().encode_texts(texts), 0.5)


class Batched(Good):
    """As a batch norm left in training mode."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        vectors = super().encode_texts(texts)
        return vectors + 0.1 * vectors.roll(1, 1).max(dim=0).values * len(texts)


class Ordered(Good):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        vectors = super().encode_texts(texts)
        vectors[:, 1] += 0.1 * torch.arange(len(texts))
        return vectors


class Padded(Good):
    """As SigLIP with padding=True: a short text's vector depends on the longest neighbour."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        vectors = super().encode_texts(texts)
        longest = max(len(text.split()) for text in texts)
        for row, text in zip(vectors, texts, strict=True):
            row[3] += 0.5 * (longest > 30) * (not text)
        return vectors


class NoEmpty(Good):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        vectors = super().encode_texts(texts)
        vectors[[not text for text in texts]] = float("nan")
        return vectors


def _unable(bad: Callable[[str], bool]) -> type[Good]:
    class Unable(Good):
        def encode_texts(self, texts: Sequence[str]) -> Tensor:
            if any(bad(text) for text in texts):
                raise ValueError("cannot read this text")
            return super().encode_texts(texts)

    return Unable


def _blind(mode: str) -> type[Good]:
    class Blind(Good):
        def preprocess(self, image: Image) -> np.ndarray:
            shape = f"{image.width} x {image.height}"
            if mode in (image.mode, shape) or (mode == "EXIF-rotated" and len(image.getexif())):
                raise ValueError("cannot read this picture")
            return super().preprocess(image)

    return Blind


class Clipping(Good):
    """Pillow's own conversion of 16-bit grey clips at 255."""

    def preprocess(self, image: Image) -> np.ndarray:
        return np.asarray(image.convert("RGB").resize((2, 2))) / 255.0


class Scribbling(Good):
    def preprocess(self, image: Image) -> np.ndarray:
        image.putpixel((0, 0), 0 if image.mode in "1LPI" else (7,) * len(image.getbands()))
        return super().preprocess(image)


class Crowded(Good):
    def encode_images(self, inputs: Sequence[np.ndarray]) -> Tensor:
        vectors = super().encode_images(inputs)
        return vectors + vectors.mean(dim=0).roll(1)


class Shared(Good):
    """Keeps the picture in an attribute between two steps."""

    def preprocess(self, image: Image) -> np.ndarray:
        self.image = image
        time.sleep(0.002)
        return super().preprocess(self.image)


class MadeUp(Good):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return super().encode_texts(["[UNK] " * len(text.split()) for text in texts])


class Misnamed(Good):
    folder_prefix = 3


class TwoSpaces(Good):
    def encode_images(self, inputs: Sequence[np.ndarray]) -> Tensor:
        return super().encode_images(inputs)[:, :4]


class Unstated(Good):
    def __init__(self) -> None:
        self.id = dataclasses.replace(ID, preprocess_fingerprint=None)


class Swayed(Good):
    seen = 0.0

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return super().encode_texts(texts) + self.seen

    def encode_images(self, inputs: Sequence[np.ndarray]) -> Tensor:
        self.seen = 1e-6
        return super().encode_images(inputs)


class Renamed(Good):
    def encode_images(self, inputs: Sequence[np.ndarray]) -> Tensor:
        self.id = dataclasses.replace(ID, config_sha256="9" * 64)
        return super().encode_images(inputs)


class Drifting(Good):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        self.id = dataclasses.replace(ID, n_params=3, weights_sha256="9" * 64)
        return super().encode_texts(texts)


BROKEN: dict[str, tuple[type[Good], str, str]] = {
    "no hash": (NoHash, "identity", "weights_sha256 must be known, or random_init"),
    "curved": (Curved, "identity", "curvature must be above 0 for a Lorentz geometry and None"),
    "eager": (Eager, "loading is lazy", "the constructor must load no weights: made the"),
    "hoarding": (Hoarding, "loading is lazy", "table has 4,000,000 bytes"),
    "double": (Double, "text: shape, type, finite", "type must be float32, not torch.float64"),
    "flat": (Flat, "text: shape, type, finite", "shape must be [5, d], not [40]"),
    "zero": (Zero, "text: shape, type, finite", "5 of 5 vectors are zero and have no direction"),
    "no counts": (NoCounts, "text: token counts", "text_lengths must return a list of 5 numbers"),
    "truncating": (Truncating, "text: token counts", "a longer text must count more tokens (5, 5)"),
    "training": (Training, "text: repeatable", "of the same texts, encoded twice, differ by"),
    "batched": (Batched, "text: any batch size", "in batches of 1 differ by"),
    "ordered": (Ordered, "text: any order", "in reversed order differ by"),
    "ordered twice": (Ordered, "text: duplicates equal", "of the same text in one batch differ"),
    "padded": (Padded, "text: the root alone and among long texts", "of the root '' alone and in"),
    "no empty": (NoEmpty, "text: empty", "1 of 1 vectors are not finite"),
    "blank": (_unable(lambda t: t.isspace()), "text: blank", "ValueError: cannot read this text"),
    "emoji": (_unable(lambda t: max(t, default="") > "\U00010000"), "text: emoji", "ValueError: "),
    "hebrew": (_unable(lambda t: "\u05e8" in t), "text: right-to-left", "ValueError: "),
    "words": (_unable(lambda t: len(t) > 40_000), "text: 10,000 words", "ValueError: "),
    "NUL": (_unable(lambda t: "\0" in t), "text: NUL", "ValueError: "),
    "marks": (_unable(lambda t: "\u0301" in t), "text: combining marks", "ValueError: "),
    "CJK": (_unable(lambda t: "\u9ce5" in t), "text: CJK", "ValueError: "),
    **{
        mode: (_blind(mode), f"image: {mode}", "ValueError: cannot read this picture")
        for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "EXIF-rotated", "1 x 1", "1 x 4000",
                     "4000 x 1")
    },
    "I;16": (_blind("I;16"), "image: 16-bit", "ValueError: cannot read this picture"),
    "RGB": (_blind("RGB"), "image: shape, type, finite", "ValueError: cannot read this picture"),
    "clipping": (Clipping, "image: a mode changes no colour", "of a picture in mode 16-bit and"),
    "scribbling": (Scribbling, "image: any batch size, order and duplicates",
                   "preprocess must not change the picture that it is given"),
    "crowded": (Crowded, "image: any batch size, order and duplicates", "alone and in a batch"),
    "shared": (Shared, "image: preprocessing is thread-safe", "of 16 pictures differ when 8"),
    "made up": (MadeUp, "text: captions differ", "the vocabulary is not the model's"),
    "misnamed": (Misnamed, "optional parts", "folder_prefix must be a text, not 3"),
    "two spaces": (TwoSpaces, "text and image in one space", "text has 8 dimensions, image 4"),
    "unstated": (Unstated, "fingerprint follows preprocessing", "must say what is done to"),
    "swayed": (Swayed, "towers load apart",
               "vectors of texts must be equal bit for bit, whichever tower is used first"),
    "renamed": (Renamed, "towers load apart",
                "the fingerprint must be the same whichever tower is used"),
    "drifting": (Drifting, "identity stays as it was", "must be the same after encoding"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_broken_adapter_fails_its_check(case: str) -> None:
    make, name, problem = BROKEN[case]
    assert problem in failed(check_adapter(make))[name]


def test_every_check_has_its_broken_adapter() -> None:
    names = {check.name for check in check_adapter(Good)}
    assert names - {name for _, name, _ in BROKEN.values()} == {"image: RGB"}  # in every other


def test_an_adapter_that_does_not_open() -> None:
    def make() -> Good:
        raise OSError("no such\nfile")

    assert check_adapter(make) == [Check("opens", False, "OSError: no such file")]


@pytest.mark.parametrize(
    ("adapter", "wrong"),
    [
        (SimpleNamespace(), "an id, a ModelId, not NoneType"),
        (SimpleNamespace(id="x"), "an id, a ModelId, not str"),
        (
            SimpleNamespace(id=ModelId(adapter="a", name="a", checkpoint=""), modalities=["text"]),
            "modalities, a frozenset of 'text' and perhaps 'image', not ['text']",
        ),
    ],
)
def test_what_is_no_adapter_is_refused_before_it_is_used(
    adapter: Any, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {("adapters", "mine"): lambda *_: adapter})
    with pytest.raises(HierevalError) as caught:
        models.open_adapter("mine:x", LoadOptions(), {})
    assert str(caught.value) == f"The adapter 'mine' must have {wrong}."


def test_what_does_not_apply_is_said() -> None:
    class Reader(Good):
        modalities = frozenset({"text"})

    checks = {check.name: check for check in check_adapter(Reader())}
    assert failed(list(checks.values())) == {}
    assert checks["image: of every kind"].detail == "no image encoder"
    assert checks["loading is lazy"] == Check(
        "loading is lazy", None, "an adapter was given, not a function that makes one"
    )


def test_other_preprocessing_with_the_same_fingerprint(tmp_path: Path) -> None:
    """A folder's settings that the pixels follow and the fingerprint does not."""
    from hiereval.adapters.hf_clip import HFClip

    folder = checkpoints.clip(tmp_path / "clip")

    class Blind(HFClip):
        def __init__(self, checkpoint: str) -> None:
            super().__init__(checkpoint, LoadOptions())
            self.id = dataclasses.replace(self.id, preprocess_fingerprint="same")

    def right(checkpoint: str) -> HFClip:
        return HFClip(checkpoint, LoadOptions())

    good = check_adapter(lambda: right(str(folder)), reopen=right)
    assert failed(good) == {}
    detail = next(c.detail for c in good if c.name == "fingerprint follows preprocessing")
    assert detail == "another image_mean, image_std, another fingerprint"
    assert failed(check_adapter(lambda: Blind(str(folder)), reopen=Blind)) == {
        "fingerprint follows preprocessing": "image_mean, image_std was changed, pixels changed, "
        "the fingerprint did not"
    }
