"""`hiereval convert`: a file of open_clip's training as a folder that can be evaluated."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.commands import options

if TYPE_CHECKING:
    from hiereval.session import Session


@click.command(
    epilog="""\b
Example:
  hiereval convert logs/run/checkpoints/epoch_3.pt --architecture ViT-B-32 --out epoch-3
"""
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--architecture",
    required=True,
    metavar="NAME",
    help="As open_clip names it (ViT-B-32), or a JSON file of its model_configs.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@options.places_options
def command(session: Callable[[], Session], file: Path, architecture: str, out: Path) -> None:
    """Turn a file that open_clip's training wrote into a folder for 'openclip:local-dir:FOLDER'.

    Only tensors are read. They must be exactly those of the architecture, whatever prefix the
    training gave them (module., _orig_mod.).
    """
    from hiereval.adapters.openclip_convert import convert

    options.existing(str(file), "file")
    values = convert(file, architecture, out, session().options)
    click.echo(f"{out} holds the {values:,} weights of {architecture}.")
    click.echo(
        f"Pictures are prepared as preprocess_cfg in {out / 'open_clip_config.json'} says: change "
        "it if the training had another mean, deviation or resizing."
    )
    click.echo(f"Next: hiereval run --model {shlex.quote(f'openclip:local-dir:{out}')}")
