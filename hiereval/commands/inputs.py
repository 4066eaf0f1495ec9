"""`hiereval inputs`: what a model that is not here has to embed."""

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
  hiereval inputs hierarcaps hierarcaps-expanded --out my-model
  (embed the lines of texts.jsonl and images.jsonl, save my-model/embeddings.safetensors)
  hiereval run --model precomputed:my-model --dataset hierarcaps,hierarcaps-expanded
"""
)
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--root-text", default="", help="The text that radii start from. [the empty text]")
@click.option("--limit", type=click.IntRange(min=1), help="The first N items of each alone.")
@options.places_options
@options.plugins_option
def command(
    session: Callable[[], Session],
    datasets: tuple[str, ...],
    out: Path,
    root_text: str,
    limit: int | None,
) -> None:
    """Write the texts and the list of images that datasets need, to be embedded elsewhere.

    With the vectors beside it, the folder is a model: --model precomputed:FOLDER.
    """
    from hiereval import wanted
    from hiereval.datasets import head

    one = session()
    opened = [one.dataset(name) for name in datasets]
    opened = opened if limit is None else [head(dataset, limit) for dataset in opened]
    asked = wanted.collect(opened, root_text)
    wanted.write(asked, out)
    texts, images = len(asked.texts), len(asked.images)
    click.echo(f"{out / wanted.TEXTS}: {texts:,} texts, the root {root_text!r} first")
    if images:
        click.echo(f"{out / wanted.IMAGES}: {images:,} images")
    saved = f"'text' [{texts}, d]" + (f" and 'image' [{images}, d]" if images else "")
    limited = f" --limit {limit}" if limit else ""
    click.echo(
        f"Next: save {saved} in this order as {out / 'embeddings.safetensors'}, then\n"
        f"hiereval run --model {shlex.quote(f'precomputed:{out}')} "
        f"--dataset {shlex.quote(','.join(datasets))}{limited}"
    )
