"""Skeletons of plugins: a package that works, with its entry point and a test that passes."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

import click

from hiereval import registry
from hiereval.errors import HierevalError
from hiereval.files import vacant, write_whole

Kind = Literal["adapter", "task", "dataset"]
KINDS: dict[Kind, registry.Kind] = {"adapter": "adapters", "task": "tasks", "dataset": "datasets"}
OPTIONS = {  # what names the plugin on the command line
    "adapter": "hiereval run --model {name}:CHECKPOINT",
    "task": "hiereval run --tasks {name}",
    "dataset": "hiereval run --dataset {name}",
}
CHECKS = {
    "adapter": "hiereval check-adapter {name}:demo",
    "task": "hiereval run --model toy --dataset shapes --tasks {name}",
    "dataset": "hiereval run --model control:words --dataset {name} --tasks ordering",
}


NO_IMAGES = {
    "imports": "",
    "images": "None",
    "todo": "hiereval.datasets.image_files.FileImage(name, path), one a chain",
}


def write(kind: Kind, name: str, out: Path | None, images: Mapping[str, str] = NO_IMAGES) -> None:
    """Write the package of a new plugin into `out` (by default hiereval-NAME) and say what is next.

    `images` are the words of a dataset's template that say where its images are.
    Raises HierevalError for a name that is taken or cannot be one, and a folder with files in it.
    """
    _check_name(kind, name)
    folder = out or Path(f"hiereval-{name}")
    if not vacant(folder):
        raise HierevalError(
            f"The folder {str(folder)!r} must be new or empty; name one with --out."
        )
    module = f"hiereval_{name.replace('-', '_')}"
    check = CHECKS[kind].format(name=name)
    words = {
        "kind": kind,
        "article": "An" if kind == "adapter" else "A",
        "name": name,
        "module": module,
        "target": name.replace("-", "_") if kind == "dataset" else name.title().replace("-", ""),
        "option": OPTIONS[kind].format(name=name),
        "check": check,
        **images,
    }
    written = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}.py": f"{kind}.py",
        f"test_{module}.py": f"test_{kind}.py",
    }
    templates = files("hiereval.commands") / "templates"
    try:
        for file, template in written.items():
            text = Template((templates / f"{template}.txt").read_text("utf-8")).substitute(words)
            write_whole(folder / file, text.encode())
    except OSError as error:
        raise HierevalError(
            f"The folder {str(folder)!r} must be writable: {error.strerror}."
        ) from error
    click.echo(f"{folder}: {', '.join(written)}")
    click.echo(f"Next: pip install -e {folder} && {check}")


def _check_name(kind: Kind, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise HierevalError(
            f"The {kind} name {name!r} must be lower-case words joined by '-', such as 'my-{kind}'."
        )
    if name in registry.names(KINDS[kind]):
        raise HierevalError(
            f"The {kind} name {name!r} must be new. 'hiereval ls {kind}s' lists those there are."
        )
