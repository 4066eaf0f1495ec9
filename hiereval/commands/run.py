"""`hiereval run`: measure a model, show the table, append the records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hiereval.commands import options
from hiereval.errors import HierevalError, nearest

if TYPE_CHECKING:
    from hiereval.commands.display import Bars
    from hiereval.records import Record
    from hiereval.run import RunConfig
    from hiereval.types import Dataset

CONTROLS = ("words", "characters", "constant", "random-init")


@click.command(
    epilog="""\b
Examples:
  hiereval run --model toy --dataset shapes                # offline, seconds
  hiereval run --model siglip --tasks all                  # HierarCaps, downloaded once
  hiereval run --model hf-clip:/path/to/checkpoint --dataset hierarcaps
  hiereval run --model openclip:ViT-B-32/laion2b_s34b_b79k --tasks 'ordering,*retrieval'
  hiereval run --model precomputed:/path/to/folder --task-args steps=10
"""
)
@options.model_option
@options.model_options
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
    help=f"Rows that tell a finding from an artefact: all, none, or of {', '.join(CONTROLS)}.",
)
@click.option("--batch-size", default="auto", show_default=True, callback=options.batch_size)
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
@options.data_options
@options.plugins_option
def command(
    model: str,
    model_args: dict[str, str],
    revision: str | None,
    device: str,
    precision: str,
    trust_remote_code: bool,
    random_init: int | None,
    controls: str,
    output_path: str,
    data_dir: str | None,
    cache_dir: str | None,
    offline: bool,
    **rest: Any,
) -> int:
    """Measure a model and append one record per dataset, probe and task.

    Texts and images are encoded once and kept: a second run, and every further task, loads no
    network. A run that was interrupted goes on where it stopped.
    """
    wanted = _controls(controls)
    from rich.console import Console

    from hiereval.commands.display import Bars, show_results
    from hiereval.datasets import cache_dir as cache_folder
    from hiereval.datasets import data_root
    from hiereval.run import RunConfig, run
    from hiereval.types import DataOptions

    load = options.load_options(
        revision, device, precision, offline, trust_remote_code, random_init
    )
    config = RunConfig(
        model=model,
        model_args=model_args,
        options=load,
        output=Path(output_path),
        cache_dir=cache_folder(cache_dir),
        data=DataOptions(root=data_root(data_dir, cache_dir), offline=load.offline),
        **rest,
    )
    with Bars() as bars:
        opened: dict[str, Dataset] = {}
        result = run(config, bars.of(model), opened)
        beside, notes = _run_controls(config, wanted, bars, opened)
    console = Console()
    show_results(console, [*result.found, *result.new], beside)
    for note in [*result.notes, *notes]:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    if result.found:
        there = f"{len(result.found)} of {len(result.found) + len(result.new)} records"
        click.echo(f"{there} were there already (--overwrite always measures them again).")
    click.echo(f"Records: {result.path}    Board: hiereval leaderboard {output_path}")
    return 1 if any(r.status == "failed" for r in [*result.new, *beside]) else 0


def _controls(given: str) -> list[str]:
    """Return the control names that --controls stands for."""
    if given in ("all", "none"):
        return list(CONTROLS) if given == "all" else []
    chosen = [part.strip() for part in given.split(",")]
    for name in chosen:
        if name not in CONTROLS:
            raise HierevalError(
                f"The control {name!r} must be all, none or of {', '.join(CONTROLS)}."
                f"{nearest(name, CONTROLS)}"
            )
    return chosen


def _run_controls(
    config: RunConfig, wanted: list[str], bars: Bars, opened: dict[str, Dataset]
) -> tuple[list[Record], list[str]]:
    """Run the controls over the same data, learning-free; return their records and notes."""
    from hiereval.run import run

    found: list[Record] = []
    notes: list[str] = []
    if config.model.startswith("control:") or config.options.random_init is not None:
        return found, notes
    for name in wanted:
        own = replace(config, probes=("empty-root",), probe_args={}, log_samples=False)
        if name == "random-init":
            own = replace(own, options=replace(config.options, random_init=config.seed))
        else:
            plain = replace(config.options, revision=None)
            own = replace(own, model=f"control:{name}", model_args={}, options=plain)
        try:
            result = run(own, bars.of(name), opened)
        except HierevalError as error:
            notes.append(f"No {name} control: {error}")
            continue
        found += [*result.found, *result.new]
    return found, notes
