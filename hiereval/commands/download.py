"""`hiereval download`: fetch a dataset or a model ahead of a run."""

from __future__ import annotations

import click

from hiereval import registry


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
    """Fetch and check 'hierarcaps', or a model, ahead of a run.

    What is complete is kept and what was cut short is resumed. Every file of HierarCaps is
    checked by its hash.
    """
    name = what.partition(":")[0]
    if name.startswith("hierarcaps"):
        _hierarcaps(data_dir, cache_dir, base_url)
    elif name in registry.names("datasets"):
        click.echo(f"{name} is not downloaded: nothing to do.", err=True)
    else:
        from hiereval import models

        model = models.download(what, revision)
        at = f" at {model.revision}" if model.revision else ""
        click.echo(f"{model.name} is complete{at}.")


def _hierarcaps(data_dir: str | None, cache_dir: str | None, base_url: str | None) -> None:
    from hiereval.datasets import data_root, hierarcaps

    root = data_root(data_dir, cache_dir)
    fetched = hierarcaps.download(root, base_url)
    click.echo(f"HierarCaps is complete under {root / 'hierarcaps'}: {fetched:,} files fetched.")
