"""Images in class folders under a hierarchy: ImageNet's layout, with WordNet or the user's edges.

Deng et al.: ImageNet: A Large-Scale Hierarchical Image Database, CVPR 2009. All of it is read
from the user's folder: <data root>/imagenet/val/<class>/<image>, and beside `val`, where wanted,
hierarchy.csv (child,parent), names.csv (class,name), superclasses.txt and templates.txt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from hiereval.datasets.hierarchy import Hierarchy, build, read_edges, read_pairs
from hiereval.datasets.image_files import ENDINGS, FileImage, content_sha256, is_image
from hiereval.datasets.text_file import read_text
from hiereval.datasets.wordnet import open_wordnet
from hiereval.errors import HierevalError
from hiereval.types import DataOptions, Dataset

TEMPLATES = ("a photo of a {}.", "{}")


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImages(Dataset):
    """One class an image, c classes under a hierarchy, t prompt templates, s superclasses."""

    classes: tuple[str, ...]
    hierarchy: Hierarchy
    labels: np.ndarray  # [i] class of each image
    templates: tuple[str, ...]
    class_prompts: np.ndarray  # [t, c] index into texts
    superclasses: tuple[str, ...]  # may be none
    superclass_prompts: np.ndarray  # [t, s]
    superclass_of: np.ndarray  # [c], -1 where a class has none

    def head(self, n: int) -> Self:
        """Return the first n images (they go round the classes) with all classes."""
        if n >= len(self.images):
            return self
        return replace(
            self,
            sha256=hashlib.sha256(f"{self.sha256} first {n}".encode()).hexdigest(),
            images=self.images[:n],
            images_sha256=content_sha256(self.images[:n]),
            labels=self.labels[:n],
        )


def imagenet_wordnet(options: DataOptions) -> LabelledImages:
    """Images in class folders (imagenet/val in the data root), hierarchy from WordNet."""
    split = options.split or "val"
    folder = options.root / "imagenet"
    classes = class_folders(folder / split)
    names = dict(_names(folder))
    if (folder / "hierarchy.csv").is_file():
        path = folder / "hierarchy.csv"
        hierarchy = build(read_edges(path), classes, str(path))
    else:
        with open_wordnet(options.root) as wordnet:
            hierarchy = build(wordnet.edges(classes), classes, wordnet.source)
            names = {node: wordnet.name(node) for node in hierarchy.nodes} | names
    superclasses = _superclasses(folder / "superclasses.txt", hierarchy)
    return assemble(
        "imagenet-wordnet",
        split,
        read_images(folder / split, classes, options.places.cache),
        hierarchy=hierarchy,
        classes=classes,
        names=names,
        superclasses=superclasses,
        superclass_of=_superclass_of(hierarchy, superclasses, folder / "superclasses.txt"),
        templates=read_templates(folder / "templates.txt"),
    )


def assemble(
    name: str,
    split: str,
    images: Sequence[tuple[int, FileImage]],
    *,
    hierarchy: Hierarchy,
    classes: Sequence[str],
    names: Mapping[str, str],
    superclasses: Sequence[str],
    superclass_of: Sequence[int],
    templates: Sequence[str],
    revision: str | None = None,
) -> LabelledImages:
    """Return the dataset of (label, image) pairs; a node without a name is called by its id."""
    texts: dict[str, int] = {}

    def prompts(nodes: Sequence[str]) -> np.ndarray:
        filled = [[template.format(names.get(n, n)) for n in nodes] for template in templates]
        index = [[texts.setdefault(text, len(texts)) for text in row] for row in filled]
        return np.array(index, dtype=np.int64).reshape(len(templates), len(nodes))

    class_prompts, superclass_prompts = prompts(classes), prompts(superclasses)
    where = f"the user's files in imagenet/{images[0][1].path.parts[-3]}" if images else ""
    pictures = content_sha256(image for _, image in images)
    content = [
        pictures,
        list(texts),
        class_prompts.tolist(),
        superclass_prompts.tolist(),
        list(superclass_of),
        hierarchy.nodes,
        hierarchy.edges.tolist(),
        list(classes),
        [(label, image.name) for label, image in images],
    ]
    return LabelledImages(
        name=name,
        split=split,
        revision=revision,
        sha256=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        images_sha256=pictures,
        image_source=where,
        texts=tuple(texts),
        images=tuple(image for _, image in images),
        classes=tuple(classes),
        hierarchy=hierarchy,
        labels=np.array([label for label, _ in images], dtype=np.int64),
        templates=tuple(templates),
        class_prompts=class_prompts,
        superclasses=tuple(superclasses),
        superclass_prompts=superclass_prompts,
        superclass_of=np.array(superclass_of, dtype=np.int64),
    )


# --- files ---------------------------------------------------------------------------------------


def class_folders(folder: Path) -> list[str]:
    """Return the names of the class folders, sorted."""
    found = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    if not found:
        raise HierevalError(
            f"ImageNet's images must stand in '{folder}', one folder a class (n01440764, ...): "
            "https://image-net.org/download.php has them; --data-dir names another data root."
        )
    return found


def read_images(
    folder: Path, classes: Sequence[str], memory: Path | None = None
) -> list[tuple[int, FileImage]]:
    """Return (class, image), the first of every class, then the second of every class, ..."""
    found = []
    for label, name in enumerate(classes):
        here = folder / name
        files = sorted(p for p in here.iterdir() if is_image(p.name)) if here.is_dir() else []
        if not files:
            raise HierevalError(
                f"The class folder '{here}' must hold at least one image ({', '.join(ENDINGS)})."
            )
        found += [(i, label, FileImage(f"{name}/{p.name}", p, memory)) for i, p in enumerate(files)]
    found.sort(key=lambda image: image[:2])
    return [(label, image) for _, label, image in found]


def read_templates(path: Path) -> tuple[str, ...]:
    """Return the built-in prompt templates and those of the user's file, one a line."""
    lines = read_text(path).splitlines() if path.is_file() else []
    return tuple(dict.fromkeys([*TEMPLATES, *template_lines(path, lines)]))


def template_lines(path: Path, lines: Sequence[str]) -> tuple[str, ...]:
    """Return the templates of a file's lines; one without its {} raises, named."""
    for number, line in enumerate(lines, start=1):
        if line.strip() and (line.count("{}") != 1 or line.count("{") + line.count("}") != 2):
            raise HierevalError(
                f"{path}:{number}: the template {line!r} must have one {{}} for the class name."
            )
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _names(folder: Path) -> list[tuple[str, str]]:
    path = folder / "names.csv"
    rows = read_pairs(path, ("class", "name")) if path.is_file() else []
    return [(node, name) for _, node, name in rows]


def _superclasses(path: Path, hierarchy: Hierarchy) -> list[str]:
    lines = read_text(path).splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        if line.strip() and line.strip() not in hierarchy.nodes:
            raise HierevalError(
                f"{path}:{number}: the superclass {line.strip()!r} must be above a class."
            )
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _superclass_of(hierarchy: Hierarchy, superclasses: Sequence[str], path: Path) -> list[int]:
    index = [hierarchy.nodes.index(node) for node in superclasses]
    above = hierarchy.ancestors[hierarchy.classes][:, index]  # [c, s]
    for label, row in enumerate(above):
        if row.sum() > 1:
            both = " and ".join(repr(superclasses[i]) for i in np.flatnonzero(row)[:2])
            node = hierarchy.nodes[hierarchy.classes[label]]
            raise HierevalError(
                f"{path}: the class {node!r} must be below one superclass, not {both}."
            )
    return [int(row.argmax()) if row.any() else -1 for row in above]
