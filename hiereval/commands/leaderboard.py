"""`hiereval leaderboard`: the board of results, in a terminal or a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval import files
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from hiereval.records import Record

FORMATS = {".md": "md", ".html": "html", ".csv": "csv", ".tex": "latex", ".json": "json"}


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", *FORMATS.values()]),
    help="Default: by the ending of --out, else a table.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file.")
@click.option("--dataset", "datasets", help="Only these datasets: names or globs, comma-separated.")
@click.option("--tasks", help="Only these tasks: names or globs, comma-separated.")
@click.option("--sort", help="model, date, a metric, or task.metric.")
def command(
    results: tuple[Path, ...],
    form: str | None,
    out: Path | None,
    datasets: str | None,
    tasks: str | None,
    sort: str | None,
) -> None:
    """Show the board of RESULTS: record files, or folders of them.

    Runs made with --limit are left off and counted.
    """
    import gc

    from hiereval import records
    from hiereval.leaderboard.selection import chosen

    gc.disable()  # records hold no cycles, and looking for some takes a third of the time

    form = form or (FORMATS.get(out.suffix, "table") if out else "table")
    there = records.read_all(results)
    if not there:
        raise HierevalError(
            f"The results {str(results[0])!r} must hold at least one record. "
            "'hiereval run --model toy --dataset shapes' makes some."
        )
    kept = chosen(there, listed(datasets), listed(tasks))
    if out is None and form == "table":
        from rich.console import Console

        from hiereval.leaderboard import board, terminal
        from hiereval.leaderboard.paired import SamplesBeside

        paired = SamplesBeside(results)
        terminal.show(board.build(kept, sort=sort, paired=paired), Console())
        return
    text = _written(form, kept, sort, results)
    if out is None:
        sys.stdout.write(text)
        return
    write(out, text)
    click.echo(f"wrote {out}", err=True)


def listed(given: str | None) -> list[str]:
    """Split a comma-separated option."""
    return [name.strip() for name in (given or "").split(",") if name.strip()]


def _written(form: str, kept: list[Record], sort: str | None, results: tuple[Path, ...]) -> str:
    from hiereval.leaderboard import board, formats
    from hiereval.leaderboard.paired import SamplesBeside

    paired = SamplesBeside(results)
    made = board.build(kept, sort=sort, every_metric=form == "html", paired=paired)
    return formats.written(form, made, kept)


def write(out: Path, text: str) -> None:
    """Write a file, whole, making its folder; a failure is one line."""
    try:
        files.write_whole(out, text.encode())
    except OSError as error:
        raise HierevalError(
            f"The file {str(out)!r} cannot be written: {error.strerror}."
        ) from error
