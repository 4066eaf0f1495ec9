"""`hiereval new-dataset`: a package with a working dataset, its entry point and its test."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hiereval.commands import scaffold
from hiereval.errors import HierevalError

CHAINS = 3  # of the skeleton


@click.command(
    epilog="""\b
Examples:
  hiereval new-dataset my-birds
  cd hiereval-my-birds && pip install -e . && hiereval run --model control:words --dataset my-birds
  hiereval new-dataset my-photos --images 'shards-{000000..000099}.tar'
"""
)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make. [hiereval-NAME]")
@click.option("--images", metavar="TARS", help="A tar of images, or a pattern: {00..99}, *.")
def command(name: str, out: Path | None, images: str | None) -> None:
    """Write the skeleton of a dataset: it works, and its test passes, before you change it.

    NAME is what --dataset takes. Images in tars are read where they stand.
    """
    if images is None:
        scaffold.write("dataset", name, out)
    else:
        scaffold.write("dataset", name, out, _in_tars(images))


def _in_tars(spec: str) -> dict[str, str]:
    """Return what a dataset's template says of images in tars, which are walked and checked."""
    from hiereval.datasets.image_parts import tar_images
    from hiereval.places import Places

    found = tar_images(spec, Places.of().cache)
    if len(found) < CHAINS:
        raise HierevalError(
            f"The tars {spec!r} must hold {CHAINS} images or more, one for each chain of the "
            f"skeleton; they hold {len(found)}."
        )
    where = json.dumps(str(Path(spec).expanduser().absolute()), ensure_ascii=False)
    return {
        "imports": "from hiereval.datasets.image_parts import tar_images\n",
        "images": f"[*tar_images({where}, options.places.cache).values()][: len(CHAINS)]",
        "todo": "by name, one a chain",
    }
