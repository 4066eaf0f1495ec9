"""`hiereval score`: metrics from samples files, or of chains that a model generated."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.choice import listed
from hiereval.commands import options
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from hiereval.results import Results
    from hiereval.run import RunConfig
    from hiereval.session import Session

SHOWN = 3


@click.command(
    epilog="""\b
Examples:
  hiereval score chains.jsonl --name my-captioner          # against HierarCaps
  hiereval score chains.jsonl --dataset mine.csv --format json
  hiereval score results/samples --resamples 10000         # no model, no data
  hiereval score --model siglip --tasks retrieval --task-args steps=20     # from the store
\b
A line of chains.jsonl:
  {"image": "COCO_val2014_000000000139.jpg", "chain": ["room", "living room", "…"]}
"""
)
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.option("--task", default="generation", show_default=True, help="Whose answers SOURCE holds.")
@click.option("--model", help="Score its stored vectors; takes the place of SOURCE.")
@options.pairs("--model-args", "With --model: as in 'hiereval run'.")
@click.option("--tasks", help="With --model: all, names or globs.")
@options.pairs("--task-args", "Parameters, steps=10.")
@click.option("--probes", help="With --model: how embeddings become a space.")
@click.option("--dataset", help="The truth.  [default: the task's own]")
@click.option("--name", help="Of the model in its record.  [default: the file's name]")
@click.option("--output-path", default="results", show_default=True, help="Folder of records.")
@click.option("--log-samples", is_flag=True, help="Keep per-item values beside the record.")
@click.option("--resamples", default=1000, show_default=True, callback=options.positive)
@click.option("--seed", default=0, show_default=True, help="Of the intervals.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@options.session_options
@options.plugins_option
def command(
    session: Callable[..., Session],
    source: Path | None,
    task: str,
    model: str | None,
    model_args: dict[str, str],
    tasks: str | None,
    task_args: dict[str, str],
    probes: str | None,
    dataset: str | None,
    name: str | None,
    output_path: str,
    log_samples: bool,
    resamples: int,
    seed: int,
    form: str,
) -> int | None:
    """Compute metrics without running a model.

    SOURCE is a samples file (or a folder of them), as 'hiereval run --log-samples' writes: its
    metrics are computed again. Or it is a file of answers, such as the chain of captions that a
    model generated for each image, general to specific: they are scored against the truth, and
    the record is appended to --output-path. Captions match exactly.
    With --model it is 'hiereval run' on vectors that are stored: no network is loaded.
    """
    if (source is None) == (model is None):
        raise HierevalError("The command must have either a SOURCE or --model.")
    for flag, given in (("--tasks", tasks), ("--probes", probes), ("--model-args", model_args)):
        if source is not None and given:
            raise HierevalError(f"The option {flag} must stand with --model, not with a SOURCE.")
    if source is not None and not source.exists():
        raise HierevalError(f"The source {str(source)!r} must be a file or folder that exists.")
    if source is not None and (source.is_dir() or source.name.endswith(".samples.jsonl")):
        _again(source, resamples, seed, form)
        return None
    from hiereval.run import RunConfig

    config = RunConfig(
        model=model or name or (source.name.removesuffix(".jsonl") if source else ""),
        model_args=model_args,
        tasks=(tasks or "all") if source is None else task,
        task_args=task_args,
        datasets=listed(dataset),
        probes=listed(probes) or ("empty-root",),
        output=Path(output_path),
        log_samples=log_samples,
        stored_only=source is None,
        resamples=resamples,
        seed=seed,
    )
    if source is None:
        return _stored(session, config, form)
    from hiereval.answers import score_answers

    result, answers = score_answers(session(), source, config, dataset)
    _show(result, form)
    asked = f"of the questions of {answers.data.name} have no answer and "
    asked += "are left out" if answers.left_out else "count as not found"
    _mention(f"of the answers are to nothing that {answers.data.name} asks", answers.unknown)
    _mention(asked, answers.missing)
    _mention("of the answers are none of their question's options", answers.outside)
    return 1 if any(record.status == "failed" for record in result) else None


def _stored(session: Callable[..., Session], config: RunConfig, form: str) -> int:
    """Run on stored vectors alone, without the controls."""
    from hiereval.progress import Bars
    from hiereval.run import run

    with Bars() as bars:
        result = run(session(bars), config)
    _show(result, form)
    return 1 if any(record.status == "failed" for record in result) else 0


def _show(result: Results, form: str) -> None:
    if form == "json":
        for record in result:
            click.echo(record.model_dump_json(indent=2))
        return

    from hiereval.leaderboard.results_table import show_results

    show_results(options.console(), list(result), [])
    for note in result.notes:
        click.echo(note)
    folder = result.path.parent if result.path else ""
    click.echo(f"Records: {result.path}    Board: hiereval leaderboard {shlex.quote(str(folder))}")


def _mention(what: str, names: tuple[str, ...]) -> None:
    if names:
        some = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
        click.echo(f"{len(names):,} {what}: {some}", err=True)


def _again(source: Path, resamples: int, seed: int, form: str) -> None:
    """Compute and show the metrics of samples files."""
    from dataclasses import asdict

    from hiereval import samples
    from hiereval.estimates import bootstrap

    report = []
    for found in samples.find(source):
        metrics = samples.metrics_of(found.identity.task, found.scores.items)
        estimates = bootstrap(metrics, found.scores, seed=seed, resamples=resamples)
        identity = json.loads(found.identity.model_dump_json())
        identity["metrics"] = {name: asdict(estimate) for name, estimate in estimates.items()}
        report.append(identity)
    if form == "json":
        click.echo(json.dumps(report, indent=2, allow_nan=False))
        return
    from rich.table import Table
    from rich.text import Text

    console = options.console()
    for identity in report:
        data = identity["dataset"]
        title = (
            f"{identity['model']['name']}: {identity['task']['name']} on {data['name']}:"
            f"{data['split']}, probe {identity['probe']['name']}"
        )
        table = Table(title=Text(title, "cyan"), title_justify="left", box=None, pad_edge=False)
        for heading in ("metric", "value", "95 % interval", "n"):
            table.add_column(heading, justify="left" if heading == "metric" else "right")
        for name, e in identity["metrics"].items():
            if e["value"] is None:
                table.add_row(name, "n/a", "", Text(e["undefined_reason"], "dim"))
                continue
            interval = "" if e["low"] is None else f"[{e['low']:.3f}, {e['high']:.3f}]"
            table.add_row(name, f"{e['value']:.3f}", interval, f"{e['n']:,}")
        console.print(table)
        console.print()
