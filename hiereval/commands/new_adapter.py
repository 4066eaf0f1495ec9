"""`hiereval new-adapter`: a package with a working adapter, its entry point and its test."""

from __future__ import annotations

from pathlib import Path

import click

from hiereval.commands import scaffold


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
    scaffold.write("adapter", name, out)
