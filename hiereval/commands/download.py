"""`hiereval download`: fetch a dataset or a model ahead of a run."""

from __future__ import annotations

import click

from hiereval import registry
from hiereval.errors import HierevalError, nearest
from hiereval.types import DataOptions


@click.command
@click.argument("what", metavar="DATASET|MODEL")
@click.option("--data-dir", type=click.Path(), help="Data root. [env: HIEREVAL_DATA]")
@click.option(
    "--cache-dir", type=click.Path(), help="Holds data/ by default. [env: HIEREVAL_CACHE]"
)
@click.option("--revision", help="Commit or tag of a model's repository.")
@click.option("--base-url", envvar="HIEREVAL_MIRROR", hidden=True, help="Where HierarCaps lies.")
def command(
    what: str,
    data_dir: str | None,
    cache_dir: str | None,
    revision: str | None,
    base_url: str | None,
) -> None:
    """Fetch and check a dataset or a model ahead of a run.

    What is complete is kept and what was cut short is resumed. Every file of HierarCaps is
    checked by its hash.
    """
    from hiereval.datasets import data_root, open_dataset

    known = registry.names("datasets")
    name = what.partition(":")[0]
    root = data_root(data_dir, cache_dir)
    if name not in known:
        _model(what, revision, known)
    elif name.startswith("hierarcaps"):
        from hiereval.datasets import hierarcaps

        fetched = hierarcaps.download(root, base_url)
        click.echo(f"HierarCaps is complete under {root / 'hierarcaps'}: {fetched:,} fetched.")
    else:  # generated, fetched as it is opened, or to be put there by hand, as its error says
        open_dataset(what, DataOptions(root=root))
        click.echo(f"{name} is complete.")


def _model(spec: str, revision: str | None, datasets: list[str]) -> None:
    from hiereval import models

    if ":" not in spec and spec not in models.cards():
        raise HierevalError(
            f"What to download, {spec!r}, must be a dataset ('hiereval ls datasets'), a model "
            "('hiereval ls models') or adapter:checkpoint."
            f"{nearest(spec, [*datasets, *models.cards()])}"
        )
    model = models.download(spec, revision)
    at = f" at {model.revision}" if model.revision else ""
    click.echo(f"{model.name} is complete{at}.")
