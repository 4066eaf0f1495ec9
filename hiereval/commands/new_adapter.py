"""`hiereval new-adapter`: a package with a working adapter, its entry point and its test."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from hiereval import registry
from hiereval.errors import HierevalError


@click.command(
    epilog="""\b
Example:
  hiereval new-adapter my-clip
  cd hiereval-my-clip && pip install -e . && hiereval check-adapter my-clip:demo
"""
)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make. [hiereval-NAME]")
def command(name: str, out: Path | None) -> None:
    """Write the skeleton of an adapter: it works, and its test passes, before you change it.

    NAME is what stands before the colon in --model NAME:CHECKPOINT.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise HierevalError(
            f"The adapter name {name!r} must be lower-case words joined by '-', such as 'my-clip'."
        )
    if name in registry.names("adapters"):
        raise HierevalError(
            f"The adapter name {name!r} must be new. 'hiereval ls adapters' lists those there are."
        )
    folder = out or Path(f"hiereval-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HierevalError(
            f"The folder {str(folder)!r} must be new or empty; name one with --out."
        )
    module = f"hiereval_{name.replace('-', '_')}"
    words = {"name": name, "module": module, "cls": name.title().replace("-", "")}
    written = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}.py": "adapter.py",
        f"test_{module}.py": "test_adapter.py",
    }
    templates = files("hiereval.adapters") / "templates"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, template in written.items():
            text = Template((templates / f"{template}.txt").read_text("utf-8")).substitute(words)
            (folder / file).write_text(text, "utf-8")
    except OSError as error:
        raise HierevalError(
            f"The folder {str(folder)!r} must be writable: {error.strerror}."
        ) from error
    click.echo(f"{folder}: {', '.join(written)}")
    click.echo(f"Next: pip install -e {folder} && hiereval check-adapter {name}:demo")
