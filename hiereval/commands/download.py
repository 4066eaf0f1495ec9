"""`hiereval download`: fetch a dataset or a model ahead of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from hiereval import registry
from hiereval.commands import options
from hiereval.errors import HierevalError, nearest
from hiereval.hooks import Fetches

if TYPE_CHECKING:
    from hiereval.session import Session


@click.command(
    epilog="""\b
Examples:
  hiereval download hierarcaps
  hiereval download siglip
  hiereval download hf-clip:openai/clip-vit-large-patch14 --revision main
"""
)
@click.argument("what", metavar="DATASET|MODEL")
@options.model_args
@options.revision
@click.option("--base-url", hidden=True, help="Where HierarCaps lies.")
@options.places_options
@options.plugins_option
def command(
    session: Callable[[], Session],
    what: str,
    model_args: dict[str, str],
    revision: str | None,
    base_url: str | None,
) -> None:
    """Fetch and check a dataset or a model ahead of a run.

    What is complete is kept and what was cut short is resumed. Every file of HierarCaps is
    checked by its hash.
    """
    one = session()
    known = registry.names("datasets")
    name = what.partition(":")[0]
    if name not in known:
        _model(one, what, model_args, revision, known)
    elif name.startswith("hierarcaps"):
        from hiereval.datasets import hierarcaps

        places = replace(one.places, mirror=base_url or one.places.mirror)
        fetched = hierarcaps.download(places)
        click.echo(
            f"HierarCaps is complete under {places.data / 'hierarcaps'}: {fetched:,} fetched."
        )
    else:  # generated, fetched as it is opened, or to be put there by hand, as its error says
        one.dataset(what)
        click.echo(f"{name} is complete.")


def _model(
    session: Session,
    spec: str,
    arguments: dict[str, str],
    revision: str | None,
    datasets: list[str],
) -> None:
    from hiereval import models

    aliases = models.cards(session.places)
    if ":" not in spec and spec not in aliases:
        raise HierevalError(
            f"What to download, {spec!r}, must be a dataset ('hiereval ls datasets'), a model "
            "('hiereval ls models') or adapter:checkpoint."
            f"{nearest(spec, [*datasets, *aliases])}"
        )
    adapter = session.adapter(spec, arguments, revision=revision)
    if isinstance(adapter, Fetches):
        adapter.fetch()
    model = adapter.id
    at = f" at {model.revision}" if model.revision else ""
    click.echo(f"{model.name} is complete{at}.")
