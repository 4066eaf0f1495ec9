"""ImageNet under the WordNet graph that the HyCoCLIP family is scored with, from a text file.

Pal et al.: Compositional Entailment Learning for Hyperbolic Vision-Language Models (HyCoCLIP).
ICLR 2025, arXiv 2410.06912. All is read from the user's folder <data root>/hycoclip, files of the
authors' repository: imagenet_isa.txt (edges "parent child") and, for class names and prompts,
class_names.py and eval_hierarchical_metrics.py, which are parsed and never run.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hiereval.datasets.hierarchy import build, read_pairs
from hiereval.datasets.image_files import FileImage
from hiereval.datasets.imagenet import LabelledImages, assemble, read_images, template_lines
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError
from hiereval.types import DataOptions

SOURCE = "https://github.com/PalAvik/hycoclip (assets/imagenet_synset)"
RELEASED_AT = "08bb05b8"  # the commit whose file of edges has this hash
RELEASED_SHA256 = "693089a7e3e1cb3e1ca7bde05d77d27e3f6c31b68fe3815eaa131542343436b7"
CLASSES = "classes"  # the split of the classes alone, an item each, for what needs no picture
PROMPTS = ("a photo of a {}.",)  # where the user's folder names none


def hycoclip_wordnet(options: DataOptions) -> LabelledImages:
    """ImageNet's 1,000 classes under HyCoCLIP's WordNet edges (hycoclip/ in the data root)."""
    root, split = options.root, options.split or "val"
    path = root / "hycoclip" / "imagenet_isa.txt"
    edges = read_isa(path)
    parents = {parent for _, parent in edges}
    classes = sorted({child for child, _ in edges} - parents)
    hierarchy = build(edges, classes, str(path))
    alone = split == CLASSES
    names = classes if alone else _names(root, classes)
    folder = root / "imagenet" / split
    data = assemble(
        "hycoclip-wordnet",
        split,
        [] if alone else _images(folder, classes, options.places.cache),
        hierarchy=hierarchy,
        classes=classes,
        names=dict(zip(classes, names, strict=True)),
        superclasses=(),
        superclass_of=[-1] * len(classes),
        templates=_prompts(root / "hycoclip"),
        revision=RELEASED_AT if _sha256(path) == RELEASED_SHA256 else None,
    )
    return replace(data, labels=np.arange(len(classes))) if alone else data


def read_isa(path: Path) -> list[tuple[str, str]]:
    """Return the (child, parent) edges of a file with "parent child" on each line."""
    if not path.is_file():
        raise HierevalError(
            f"HyCoCLIP's edges of WordNet must stand at '{path}': the file imagenet_isa.txt of "
            f"{SOURCE}. --data-dir names another data root."
        )
    edges = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        parts = line.split()
        if parts and len(parts) != 2:
            raise HierevalError(
                f"{path}:{number}: the line must be a parent and a child, found {line[:60]!r}."
            )
        if parts:
            edges.append((parts[1], parts[0]))
    if not edges:
        raise HierevalError(f"{path}: the file must hold at least one edge.")
    return edges


def _images(folder: Path, classes: Sequence[str], memory: Path) -> list[tuple[int, FileImage]]:
    """Return (class, image) of the class folders that are there; other folders are an error."""
    found = {p.name for p in folder.iterdir() if p.is_dir()} if folder.is_dir() else set()
    unknown = sorted(found - set(classes))
    if unknown or not found:
        given = f"{len(unknown):,} are not, the first is {unknown[0]!r}" if unknown else "none is"
        raise HierevalError(
            f"The folders in '{folder}' must be classes of the edges ({classes[0]}, ...); {given}."
        )
    index = {name: label for label, name in enumerate(classes)}
    present = sorted(found)
    return [(index[present[i]], image) for i, image in read_images(folder, present, memory)]


def _names(root: Path, classes: Sequence[str]) -> list[str]:
    """Return what each class is called, by the released list or by imagenet/names.csv."""
    released, own = root / "hycoclip" / "class_names.py", root / "imagenet" / "names.csv"
    if released.is_file():
        names = _strings(released, "imagenet")
        if len(names) != len(classes):
            raise HierevalError(
                f"{released}: the list 'imagenet' must name the {len(classes):,} classes of the "
                f"edges, it has {len(names):,} names."
            )
        return names
    rows = read_pairs(own, ("class", "name")) if own.is_file() else []
    named = {node: name for _, node, name in rows}
    lacking = [name for name in classes if name not in named]
    if lacking:
        raise HierevalError(
            f"The class names must stand in '{released}', the released file, or in '{own}' "
            f"(class,name); {len(lacking):,} of {len(classes):,} classes have none, the first is "
            f"{lacking[0]!r}."
        )
    return [named[name] for name in classes]


def _prompts(folder: Path) -> tuple[str, ...]:
    """Return the prompts of the released configuration, of templates.txt, or "a photo of a {}."."""
    config = folder / "eval_hierarchical_metrics.py"
    if config.is_file():
        return template_lines(config, _strings(config, "imagenet"))
    own = folder / "templates.txt"
    lines = read_text(own).splitlines() if own.is_file() else []
    return template_lines(own, lines) or PROMPTS


def _strings(path: Path, name: str) -> list[str]:
    """Return the list of strings that a Python file gives under this key; nothing is run."""
    try:
        tree = ast.parse(read_text(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise HierevalError(f"{path}: the file must be Python source: {error}.") from error
    for key, value in _keyed(tree):
        if key == name and isinstance(value, ast.List):
            words = [item.value if isinstance(item, ast.Constant) else None for item in value.elts]
            if words and all(isinstance(word, str) for word in words):
                return [str(word) for word in words]
    raise HierevalError(f"{path}: the file must give a list of strings under the key {name!r}.")


def _keyed(tree: ast.AST) -> Iterator[tuple[object, ast.expr]]:
    """Yield (key, value) of every dict(key=value) and {"key": value}."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                yield getattr(key, "value", None), value


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
