"""`hiereval new-task`: a package with a working task, its entry point and its test."""

from __future__ import annotations

from pathlib import Path

import click

from hiereval.commands import scaffold


@click.command(
    epilog="""\b
Example:
  hiereval new-task my-question
  cd hiereval-my-question && pip install -e . && hiereval run --model toy --tasks my-question
"""
)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make. [hiereval-NAME]")
def command(name: str, out: Path | None) -> None:
    """Write the skeleton of a task: it works, and its test passes, before you change it.

    NAME is what --tasks takes.
    """
    scaffold.write("task", name, out)
