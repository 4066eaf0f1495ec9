"""The conformance kit fails on what is broken: one broken adapter, task or probe per check."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL.Image import Image
from support import checkpoints
from torch import Tensor

from hiereval import blind, registry
from hiereval.geometry import SphereSpace
from hiereval.probes.roots import EmptyRoot, MeanRoot, Origin
from hiereval.spaces import space_of
from hiereval.testing import Check, check_adapter, check_probe, check_task
from hiereval.types import (
    Chains,
    Embeddings,
    LoadOptions,
    Metric,
    ModelId,
    Null,
    Scores,
    Space,
)

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


def _failed(checks: Sequence[Check]) -> dict[str, str]:
    return {check.name: check.detail for check in checks if check.passed is False}


def test_nothing_fails_on_a_good_adapter() -> None:
    checks = check_adapter(Good)
    assert _failed(checks) == {}
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
    assert problem in _failed(check_adapter(make))[name]


def test_every_check_has_its_broken_adapter() -> None:
    names = {check.name for check in check_adapter(Good)}
    assert names - {name for _, name, _ in BROKEN.values()} == {"image: RGB"}  # in every other


def test_an_adapter_that_does_not_open() -> None:
    def make() -> Good:
        raise OSError("no such\nfile")

    assert check_adapter(make) == [Check("opens", False, "OSError: no such file")]


def test_what_does_not_apply_is_said() -> None:
    class Reader(Good):
        modalities = frozenset({"text"})

    checks = {check.name: check for check in check_adapter(Reader())}
    assert _failed(list(checks.values())) == {}
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
    assert _failed(good) == {}
    detail = next(c.detail for c in good if c.name == "fingerprint follows preprocessing")
    assert detail == "another image_mean, image_std, another fingerprint"
    failed = _failed(check_adapter(lambda: Blind(str(folder)), reopen=Blind))
    assert failed == {
        "fingerprint follows preprocessing": "image_mean, image_std was changed, pixels changed, "
        "the fingerprint did not"
    }


# --- tasks ---------------------------------------------------------------------------------------


def _mean(items: Any, weights: Tensor) -> Tensor:
    values = items["radius"].double()
    return (weights * values).sum(1) / weights.sum(1)


@dataclasses.dataclass(frozen=True)
class Radius:
    """Mean radius of the most general captions: a task that does everything right."""

    scale: float = 1.0
    name: ClassVar[str] = "radius"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Chains]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("shapes",)
    modalities: ClassVar[frozenset[str]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mean", "Mean radius.", _mean, range=(0.0, 100.0), higher_is_better=None),
    )

    def unfit(self, dataset: Chains) -> str | None:
        return None

    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        first = torch.from_numpy(dataset.chains[:, 0])
        radius = self.scale * space.radius[first]
        nulls = {"free": Null(self.draw)}
        return Scores([str(i) for i in range(len(first))], {"radius": radius}, nulls=nulls)  # type: ignore[arg-type]

    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"mean": torch.rand(draws, dtype=torch.float64, generator=generator)}

    def blind(self, dataset: Chains) -> dict[str, Scores]:
        return blind.scores(self, dataset, blind.text_spaces(dataset.texts))  # type: ignore[arg-type]


class Unfit(Radius):
    def unfit(self, dataset: Chains) -> str | None:
        return "never"


class Negative(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        scores = super().score(space, dataset, generator)
        return dataclasses.replace(scores, items={"radius": -scores.items["radius"] - 1})


class Uneven(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        scores = super().score(space, dataset, generator)
        return dataclasses.replace(scores, ids=scores.ids[:-1])


class Random(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        scores = super().score(space, dataset, generator)
        return dataclasses.replace(scores, items={"radius": torch.rand(len(scores.ids))})


class Changing(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        space.text.mul_(2)
        return super().score(space, dataset, generator)


class Spherical(Radius):
    """Knows which geometry it is in."""

    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        if not torch.allclose(space.text.norm(dim=1), torch.ones(1)):
            raise ValueError("unit vectors only")
        return super().score(space, dataset, generator)


class Dividing(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        if space.radius.unique().numel() == 1:
            raise ZeroDivisionError("constant radii")
        return super().score(space, dataset, generator)


class Unweighted(Radius):
    metrics = (Metric("mean", "Mean.", lambda items, w: items["radius"].mean(), (0.0, 100.0)),)


class Forgetting(Radius):
    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"mean": torch.rand(draws, dtype=torch.float64)}


class Infinite(Radius):
    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"mean": torch.full((draws,), torch.inf, dtype=torch.float64)}


class Single(Radius):
    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"mean": torch.rand(draws, generator=generator)}


class Strange(Radius):
    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"median": torch.zeros(draws, dtype=torch.float64)}


class Sparing(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        scores = super().score(space, dataset, generator)
        return dataclasses.replace(scores, nulls={"free": Null(self.draw, draws=100)})


class Looking(Radius):
    def blind(self, dataset: Chains) -> dict[str, Scores]:
        dataset.images[0].read()
        return super().blind(dataset)


class Elsewhere(Radius):
    def blind(self, dataset: Chains) -> dict[str, Scores]:
        found = super().blind(dataset)
        return {name: dataclasses.replace(s, ids=s.ids[::-1]) for name, s in found.items()}


class Nameless(Radius):
    metrics = (*Radius.metrics, *Radius.metrics)


@dataclasses.dataclass
class Thawed:
    scale: float = 1.0
    name: ClassVar[str] = "thawed"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Chains]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("shapes",)
    modalities: ClassVar[frozenset[str]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = Radius.metrics
    unfit = Radius.unfit
    score = Radius.score


BROKEN_TASKS: dict[str, tuple[Any, str, str]] = {
    "thawed": (Thawed, "declaration", "a task must be frozen"),
    "nameless": (Nameless, "metrics", "metric names must be unique: ['mean', 'mean']"),
    "unfit": (Unfit, "data", "unfit for shapes: never"),
    "negative": (Negative, "scores: sphere", "must be in (0.0, 100.0)"),
    "uneven": (Uneven, "scores: euclidean", "items['radius'] has 12 rows for 11 ids"),
    "spherical": (Spherical, "scores: lorentz", "ValueError: unit vectors only"),
    "spherical in parts": (Spherical, "scores: lorentz-product", "ValueError: unit vectors only"),
    "random": (Random, "scores: repeatable", "must be the same for the same seed"),
    "changing": (Changing, "scores: inputs unchanged", "score must not change the space"),
    "dividing": (Dividing, "scores: equal vectors", "ZeroDivisionError: constant radii"),
    "unweighted": (Unweighted, "statistics resample", "must return [3] float64, not []"),
    "forgetting": (Forgetting, "nulls", "free: mean must be the same for the same generator"),
    "infinite": (Infinite, "nulls", "free: mean must be finite or NaN"),
    "single": (Single, "nulls", "free: mean must be [3] float64, not [3] torch.float32"),
    "strange": (Strange, "nulls", "free: ['median'] must be metrics of the task"),
    "sparing": (Sparing, "nulls", "free: draws must be at least 200, not 100"),
    "looking": (Looking, "blind scores", "must not be read by a blind score"),
    "elsewhere": (Elsewhere, "blind scores", "words: ids must be those of the task"),
}


def test_nothing_fails_on_a_good_task() -> None:
    checks = check_task(Radius())
    assert all(check.passed for check in checks)
    assert {check.name for check in checks} == {name for _, name, _ in BROKEN_TASKS.values()}


@pytest.mark.parametrize("case", list(BROKEN_TASKS))
def test_a_broken_task_fails_its_check(case: str) -> None:
    make, name, problem = BROKEN_TASKS[case]
    assert problem in _failed(check_task(make()))[name]


@pytest.mark.parametrize(
    "name", ["ordering", "entailment", "image-entailment", "retrieval", "interpolation",
             "flat-retrieval"],
)  # fmt: skip
def test_our_tasks_conform(name: str) -> None:
    assert _failed(check_task(registry.load("tasks", name)())) == {}


# --- probes --------------------------------------------------------------------------------------


class Forgetful(EmptyRoot):
    def fit(self, train: Embeddings, data: Chains, generator: torch.Generator) -> Any:
        return EmptyRoot()


class Anchored(EmptyRoot):
    def anchors(self, model: ModelId) -> Any:
        return (3,)

    def space(self, embeddings: Embeddings) -> Space:
        return space_of(embeddings.model, embeddings.text, embeddings.image, embeddings.text[0])


class Restless(MeanRoot):
    def space(self, embeddings: Embeddings) -> Space:
        root = torch.randn(embeddings.text.shape[1])
        return space_of(embeddings.model, embeddings.text, embeddings.image, root)


class Spoiling(MeanRoot):
    def space(self, embeddings: Embeddings) -> Space:
        embeddings.text.add_(1.0)
        return super().space(embeddings)


class Half(MeanRoot):
    def space(self, embeddings: Embeddings) -> Space:
        return super().space(dataclasses.replace(embeddings, text=embeddings.text[::2]))


class Winding(MeanRoot):
    def space(self, embeddings: Embeddings) -> Space:
        plain = super().space(embeddings)
        return Wound(plain.text, plain.image, plain.root)


class Wound(SphereSpace):
    def toward_root(self, x: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
        return super().toward_root(x, fraction).roll(1, -1)


class Undecided(MeanRoot):
    trained: ClassVar[Any] = "perhaps"


BROKEN_PROBES: dict[str, tuple[Any, str, str]] = {
    "undecided": (Undecided, "declaration", "trained must be True or False"),
    "anchored": (Anchored, "anchors", "anchors must be texts: [3]"),
    "forgetful": (Forgetful, "fit returns self", "fit must return self"),
    "half": (Half, "space", "points for"),
    "winding": (Winding, "way to the root", "ends_decide must hold, or not be declared"),
    "restless": (Restless, "repeatable", "for the same seed"),
    "spoiling": (Spoiling, "inputs unchanged", "space must not change the embeddings"),
}


@pytest.mark.parametrize("case", list(BROKEN_PROBES))
def test_a_broken_probe_fails_its_check(case: str) -> None:
    make, name, problem = BROKEN_PROBES[case]
    assert problem in _failed(check_probe(make))[name]


@pytest.mark.parametrize(
    ("make", "geometry"),
    [(EmptyRoot, "sphere"), (MeanRoot, "sphere"), (EmptyRoot, "lorentz"), (Origin, "lorentz"),
     (Origin, "euclidean"), (EmptyRoot, "lorentz-product"), (Origin, "lorentz-product")],
)  # fmt: skip
def test_our_probes_conform(make: Any, geometry: Any) -> None:
    checks = check_probe(make, geometry)
    assert _failed(checks) == {}
    assert {check.name for check in checks} == {name for _, name, _ in BROKEN_PROBES.values()}
