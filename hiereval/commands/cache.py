"""`hiereval cache`: what is stored, checked, joined or deleted."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.commands import options
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from hiereval.store import Shelf
    from hiereval.upkeep import Inventory

DAY = 86_400.0  # seconds

cache_option = click.option(
    "--cache-dir", type=click.Path(), help="The cache folder. [env: HIEREVAL_CACHE]"
)
model_option = click.option(
    "--model", metavar="NAME", help="Only these: a name or glob, or how a fingerprint begins."
)


@click.group(
    epilog="""\b
Examples:
  hiereval cache ls
  hiereval cache verify
  hiereval cache prune --older-than 90 --dry-run
  hiereval cache compact
"""
)
def command() -> None:
    """Look after the stored vectors: every model's texts and images, encoded once."""


@command.command()
@cache_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for other programs.")
def ls(cache_dir: str | None, as_json: bool) -> None:
    """List the models whose vectors are stored."""
    found = [what for _, what in _shelves(cache_dir, None)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(what) for what in found], indent=1))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), header_style="bold")
    for heading in ("model", "fingerprint", "vectors", "width", "files", "MB", "written"):
        table.add_column(heading, justify="left" if heading in ("model", "written") else "right")
    for what in found:
        table.add_row(Text(_name(what)), what.fingerprint[:12], *_counts(what))
    options.console().print(table)
    for what in found:
        if what.aside or what.foreign:
            click.echo(
                f"{_name(what)}: {what.aside:,} damaged files were put aside, {what.foreign:,} "
                "files cannot be read or are of another version (prune --leavings deletes them)."
            )


def _counts(what: Inventory) -> list[str]:
    day = "" if what.written is None else f"{datetime.fromtimestamp(what.written, UTC):%Y-%m-%d}"
    numbers = [f"{what.vectors:,}", f"{what.dimension or ''}", f"{what.shards:,}"]
    return [*numbers, f"{what.bytes / 1e6:,.1f}", day]


@command.command()
@cache_option
@model_option
def verify(cache_dir: str | None, model: str | None) -> int:
    """Read and check every stored vector.

    A damaged file is put aside, and what is whole in it kept; the next run encodes the rest again.
    Exits with 1 if there was one.
    """
    from hiereval import upkeep

    damaged = 0
    for shelf, before in _shelves(cache_dir, model):
        good = sum(upkeep.verify(shelf))
        after = upkeep.inventory(shelf)
        damaged += after.aside - before.aside
        lost = before.vectors - after.vectors
        click.echo(f"{_name(before)}: {good:,} vectors checked, {lost:,} lost")
    return 1 if damaged else 0


@command.command()
@cache_option
@model_option
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Last written.")
@click.option("--leavings", is_flag=True, help="What was put aside, and files of other versions.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted.")
def prune(
    cache_dir: str | None,
    model: str | None,
    older_than: float | None,
    leavings: bool,
    dry_run: bool,
) -> None:
    """Delete stored vectors, or what was put aside.

    Whatever is needed again is encoded again.
    """
    from hiereval import upkeep

    if model is None and older_than is None and not leavings:
        raise HierevalError(
            "What to delete must be given: --model, --older-than or --leavings. "
            "'hiereval cache ls' shows what there is."
        )
    verb = "Would delete" if dry_run else "Deleted"
    for shelf, what in _shelves(cache_dir, model):
        if leavings:
            for path in upkeep.leavings(shelf):
                if not dry_run:
                    _unlink(path)
                click.echo(f"{verb} {path}")
        elif older_than is None or (what.written or 0.0) < time.time() - older_than * DAY:
            if not dry_run:
                upkeep.delete(shelf)
            click.echo(
                f"{verb} {_name(what)}: {what.vectors:,} vectors, {what.bytes / 1e6:,.1f} MB"
            )


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise HierevalError(
            f"The file {str(path)!r} cannot be deleted: {error.strerror}."
        ) from error


@command.command()
@cache_option
@model_option
def compact(cache_dir: str | None, model: str | None) -> None:
    """Join many small files into a few, which open and answer faster.

    Runs may read and write meanwhile.
    """
    from hiereval import upkeep

    for shelf, what in _shelves(cache_dir, model):
        upkeep.compact(shelf)
        click.echo(f"{_name(what)}: {what.shards:,} files are now {len(shelf.opened):,}")


def _name(what: Inventory) -> str:
    from hiereval.leaderboard.wording import clean

    return clean(what.model) or what.fingerprint[:12]


def _shelves(cache_dir: str | None, model: str | None) -> list[tuple[Shelf, Inventory]]:
    """Return the models' shelves, or those of a name; none of that name is an error."""
    from hiereval.places import Places
    from hiereval.store import Store
    from hiereval.upkeep import inventory

    store = Store(Places.of(cache_dir).cache)
    found = [(shelf, inventory(shelf)) for shelf in store.shelves()]
    if model is None:
        return found
    chosen = [
        (shelf, what)
        for shelf, what in found
        if fnmatch(what.model, model) or what.fingerprint.startswith(model)
    ]
    if not chosen:
        from hiereval.errors import nearest

        raise HierevalError(
            f"The model {model!r} must be one whose vectors are in {str(store.folder)!r}."
            f"{nearest(model, [what.model for _, what in found])} 'hiereval cache ls' lists them."
        )
    return chosen
