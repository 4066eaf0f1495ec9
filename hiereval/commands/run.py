"""`hiereval run`: measure models, say what came out, show the table, append the records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hiereval.commands import options
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from rich.console import Console

    from hiereval.processes import Processes
    from hiereval.results import Results
    from hiereval.run import RunConfig
    from hiereval.session import Report, Session


@click.command(
    epilog="""\b
Examples:
  hiereval run --model toy --dataset shapes                # offline, seconds
  hiereval run --model siglip --tasks all                  # HierarCaps, downloaded once
  hiereval run --model hf-clip:/path/to/checkpoint --dataset hierarcaps
  hiereval run --model openclip:ViT-B-32/laion2b_s34b_b79k --tasks 'ordering,*retrieval'
  hiereval run --model precomputed:/path/to/folder --task-args steps=10
  hiereval run --model clip-b32 --model siglip             # several, one after the other
  hiereval run --models models.txt                         # a line each, with its options
\b
A line of models.txt is a model and options of its own:
  siglip --revision main
  hf-clip:/path/to/checkpoint --name mine --model-args processor=openai/clip-vit-base-patch32
"""
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="An alias ('hiereval ls models') or adapter:checkpoint, e.g. hf-clip:/path/to/folder. "
    "May be given several times.",
)
@click.option(
    "--models",
    "file",
    type=click.Path(path_type=Path),
    help="A file of models, one a line with its options; # begins a comment.",
)
@click.option("--name", help="What to call the model in its records.")
@options.model_args
@options.revision
@click.option(
    "--random-init",
    is_flag=False,
    flag_value=0,
    type=int,
    metavar="[SEED]",
    help="The same architecture without trained weights.",
)
@click.option(
    "--dataset",
    "datasets",
    callback=options.names,
    metavar="NAME,…",
    help="Names, name:split, or your own .csv/.jsonl.  [default: each task's own]",
)
@click.option("--tasks", default="all", show_default=True, help="all, names or globs: 'a,b*'.")
@options.pairs("--task-args", "Parameters: steps=10, or retrieval.steps=10 for one task.")
@click.option(
    "--probes",
    default="empty-root",
    show_default=True,
    callback=options.names,
    metavar="NAME,…",
    help="How embeddings become a space; path:DIR is a fitted probe.",
)
@options.pairs("--probe-args", "Parameters of the probes.")
@click.option("--train-data", help="What trained probes are fitted on.")
@click.option(
    "--controls",
    default="all",
    show_default=True,
    help="Rows that tell a finding from an artefact: all, none, or of words, characters, "
    "constant, random-init.",
)
@click.option(
    "--twins",
    type=int,
    callback=options.positive,
    help="Seeds of the random-init control.  [default: 5 for texts, 1 for images]",
)
@click.option(
    "--limit", type=int, callback=options.positive, help="First N items; stays off boards."
)
@click.option("--seed", default=0, show_default=True, help="Of intervals, negatives and probes.")
@click.option("--resamples", default=1000, show_default=True, callback=options.positive)
@click.option("--output-path", default="results", show_default=True, help="Folder of records.")
@click.option("--log-samples", is_flag=True, help="Keep per-item values beside the records.")
@click.option("--stored-only", is_flag=True, help="Never load the network; the store has all.")
@click.option(
    "--overwrite",
    type=click.Choice(["never", "missing", "always"]),
    default="missing",
    show_default=True,
    help="never: stop where a record exists; missing: skip it; always: measure again.",
)
@click.option(
    "--verbose", "-v", is_flag=True, help="Show every metric, and why each task was not run."
)
@click.option(
    "--share",
    metavar="R/N",
    help="Encode part R of N alone and score nothing: for machines that share no disk.",
)
@options.session_options
@options.plugins_option
def command(
    session: Callable[[Report], Session],
    models: tuple[str, ...],
    file: Path | None,
    output_path: str,
    controls: str,
    verbose: bool,
    share: str | None,
    **rest: Any,
) -> int:
    """Measure models and append one record per dataset, probe and task.

    Texts and images are encoded once and kept: a second run, and every further task, loads no
    network. A run that was interrupted goes on where it stopped. Of several models, one that fails
    stops no other. Under torchrun, srun or mpirun all processes encode, and the first one scores.
    """

    from hiereval import controls as rows_beside
    from hiereval import processes
    from hiereval.many import listed, run_all
    from hiereval.progress import Bars
    from hiereval.run import RunConfig

    common = {"output": Path(output_path), "controls": rows_beside.chosen(controls), **rest}
    wanted = [RunConfig(model=model, **common) for model in models]
    if file is not None:
        wanted += [RunConfig(**{**common, **own}) for own in listed(file)]
    if not wanted:
        raise click.UsageError(
            "The command must be given --model or --models. 'hiereval ls models' lists models; "
            "the first run needs none of your own: hiereval run --model toy --dataset shapes"
        )
    among = processes.Processes.part(share) if share else processes.Processes.launched()
    if among.size > 1 and not among.apart:
        processes.end_cleanly()
    console, code = options.console(), 0
    with Bars(plain=None if among.first or among.apart else True) as bars:
        outcomes = run_all(session(bars).among(among), wanted)
    if not among.first:
        return _helped(among, outcomes)
    for config, result in outcomes:
        if isinstance(result, HierevalError):
            if len(wanted) == 1:
                raise result
            click.echo(f"error: {config.model}: {result}", err=True)
            code = 2
            continue
        _show(console, config, result, output_path, verbose)
        failed = any(r.status == "failed" for r in [*result.new, *result.controls])
        code = max(code, int(failed))
    if len(wanted) > 1:
        _board(console, [r for _, r in outcomes if not isinstance(r, HierevalError)])
    return code


def _helped(among: Processes, outcomes: Sequence[tuple[RunConfig, Results | HierevalError]]) -> int:
    """Say what a process that only encodes has to say: what went wrong, and which it is."""
    for config, result in outcomes:
        if isinstance(result, HierevalError):
            who = f"process {among.rank + 1} of {among.size}"
            click.echo(f"error: {who}: {config.model}: {result}", err=True)
    if any(isinstance(result, HierevalError) for _, result in outcomes):
        return HierevalError.exit_code
    if among.apart:
        click.echo(
            f"Share {among.rank + 1} of {among.size} is encoded. Copy the caches' `embeddings` "
            "folders into one, file by file: a run there encodes nothing."
        )
    return 0


def _show(
    console: Console, config: RunConfig, result: Results, output_path: str, verbose: bool
) -> None:
    from hiereval.leaderboard.results_table import show_results
    from hiereval.leaderboard.summary import picture, summary

    drawn = picture(result)
    for line in summary(config, result, drawn, output_path):
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)
    console.print()
    show_results(console, result.records, result.controls, every=verbose)
    for note in result.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    if result.absent and verbose:
        for told in result.not_run():
            console.print(told, markup=False, highlight=False, soft_wrap=True)
    elif result.absent:
        click.echo(f"Not run, their data is not here: {', '.join(result.absent)} (-v says more).")
    if result.found:
        there = f"{len(result.found)} of {len(result)} records"
        click.echo(f"{there} were there already (--overwrite always measures them again).")


def _board(console: Console, results: list[Results]) -> None:
    """Show all models of a sweep beside one another."""
    from hiereval.leaderboard import terminal
    from hiereval.leaderboard.board import build

    records = [record for result in results for record in [*result.records, *result.controls]]
    if records:  # a control may stand beside each model
        unique = {record.record_id: record for record in records}
        terminal.show(build(unique.values(), limited=True), console)
