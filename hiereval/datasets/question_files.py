"""The files of the six taxonomies and of the questions about them, as their authors publish them.

Below <data root>/consistency: taxonomies/hierarchy_*.json and annotations/*.jsonl.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, nearest, shorten
from hiereval.seals import parsed

SOURCE = "https://github.com/yuanqing-ai/LLM-Hierarchical-Consistency (data/)"


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
