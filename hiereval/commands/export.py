"""`hiereval export`: results in the formats that other tools read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.choice import listed
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from hiereval.records import Record

FORMATS = ("hf-eval", "model-index", "every-eval-ever", "mteb", "csv", "latex", "croissant")


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path))
@click.option("--format", "form", required=True, type=click.Choice(FORMATS))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--dataset", "datasets", help="Only these datasets: names or globs, comma-separated.")
@click.option("--tasks", help="Only these tasks: names or globs, comma-separated.")
@click.option(
    "--hub-dataset",
    "hub",
    multiple=True,
    metavar="NAME=ORG/REPO[@COMMIT]",
    help="Where a dataset stands on the Hub (hf-eval needs it).",
)
@click.option("--source-url", help="Where the evaluation is described (hf-eval, model-index).")
@click.option("--organization", help="Who ran the evaluation (every-eval-ever needs it).")
@click.option(
    "--relationship",
    default="third_party",
    show_default=True,
    type=click.Choice(["first_party", "third_party", "collaborative", "other"]),
    help="Of the evaluator to the models' makers (every-eval-ever).",
)
def command(
    results: tuple[Path, ...],
    form: str,
    out: Path,
    datasets: str | None,
    tasks: str | None,
    hub: tuple[str, ...],
    source_url: str | None,
    organization: str | None,
    relationship: str,
) -> None:
    """Write RESULTS (record files, or folders of them) in another tool's format.

    Controls and runs made with --limit are left out of every format but csv and latex, which
    leave out --limit runs alone. croissant takes no RESULTS: it writes the files and metadata of
    --dataset shapes, or shapes:SPLIT.
    """
    from hiereval import reading
    from hiereval.leaderboard.selection import chosen

    if form == "croissant":
        _write(out, _croissant(datasets, results))
        return
    if not results:
        raise HierevalError(f"The format {form} needs RESULTS: files of records, or folders.")
    if form == "every-eval-ever" and not organization:
        raise HierevalError("The --organization must be given for every-eval-ever: who ran this.")
    kept = chosen(reading.read_all(results), listed(datasets), listed(tasks))
    files = _files(form, kept, hub, source_url, organization or "", relationship)
    if not files:
        raise HierevalError(f"The results {str(results[0])!r} must hold a full run of a model.")
    _write(out, {path: text.encode() for path, text in files.items()})


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    from hiereval.files import write_whole
    from hiereval.leaderboard.marked import failing_in_one_line

    if out.exists() and not out.is_dir():
        raise HierevalError(f"The output {str(out)!r} must be a folder.")
    for path, content in files.items():
        with failing_in_one_line(out / path):
            write_whole(out / path, content)
        click.echo(str(out / path))


def _croissant(dataset: str | None, results: tuple[Path, ...]) -> dict[str, bytes]:
    from hiereval.toy import croissant

    name, _, split = (dataset or "").partition(":")
    if name != "shapes" or results:
        raise HierevalError(
            "The format croissant must have --dataset shapes, or shapes:SPLIT, and no RESULTS: it "
            "describes the one dataset that hiereval makes itself."
        )
    return croissant.written(split or "test")


def _files(
    form: str,
    kept: list[Record],
    hub: tuple[str, ...],
    source_url: str | None,
    organization: str,
    relationship: str,
) -> dict[str, str]:
    from hiereval.leaderboard import board, every_eval_ever, formats, mteb_results
    from hiereval.leaderboard.hub_results import eval_results, hub_dataset, model_index

    where = dict(hub_dataset(given) for given in hub)
    if form in ("csv", "latex"):
        text = formats.written(form, board.build(kept), kept)
        return {"hiereval.csv" if form == "csv" else "hiereval.tex": text}
    if form == "hf-eval":
        return eval_results(board.build(kept), where, source_url)
    every = board.build(kept, every_metric=True)
    if form == "model-index":
        return model_index(every, where, source_url)
    if form == "mteb":
        return mteb_results.results(every)
    return every_eval_ever.logs(every, organization, relationship, where)
