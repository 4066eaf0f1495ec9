"""Chains that a model generated, `{"image": …, "chain": […]}` a line, beside the true ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, shorten
from hiereval.hooks import Answers
from hiereval.seals import parsed
from hiereval.types import Chains, Dataset


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedChains(Dataset):
    """True chains and one predicted path of texts an image; nothing is embedded."""

    truth: Chains
    vocabulary: tuple[str, ...]  # the dataset's texts, then those only predicted
    paths: np.ndarray  # [i, l] index into vocabulary for each of the dataset's images, -1: no more


@dataclass(frozen=True)
class Predictions:
    """A predictions file: the chain of each image, and the hash of the file."""

    chains: Mapping[str, tuple[str, ...]]
    sha256: str


def read(path: Path) -> Predictions:
    """Read a predictions file; captions lose white space at both ends.

    Raises one HierevalError that counts the bad lines and names line and field of the first ten.
    """
    lines = read_text(path).split("\n")
    chains: dict[str, tuple[str, ...]] = {}
    places: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            image, chain = _parse(line)
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}.")
            continue
        if places.setdefault(image, number) != number:
            problems.append(
                f"{path}:{number}: image: {image!r} stands already at line {places[image]}."
            )
        chains[image] = chain
    if problems:
        raise HierevalError(shorten(problems))
    if not chains:
        raise HierevalError(f"{path}: the file must hold at least one prediction.")
    return Predictions(chains, hashlib.sha256(path.read_bytes()).hexdigest())


def _parse(line: str) -> tuple[str, tuple[str, ...]]:
    """Return image and chain of a line, or raise ValueError with the field that is wrong."""
    row = parsed(line)
    if not isinstance(row, dict):
        raise ValueError('the line must be an object, {"image": ..., "chain": [...]}')
    for field in ("image", "chain"):
        if field not in row:
            raise ValueError(f"{field}: must be given, the line has {', '.join(row) or 'nothing'}")
    image, chain = row["image"], row["chain"]
    if not isinstance(image, str) or not image.strip():
        raise ValueError(f"image: must be the name of an image, not {json.dumps(image)[:40]}")
    if not isinstance(chain, list):
        raise ValueError(f"chain: must be a list of texts, not {json.dumps(chain)[:40]}")
    for i, caption in enumerate(chain):
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError(f"chain.{i}: must be a text, not {json.dumps(caption)[:40]}")
    return image.strip(), tuple(caption.strip() for caption in chain)


def read_answers(path: Path, truth: Dataset) -> Answers:
    """Return a predictions file beside true chains; raises HierevalError for other truth."""
    if not isinstance(truth, Chains):
        raise HierevalError(f"The dataset {truth.name!r} must hold chains of captions.")
    return match(read(path), truth)


def match(predictions: Predictions, truth: Chains) -> Answers:
    """Return the predictions laid beside the dataset's images, by file name.

    Raises HierevalError if no image is the dataset's, or it has none.
    """
    if truth.chain_image is None:
        raise HierevalError(
            f"The dataset {truth.name!r} must have images to score chains for them."
        )
    chains = {Path(name).name: chain for name, chain in predictions.chains.items()}
    names = [image.name for image in truth.images]
    unknown = tuple(name for name in predictions.chains if Path(name).name not in set(names))
    if len(unknown) == len(chains):
        raise HierevalError(
            f"The predictions must be for images of {truth.name!r} such as {names[0]!r}; none of "
            f"their {len(chains):,} images is, the first is {unknown[0]!r}."
        )
    vocabulary = {text: i for i, text in enumerate(truth.texts)}
    paths: list[Sequence[int]] = [
        [vocabulary.setdefault(text, len(vocabulary)) for text in chains.get(name, ())]
        for name in names
    ]
    width = max(1, *map(len, paths))
    return Answers(
        PredictedChains(
            name=truth.name,
            split=truth.split,
            revision=truth.revision,
            sha256=truth.sha256,
            image_source=truth.image_source,
            images_sha256=truth.images_sha256,
            texts=truth.texts,
            images=truth.images,
            truth=truth,
            vocabulary=tuple(vocabulary),
            paths=np.array([[*path, *[-1] * (width - len(path))] for path in paths], np.int64),
        ),
        predictions.sha256,
        unknown,
        tuple(name for name in names if name not in chains),
    )
