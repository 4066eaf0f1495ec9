"""Four-choice questions about an image, one for each level of a taxonomy.

Tan, Qing, Gong: Vision LLMs Are Bad at Hierarchical Visual Understanding, and LLMs Are the
Bottleneck. 2025, arXiv 2505.24840. All is read from the user's folder <data root>/consistency.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np

from hiereval.datasets.image_files import FileImage, content_sha256
from hiereval.datasets.question_files import (
    SPLITS,
    TAXONOMIES,
    Row,
    annotation_file,
    parse_split,
    read_rows,
    read_taxonomy,
)
from hiereval.types import DataOptions, Dataset

PROMPT = "a photo of a {}."
LOOKED = 100  # images looked for to find out how their folders are laid out


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions(Dataset):
    """Rows of l levels, general to specific, each a question with c options of which one is right.

    `texts` are the options' prompts, in the order of `options`. Levels beyond a row's own are -1.
    """

    options: tuple[str, ...]
    choices: np.ndarray  # [r, l, c] index into options, -1: no such option
    truth: np.ndarray  # [r, l] index of the right one; another of the same `key` is right as well
    row_image: np.ndarray  # [r]
    first: int  # number of the first level in the files, from 1
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # lower case, from `first`

    @cached_property
    def key(self) -> np.ndarray:
        """[o] a number for each option that only its spelling in lower case decides."""
        seen: dict[str, int] = {}
        keys = [seen.setdefault(option.lower(), len(seen)) for option in self.options]
        return np.array(keys, dtype=np.int64)

    def names(self) -> list[str]:
        """Return a name for each row: its image, counted where several rows share it."""
        seen: dict[int, int] = {}
        found = []
        for image in self.row_image.tolist():
            seen[image] = count = seen.get(image, 0) + 1
            name = self.images[image].name
            found.append(name if count == 1 else f"{name} ({count})")
        return found

    def head(self, n: int) -> Self:
        """Return the first n rows, with all options."""
        if n >= len(self.truth):
            return self
        used, rows = np.unique(self.row_image[:n], return_inverse=True)
        images = tuple(self.images[i] for i in used)
        return replace(
            self,
            sha256=hashlib.sha256(f"{self.sha256} first {n}".encode()).hexdigest(),
            choices=self.choices[:n],
            truth=self.truth[:n],
            images=images,
            images_sha256=content_sha256(images),
            row_image=rows.reshape(-1),
        )


def hierarchical_consistency(options: DataOptions) -> Questions:
    """Four-choice questions at each level of six taxonomies (consistency/ in the data root)."""
    split = options.split or SPLITS[0]
    name, kind = parse_split(split)
    root = options.root / "consistency"
    paths = read_taxonomy(root / "taxonomies" / f"hierarchy_{TAXONOMIES[name].taxonomy}.json")
    rows: list[Row] = []
    if kind is not None:  # else the answers of a log bring their own truth
        path = annotation_file(root / "annotations", TAXONOMIES[name].annotations, kind)
        rows = read_rows(path, TAXONOMIES[name].first)
    images = root / "images"
    return assemble(rows, split, TAXONOMIES[name].first, paths, images, options.places.cache)


def assemble(
    rows: Sequence[Row],
    split: str,
    first: int,
    paths: Mapping[str, tuple[str, ...]],
    folder: Path,
    memory: Path | None = None,
) -> Questions:
    """Return the dataset of these rows; their images are looked for below the folder."""
    index: dict[str, int] = {}
    for row in rows:
        for right, options in zip(row.truth, row.choices, strict=True):
            for option in options or (right,):
                index.setdefault(option, len(index))
    depth = max((len(row.truth) for row in rows), default=0)
    width = max((len(options) for row in rows for options in row.choices), default=0)
    choices = np.full((len(rows), depth, width), -1, dtype=np.int64)
    truth = np.full((len(rows), depth), -1, dtype=np.int64)
    for r, row in enumerate(rows):
        for level, (right, options) in enumerate(zip(row.truth, row.choices, strict=True)):
            truth[r, level] = index[right]
            choices[r, level, : len(options)] = [index[name] for name in options]
    files = {given: i for i, given in enumerate(dict.fromkeys(row.image for row in rows))}
    images = _files(list(files), folder, memory)
    images_sha256 = content_sha256(images)
    asked = [[images[files[row.image]].name, row.truth, row.choices] for row in rows]
    content = json.dumps([first, PROMPT, asked, images_sha256])
    return Questions(
        name="hierarchical-consistency",
        split=split,
        revision=None,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        image_source="the user's files in consistency/images",
        images_sha256=images_sha256,
        texts=tuple(PROMPT.format(name) for name in index),
        images=images,
        options=tuple(index),
        choices=choices,
        truth=truth,
        row_image=np.array([files[row.image] for row in rows], dtype=np.int64),
        first=first,
        paths={leaf: path[first - 1 :] for leaf, path in paths.items()},
    )


def _files(given: Sequence[str], folder: Path, memory: Path | None) -> tuple[FileImage, ...]:
    """Return the images: each path's shortest end that tells all apart, and where the file is.

    The paths are the authors' own, so a file is looked for as given, then below the folder with
    ever fewer of the leading folders; what the first images show counts for all.
    """
    if not given:
        return ()
    parts = [PurePosixPath(path).parts for path in given]
    deepest = max(map(len, parts))
    named = next(n for n in range(1, deepest + 1) if len({p[-n:] for p in parts}) == len(parts))
    looked = list(zip(given, parts, strict=True))[:LOOKED]
    as_given = any(Path(path).is_file() for path, _ in looked)
    kept = next(
        (
            n
            for n in range(deepest, 0, -1)
            if any(folder.joinpath(*_relative(p[-n:])).is_file() for _, p in looked)
        ),
        named,
    )
    places = [
        Path(path) if as_given else folder.joinpath(*_relative(p[-kept:]))
        for path, p in zip(given, parts, strict=True)
    ]
    names = ["/".join(_relative(p[-named:])) for p in parts]
    return tuple(FileImage(name, place, memory) for name, place in zip(names, places, strict=True))


def _relative(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for part in parts if part not in ("/", ".."))
