"""Four-choice questions about an image, one for each level of a taxonomy.

Tan, Qing, Gong: Vision LLMs Are Bad at Hierarchical Visual Understanding, and LLMs Are the
Bottleneck. 2025, arXiv 2505.24840. All is read from the user's folder <data root>/consistency:
taxonomies/hierarchy_*.json and annotations/*.jsonl of the authors' repository, and images/.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

import numpy as np

from hiereval.datasets.image_files import FileImage, content_sha256
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, nearest, shorten
from hiereval.seals import parsed
from hiereval.types import DataOptions, Dataset

SOURCE = "https://github.com/yuanqing-ai/LLM-Hierarchical-Consistency (data/)"
PROMPT = "a photo of a {}."
LOOKED = 100  # images looked for to find out how their folders are laid out


class Taxonomy(NamedTuple):
    """One of the six: how its files are called, and the first level that is scored."""

    taxonomy: str
    annotations: str
    first: int  # 2 where the first level is one node, which all share


TAXONOMIES = {
    "cub200": Taxonomy("CUB200", "CUB200", 1),
    "food101": Taxonomy("Food", "Food101", 2),
    "inat21-animal": Taxonomy("Inat_animal", "inat21_animalia", 2),
    "inat21-plant": Taxonomy("Inat_plantae", "inat21_plantae", 2),
    "imagenet-animal": Taxonomy("imagenet_animal", "imagenet_animal", 2),
    "imagenet-artifact": Taxonomy("imagenet_artifact", "imagenet_artifact", 2),
}
KINDS = ("similar", "random")  # how the wrong options were drawn
SPLITS = tuple(f"{name}-{kind}" for name in TAXONOMIES for kind in KINDS) + tuple(TAXONOMIES)


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


def parse_split(split: str) -> tuple[str, str | None]:
    """Return taxonomy and kind of wrong options of a split's name; None for the taxonomy alone."""
    if split not in SPLITS:
        raise HierevalError(
            f"The split {split!r} of hierarchical-consistency must be one of {', '.join(SPLITS)}."
            f"{nearest(split, SPLITS)}"
        )
    if split in TAXONOMIES:
        return split, None
    name, _, kind = split.rpartition("-")
    return name, kind


def annotation_file(folder: Path, stem: str, kind: str) -> Path:
    """Return the questions' file, by either of the names and in either of the folders it has."""
    names = (f"{stem}_with_{kind}_choice.jsonl", f"{stem}_with_choice_{kind}.jsonl")
    for name in names:
        for path in (folder / name, folder / f"{kind}_choices" / name):
            if path.is_file():
                return path
    raise HierevalError(
        f"The questions must stand at '{folder / names[0]}' or below {kind}_choices/ there: they "
        f"come from {SOURCE}. --data-dir names another data root."
    )


# --- the taxonomy --------------------------------------------------------------------------------


def read_taxonomy(path: Path) -> dict[str, tuple[str, ...]]:
    """Return leaf -> path from the root down to it, all in lower case.

    Raises HierevalError for a leaf without a path, one whose path ends elsewhere, and a cycle. A
    name may follow itself (a family of one genus), which is no cycle.
    """
    if not path.is_file():
        raise HierevalError(
            f"The taxonomy must stand at '{path}': it comes from {SOURCE}. --data-dir names "
            "another data root."
        )
    try:
        given = json.loads(read_text(path))
    except ValueError as error:
        raise HierevalError(f"{path}: the taxonomy must be JSON: {error}.") from error
    if not isinstance(given, dict) or not given:
        raise HierevalError(f'{path}: the taxonomy must be an object, {{"leaf": ["root", ...]}}.')
    paths, problems = {}, []
    for leaf, nodes in given.items():
        if not _are_names(nodes):
            problems.append(f"{path}: the leaf {leaf!r} must have a path of names from the root.")
        elif nodes[-1].lower() != leaf.lower():
            problems.append(f"{path}: the path of the leaf {leaf!r} must end there, not at "
                            f"{nodes[-1]!r}.")  # fmt: skip
        else:
            paths[leaf.lower()] = tuple(node.lower() for node in nodes)
    if problems:
        raise HierevalError(shorten(problems))
    _refuse_cycle(path, paths.values())
    return paths


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value)


def _refuse_cycle(path: Path, paths: Iterable[tuple[str, ...]]) -> None:
    above: dict[str, set[str]] = {}
    for nodes in paths:
        for parent, child in pairwise(nodes):
            if parent != child:
                above.setdefault(child, set()).add(parent)
    try:
        TopologicalSorter(above).prepare()
    except CycleError as error:
        raise HierevalError(
            f"{path}: the taxonomy must not run in a circle: {' > '.join(error.args[1])}."
        ) from error


# --- the questions -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One image's questions, general to specific; case never decides whether an answer is right."""

    image: str
    truth: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]  # of each level; none where they are not known


def read_rows(path: Path, first: int) -> list[Row]:
    """Read a questions file; levels below `first` and beyond the first absent one do not count.

    Raises one HierevalError that counts the bad lines and names line and field of the first ten.
    """
    rows, problems = [], []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                rows.append(_row(parsed(line), first))
            except ValueError as error:
                problems.append(f"{path}:{number}: {error}.")
    if problems:
        raise HierevalError(shorten(problems))
    if not rows:
        raise HierevalError(f"{path}: the file must hold at least one row of questions.")
    return rows


def _row(row: Any, first: int) -> Row:
    """Return a line's questions, or raise ValueError with the field that is wrong."""
    if not isinstance(row, dict):
        raise ValueError("the line must be an object with image, level1, choices_level1, ...")
    image = row.get("image")
    if not isinstance(image, str) or not image.strip():
        raise ValueError(f"image: must be the path of an image, not {json.dumps(image)[:40]}")
    truth, choices, level = [], [], first
    while row.get(f"level{level}") is not None:
        right, options = row[f"level{level}"], row.get(f"choices_level{level}")
        if not (isinstance(right, str) and isinstance(options, list) and _are_names(options)):
            raise ValueError(f"choices_level{level}: must be a list of names, level{level} its one")
        named = [option for option in options if option.lower() == right.lower()]
        if not named:
            raise ValueError(
                f"choices_level{level}: must hold the right answer {right!r}, found "
                f"{', '.join(options)[:200]}"
            )
        truth.append(named[0])
        choices.append(tuple(options))
        level += 1
    if not truth:
        raise ValueError(f"level{first}: must be given, the first level that is scored")
    return Row(image.strip(), tuple(truth), tuple(choices))


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
