"""BREEDS: ImageNet classes grouped under superclasses of one depth in a corrected hierarchy.

Santurkar, Tsipras, Madry: BREEDS: Benchmarks for Subpopulation Shift, ICLR 2021, arXiv 2008.04859.
The authors' rule chooses superclasses and their classes; it is repeated here, draw by draw, from
their three files. Source and target subpopulations are taken together: nothing is trained.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hiereval.datasets.hierarchy import Hierarchy, build
from hiereval.datasets.imagenet import LabelledImages, assemble, read_images, read_templates
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, nearest
from hiereval.types import DataOptions

FILES = ("dataset_class_info.json", "class_hierarchy.txt", "node_names.txt")
SEED = 2  # the authors'


class Rule(NamedTuple):
    """Superclasses are the nodes of this depth (below `under`) with at least `classes` classes."""

    depth: int
    classes: int
    under: str | None


SPLITS = {
    "entity13": Rule(3, 20, None),
    "entity30": Rule(4, 8, None),
    "living17": Rule(5, 4, "n00004258"),
    "nonliving26": Rule(5, 4, "n00021939"),
}


def breeds(options: DataOptions) -> LabelledImages:
    """BREEDS (entity13, entity30, living17, nonliving26), from breeds/ and imagenet/val."""
    split = options.split or "entity13"
    if split not in SPLITS:
        raise HierevalError(
            f"The split {split!r} of breeds must be one of {', '.join(SPLITS)}."
            f"{nearest(split, SPLITS)}"
        )
    folder = options.root / "breeds"
    for file in FILES:
        if not (folder / file).is_file():
            raise HierevalError(
                f"BREEDS must have its '{folder / file}': take {', '.join(FILES)} from "
                "imagenet_class_hierarchy/modified at https://github.com/MadryLab/"
                "BREEDS-Benchmarks; --data-dir names another data root."
            )
    names, edges, leaves = _read(folder)
    chosen = select(build(edges, leaves, str(folder / FILES[1])), SPLITS[split])
    classes = [wnid for group in chosen.values() for wnid in group]
    superclasses = list(chosen)
    return assemble(
        "breeds",
        split,
        read_images(options.root / "imagenet" / "val", classes, options.places.cache),
        hierarchy=build(edges, classes, str(folder / FILES[1])),
        classes=classes,
        names=names,
        superclasses=superclasses,
        superclass_of=[i for i, node in enumerate(superclasses) for _ in chosen[node]],
        templates=read_templates(options.root / "imagenet" / "templates.txt"),
    )


def select(hierarchy: Hierarchy, rule: Rule) -> dict[str, list[str]]:
    """Return each superclass with its classes, drawn as the authors draw them."""
    draw = np.random.RandomState(SEED)
    nodes = np.array(hierarchy.nodes)
    below = hierarchy.ancestors[hierarchy.classes]  # [c, v]
    eligible = hierarchy.depth == rule.depth
    if rule.under is not None and rule.under in hierarchy.nodes:
        eligible &= hierarchy.ancestors[:, hierarchy.nodes.index(rule.under)]
    chosen = {}
    for node in sorted(np.flatnonzero(eligible).tolist(), key=lambda i: hierarchy.nodes[i]):
        classes = sorted(nodes[hierarchy.classes[below[:, node]]].tolist())
        if len(classes) >= rule.classes:
            drawn = draw.choice(classes, rule.classes, replace=False)
            chosen[hierarchy.nodes[node]] = [str(wnid) for wnid in drawn]
    if not chosen:
        raise HierevalError(
            f"The BREEDS hierarchy must have superclasses of depth {rule.depth} with at least "
            f"{rule.classes} classes; it has none."
        )
    return chosen


def _read(folder: Path) -> tuple[dict[str, str], list[tuple[str, str]], list[str]]:
    """Return names (a class by its first synonym), (child, parent) edges and the classes."""
    path = folder / FILES[0]
    try:
        info = json.loads(read_text(path))
        labels = {str(wnid): str(words).partition(",")[0].strip() for _, wnid, words in info}
    except (ValueError, TypeError) as error:
        raise HierevalError(f"{path}: the file must be a JSON list of [n, wnid, names].") from error
    edges = [(child, parent) for parent, child in _lines(folder / FILES[1], None)]
    names = {node: name.partition(",")[0].strip() for node, name in _lines(folder / FILES[2], "\t")}
    known = {node for edge in edges for node in edge}
    return names | labels, edges, [wnid for wnid in labels if wnid in known]


def _lines(path: Path, separator: str | None) -> list[tuple[str, str]]:
    found = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.strip().split(separator)
        if len(fields) != 2:
            raise HierevalError(f"{path}:{number}: the line must have two columns, found {line!r}.")
        found.append((fields[0].strip(), fields[1].strip()))
    return found
