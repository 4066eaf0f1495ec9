"""Skeletons of plugins: a package that works, with its entry point and a test that passes."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

import click

from hiereval import registry
from hiereval.errors import HierevalError
from hiereval.files import clear_leftovers, write_whole

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
    texts = {
        file: Template((templates / f"{template}.txt").read_text("utf-8")).substitute(words)
        for file, template in written.items()
    }
    write_files(folder, texts)
    click.echo(f"{folder}: {', '.join(written)}")
    click.echo(f"Next: pip install -e {shlex.quote(str(folder))} && {check}")


def write_files(folder: Path, texts: Mapping[str, str], run: Iterable[str] = ()) -> None:
    """Write texts by their paths in a folder, those to `run` as programs.

    It must be new or empty, or hold some of them just as they are: what a killed process has left
    is gone on with. Raises HierevalError.
    """
    content = {Path(name): text.encode() for name, text in texts.items()}
    inner = {parent for name in content for parent in name.parents}
    try:
        for name in inner:
            clear_leftovers(folder / name)
        for path in folder.rglob("*"):
            name = path.relative_to(folder)
            if name not in inner and (name not in content or path.read_bytes() != content[name]):
                raise HierevalError(f"The folder {str(folder)!r} must be new or empty.")
        for name, written in content.items():
            write_whole(folder / name, written)
        for program in run:
            (folder / program).chmod(0o755)
    except OSError as error:
        raise HierevalError(
            f"The folder {str(folder)!r} must be writable: {error.strerror}."
        ) from error


def _check_name(kind: Kind, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise HierevalError(
            f"The {kind} name {name!r} must be lower-case words joined by '-', such as 'my-{kind}'."
        )
    if name in registry.names(KINDS[kind]):
        raise HierevalError(
            f"The {kind} name {name!r} must be new. 'hiereval ls {kind}s' lists those there are."
        )
