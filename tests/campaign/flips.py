"""Flipped bits: each is refused, mended, or changes nothing that is read; none changes a number."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from support.made_records import make_record
from support.sampled import coin
from support.sampled import write as write_samples

from hiereval import appending, reading, samples, seals
from hiereval.errors import HierevalError
from hiereval.finetune.output import Output
from hiereval.fingerprint import weights_sha256
from hiereval.probes import artefacts
from hiereval.store import Shelf, Store, VanishedError, text_key
from hiereval.types import DataOptions, ModelId

MODEL = ModelId(adapter="fake", name="a", checkpoint="c", weights_sha256="w")


@dataclass(frozen=True)
class Kind:
    """A kind of file: how one is made, and what is read from it."""

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]  # a value that compares; HierevalError where it is refused
    hashed: bool = False  # read gives (hash, value): another hash is another thing, and says so


@dataclass(frozen=True)
class Flips:
    """What came of it."""

    refused: int  # or, for vectors, put aside and encoded again
    harmless: int  # read as before
    problems: list[str]


def flip(kind: Kind, n: int, seed: int, folder: Path) -> Flips:
    """Flip one bit at a time in a file of this kind."""
    logging.getLogger("hiereval").setLevel(logging.CRITICAL)
    numbers = random.Random(seed)
    path = kind.make(folder)
    expected, content = copy.deepcopy(kind.read(path)), path.read_bytes()
    refused = harmless = 0
    problems = []
    for _ in range(n):
        bit = numbers.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.unlink(missing_ok=True)  # a file of the same size and time would be another
        path.write_bytes(flipped)
        try:
            found = kind.read(path)
        except HierevalError:
            refused += 1
        except Exception as error:
            problems.append(f"bit {bit}: {type(error).__name__}: {error}")
        else:
            refused += kind.hashed and found[0] != expected[0]
            harmless += found == expected
            if found != expected and not (kind.hashed and found[0] != expected[0]):
                problems.append(f"bit {bit}: read as {str(found)[:200]}")
    logging.getLogger("hiereval").setLevel(logging.NOTSET)
    return Flips(refused, harmless, problems)


# --- the kinds -----------------------------------------------------------------------------------


def _shard(folder: Path) -> Path:
    shelf = Store(folder).shelf(MODEL)
    shelf.put(KEYS, VECTORS, list(range(len(KEYS))))
    return shelf.opened[0].path


KEYS = [text_key(str(i)) for i in range(20)]
VECTORS = torch.randn(20, 16, generator=torch.Generator().manual_seed(0))


def _vectors(path: Path) -> Any:
    """Return what is read; where it is damaged, whether only whole vectors are left."""
    for other in path.parent.glob("*"):
        if other != path and other.is_file():
            other.unlink()
    before = path.read_bytes()
    try:
        shelf = Shelf(path.parent)
        missing = shelf.missing(KEYS)
        kept = [i for i, key in enumerate(KEYS) if key not in missing]
        vectors, lengths = shelf.get([KEYS[i] for i in kept])
    except VanishedError:
        shelf = Shelf(path.parent)
        missing = shelf.missing(KEYS)
        kept = [i for i, key in enumerate(KEYS) if key not in missing]
        vectors, lengths = shelf.get([KEYS[i] for i in kept])
    if kept and not (torch.equal(vectors, VECTORS[kept]) and lengths.tolist() == kept):
        return "other vectors"
    if len(kept) == len(KEYS):
        return "all"
    aside = [p for p in path.parent.glob("*.damaged") if p.read_bytes() == before]
    if not aside:
        return f"{len(KEYS) - len(kept)} vectors gone without a trace"
    raise HierevalError("put aside, to be encoded again")


def _records(folder: Path) -> Path:
    path = folder / "records.jsonl"
    for i in range(3):
        appending.append(path, make_record(record_id=str(i)))
    return path


def _samples(folder: Path) -> Path:
    return write_samples(folder, coin([1.0, 0.0, 0.5]))


def _read_samples(path: Path) -> Any:
    return [
        (s.identity, s.scores.ids, {k: v.tolist() for k, v in s.scores.items.items()})
        for s in samples.read(path)
    ]


def probe(folder: Path, model: ModelId = MODEL, width: int = 8) -> Path:
    """A fitted probe in a folder, without fitting one."""
    import numpy as np

    from hiereval.probes.descent import Descent
    from hiereval.probes.learned import LearnedRoot
    from hiereval.types import Chains

    fitted: Any = LearnedRoot(device="cpu")
    log = [{"step": 0, "total": 1.0}]
    fitted.descent_ = Descent({"root": torch.arange(float(width))}, log, log, 0)
    data = Chains(
        name="few", split="train", revision=None, sha256="0" * 64, texts=("a", "b"), images=(),
        image_source="none", chains=np.array([[0, 1]]), pool=np.array([0, 1]),
    )  # fmt: skip
    artefacts.save(fitted, folder / "probe", model, data)
    return folder / "probe"


def _read_probe(path: Path) -> Any:
    (found,) = artefacts.load(path.parent, MODEL)
    fitted: Any = found.probe
    weights = {name: value.tolist() for name, value in fitted.descent_.parameters.items()}
    return weights, fitted.descent_.log, found.parameters, found.seed, found.training


def _state(folder: Path) -> Path:
    output = Output(folder / "tuned")
    output.open(resume=False)
    output.save_state({"step": 3, "weights": {"a": torch.arange(50.0)}}, {"lr": 0.1})
    return output.state


def _read_state(path: Path) -> Any:
    state = Output(path.parent).load_state({"lr": 0.1})
    return state["step"], state["weights"]["a"].tolist()


def _weights(folder: Path) -> Path:
    from safetensors.torch import save_file

    save_file({"a": torch.arange(100.0)}, folder / "model.safetensors")
    return folder / "model.safetensors"


def _dataset(folder: Path) -> Path:
    from campaign.scenes import chains

    return chains(folder / "few.csv")


def _read_dataset(path: Path) -> Any:
    from hiereval.datasets import open_dataset

    data: Any = open_dataset(str(path), DataOptions())
    return data.sha256, (data.texts, data.chains.tolist())


def _settings(folder: Path) -> Path:
    seals.write_json(folder / "fit.json", {"model": "a", "probes": {"seed-0": {"rank": 4}}})
    return folder / "fit.json"


KINDS = {
    "stored vectors": Kind(_shard, _vectors),
    "records": Kind(_records, lambda path: list(reading.read(path))),
    "samples": Kind(_samples, _read_samples),
    "a probe's weights": Kind(lambda f: probe(f) / artefacts.WEIGHTS, _read_probe),
    "a probe's card": Kind(lambda f: probe(f) / artefacts.CARD, _read_probe),
    "a fitting's settings": Kind(_settings, seals.read_json),
    "a training's state": Kind(_state, _read_state),
    "a checkpoint's weights": Kind(_weights, lambda path: (weights_sha256([path]), 0), True),
    "a dataset": Kind(_dataset, _read_dataset, True),
}
