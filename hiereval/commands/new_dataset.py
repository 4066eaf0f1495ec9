"""`hiereval new-dataset`: a package with a working dataset, its entry point and its test."""

from __future__ import annotations

from pathlib import Path

import click

from hiereval.commands import scaffold


@click.command(
    epilog="""\b
Example:
  hiereval new-dataset my-birds
  cd hiereval-my-birds && pip install -e . && hiereval run --model control:words --dataset my-birds
"""
)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make. [hiereval-NAME]")
def command(name: str, out: Path | None) -> None:
    """Write the skeleton of a dataset: it works, and its test passes, before you change it.

    NAME is what --dataset takes.
    """
    scaffold.write("dataset", name, out)
