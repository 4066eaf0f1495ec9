"""`hiereval encode`: the vectors of a large collection, once, in shards."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.commands import options
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from hiereval.precomputing import Done
    from hiereval.session import Report, Session


@click.command(
    epilog="""\b
Examples:
  hiereval encode --model siglip --images 'shards-{000000..000099}.tar' --out vectors
  hiereval encode --model siglip --images pictures --texts my-model/texts.jsonl --out vectors
  hiereval run --model precomputed:vectors --dataset my-chains.csv
"""
)
@options.model_option
@options.model_args
@options.revision
@click.option("--images", metavar="DIR|TARS", help="A folder, a tar, or a pattern: {00..99}, *.")
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    help="Captions, a JSON string a line, as 'hiereval inputs' writes them.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of shards.")
@click.option("--share", metavar="R/N", help="Part R of N alone: N jobs may write one folder.")
@click.option("--skip-broken", is_flag=True, help="Leave out images that cannot be decoded.")
@options.session_options
@options.plugins_option
def command(
    session: Callable[[Report], Session],
    model: str,
    model_args: Mapping[str, str],
    revision: str | None,
    images: str | None,
    texts: Path | None,
    out: Path,
    share: str | None,
    skip_broken: bool,
) -> None:
    """Encode a folder or tars of images, and captions, into a folder that 'precomputed' reads.

    Nothing is kept in the cache. A run that was stopped goes on with the shards that lack.
    """
    from hiereval.precomputing import Job, read_texts
    from hiereval.processes import Processes
    from hiereval.progress import Bars

    if images is None and texts is None:
        raise click.UsageError("Give --images, --texts or both.")
    captions = [] if texts is None else read_texts(texts)
    processes = Processes.part(share) if share else Processes.launched()
    with Bars() as bars:
        one = session(bars).among(processes)
        adapter = one.adapter(model, model_args, revision=revision)
        job = Job.within(one, adapter, images, out, captions, skip_broken)
        try:
            done = job.share()
        except OSError as error:
            raise HierevalError(
                f"The output folder {str(out)!r} cannot be written: {error.strerror}."
            ) from error
    _say(done, out)


def _say(done: Done, out: Path) -> None:
    click.echo(
        f"{out}: {done.shards:,} shards written, {done.there:,} were there; "
        f"{done.images:,} images, {done.texts:,} texts encoded"
    )
    if done.repeated:
        click.echo(f"{done.repeated:,} images have the content of another and share its vector")
    if done.skipped:
        click.echo(f"{done.skipped:,} members of tars are no images and were skipped")
    if done.broken:
        click.echo(f"{len(done.broken):,} images left out, the first: {done.broken[0]}")
    if done.indexed:
        click.echo(
            f"Next: hiereval run --model {shlex.quote(f'precomputed:{out}')} --dataset DATASET"
        )
    else:
        click.echo("The index is written when the other shares are there.")
