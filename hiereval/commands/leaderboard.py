"""`hiereval leaderboard`: the board of results, in a terminal or a file."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.choice import listed
from hiereval.commands import options
from hiereval.errors import HierevalError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hiereval.leaderboard.board import Board
    from hiereval.leaderboard.configuration import Configuration
    from hiereval.leaderboard.paired import SamplesBeside
    from hiereval.records import Record
    from hiereval.verified import Evidence

FORMATS = {
    ".md": "md", ".html": "html", ".csv": "csv", ".tex": "latex", ".json": "json", ".txt": "table",
}  # fmt: skip


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(list(dict.fromkeys(["table", *FORMATS.values()]))),
    help="Default: by the ending of --out, else a table.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file.")
@click.option(
    "--update",
    type=click.Path(path_type=Path),
    help="Write Markdown between the markers of this file.",
)
@click.option("--dataset", "datasets", help="Only these datasets: names or globs, comma-separated.")
@click.option("--tasks", help="Only these tasks: names or globs, comma-separated.")
@click.option("--columns", help="These columns: metric or task.metric, names or globs.")
@click.option("--sort", help="model, date, a metric, or task.metric.")
@click.option("--config", type=click.Path(path_type=Path), help="The board's settings, board.toml.")
@click.option(
    "--verified",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Verification records ('hiereval verify'), or folders of them.",
)
@click.option(
    "--pictures",
    is_flag=True,
    help="Put small pictures of the images that models do best and worst on, with their captions, "
    "into the HTML page, from samples beside the records. They become part of the page: ask "
    "whether their licence lets you hand it on.",
)
@click.option("--data-dir", type=click.Path(), help="Data root. [env: HIEREVAL_DATA]")
def command(
    results: tuple[Path, ...],
    form: str | None,
    out: Path | None,
    update: Path | None,
    datasets: str | None,
    tasks: str | None,
    columns: str | None,
    sort: str | None,
    config: Path | None,
    verified: tuple[Path, ...],
    pictures: bool,
    data_dir: str | None,
) -> None:
    """Show the board of RESULTS: record files, or folders of them.

    Runs made with --limit are left off and counted.
    """
    import gc

    from hiereval import reading
    from hiereval.leaderboard import configuration, formats, marked
    from hiereval.leaderboard.album import Album
    from hiereval.leaderboard.paired import SamplesBeside
    from hiereval.leaderboard.selection import chosen
    from hiereval.places import Places
    from hiereval.printable import message
    from hiereval.verified import standing

    gc.disable()  # records hold no cycles, and looking for some takes a third of the time
    form = _form(form, out, update)
    if pictures and form != "html":
        raise HierevalError("The option --pictures must go with an HTML page: --out board.html.")
    if out is not None:
        marked.check_ours(out, form)
    own = configuration.read(config) if config else configuration.Configuration()
    own = replace(
        own,
        datasets=tuple(listed(datasets)) or own.datasets,
        tasks=tuple(listed(tasks)) or own.tasks,
        columns=tuple(listed(columns)) or own.columns,
        sort=sort or own.sort,
    )
    there = reading.read_all(results)
    if not there:
        raise HierevalError(
            f"The results {str(results[0])!r} must hold at least one record. "
            "'hiereval run --model toy --dataset shapes' makes some."
        )
    kept = chosen(there, own.datasets, own.tasks)
    paired = SamplesBeside(results)
    every = form == "csv" and not (own.sort or own.columns)  # it needs no board
    known = standing(verified, kept)
    made = _board(form, [] if every else kept, own, paired, known)
    if out is None and update is None and form == "table":
        from hiereval.leaderboard import terminal

        terminal.show(made, options.console())
        return
    album = Album(paired, Places.of(data_dir=data_dir, offline=True) if pictures else None)
    parts = formats.parts(form, made, kept, paired, known, album)
    for line in album.missing:
        click.echo(message(line), err=True)
    if update is not None:
        marked.write(update, marked.updated(update, "".join(parts)))
        click.echo(f"updated {update}", err=True)
    elif out is not None:
        marked.write(out, marked.headed(form, parts))
        click.echo(f"wrote {out}", err=True)
    else:
        sys.stdout.writelines(parts)


def _form(form: str | None, out: Path | None, update: Path | None) -> str:
    """Return the format that is asked for, by name or by the file's ending."""
    if update is not None:
        if form not in (None, "md") or out is not None:
            raise HierevalError("The option --update must stand alone: it writes Markdown.")
        return "md"
    if form is None and out is not None and not out.is_dir() and out.suffix not in FORMATS:
        raise HierevalError(
            f"The file {str(out)!r} must end in {', '.join(FORMATS)}, or its --format be given."
            f"{nearest(out.suffix, FORMATS)}"
        )
    return form or (FORMATS.get(out.suffix, "table") if out else "table")


def _board(
    form: str,
    kept: list[Record],
    own: Configuration,
    paired: SamplesBeside,
    verified: Mapping[str, Evidence],
) -> Board:
    from hiereval.leaderboard import board

    made = board.build(
        kept,
        sort=own.sort,
        every_metric=form == "html",
        reported=[*(board.reported_figures() if own.papers else ()), *own.figure],
        paired=paired,
        wanted=own.columns,
        verified=verified,
    )
    return replace(made, title=own.title, lead=own.lead)
