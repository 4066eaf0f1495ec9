"""`hiereval score`: metrics from samples files, or of chains that a model generated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.commands import options
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from hiereval.datasets.predictions import Coverage, Predictions
    from hiereval.records import Record
    from hiereval.types import DataOptions

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
@click.option("--model", help="Score its stored vectors; takes the place of SOURCE.")
@click.option("--model-args", help="With --model: as in 'hiereval run'.")
@click.option("--tasks", help="With --model: all, names or globs.")
@click.option("--task-args", help="With --model: parameters, steps=10.")
@click.option("--probes", help="With --model: how embeddings become a space.")
@click.option("--dataset", help="True chains.  [default: hierarcaps; with --model each task's own]")
@click.option("--name", help="Of the model in its record.  [default: the file's name]")
@click.option("--output-path", default="results", show_default=True, help="Folder of records.")
@click.option("--log-samples", is_flag=True, help="Keep per-item values beside the record.")
@click.option("--resamples", default=1000, show_default=True, callback=options.positive)
@click.option("--seed", default=0, show_default=True, help="Of the intervals.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@options.data_options
@options.plugins_option
def command(
    source: Path | None,
    model: str | None,
    model_args: str | None,
    tasks: str | None,
    task_args: str | None,
    probes: str | None,
    dataset: str | None,
    name: str | None,
    output_path: str,
    log_samples: bool,
    resamples: int,
    seed: int,
    form: str,
    data_dir: str | None,
    cache_dir: str | None,
    offline: bool,
) -> int | None:
    """Compute metrics without running a model.

    SOURCE is a samples file (or a folder of them), as 'hiereval run --log-samples' writes: its
    metrics are computed again. Or it is a predictions file, the chain of captions that a model
    generated for each image, general to specific: it is scored for precision, recall and order
    against the true chains, and the record is appended to --output-path. Captions match exactly.
    With --model it is 'hiereval run' on vectors that are stored: no network is loaded.
    """
    if (source is None) == (model is None):
        raise HierevalError("The command must have either a SOURCE or --model.")
    if source is None:
        return _stored(
            {
                "--model": model, "--model-args": model_args, "--tasks": tasks,
                "--task-args": task_args, "--probes": probes, "--dataset": dataset,
                "--output-path": output_path, "--resamples": str(resamples), "--seed": str(seed),
                "--data-dir": data_dir, "--cache-dir": cache_dir,
            },
            {"--log-samples": log_samples, "--offline": offline},
        )  # fmt: skip
    for flag, given in (("--tasks", tasks), ("--task-args", task_args), ("--probes", probes),
                        ("--model-args", model_args)):  # fmt: skip
        if given is not None:
            raise HierevalError(f"The option {flag} must stand with --model, not with a SOURCE.")
    if not source.exists():
        raise HierevalError(f"The source {str(source)!r} must be a file or folder that exists.")
    if source.is_dir() or source.name.endswith(".samples.jsonl"):
        _again(source, resamples, seed, form)
        return None
    from hiereval.datasets import cache_dir as cache_folder
    from hiereval.datasets import data_root
    from hiereval.datasets.predictions import read
    from hiereval.types import DataOptions

    predictions = read(source)
    dataset = dataset or "hierarcaps"
    data = DataOptions(root=data_root(data_dir, cache_dir), offline=options.is_offline(offline))
    named = name or source.name.removesuffix(".jsonl")
    record, path, coverage = score_predictions(
        predictions, source.name, named, dataset, data, cache_folder(cache_dir), Path(output_path),
        resamples=resamples, seed=seed, log_samples=log_samples,
    )  # fmt: skip
    if form == "json":
        click.echo(record.model_dump_json(indent=2))
    else:
        from rich.console import Console

        from hiereval.commands.display import show_results

        show_results(Console(), [record], [])
    n, images = len(predictions.chains), record.dataset.n_images
    _mention(f"of {n:,} predictions are for images that {dataset} does not have", coverage.unknown)
    _mention(f"of {images:,} images have no prediction and count as not found", coverage.missing)
    if form == "table":
        click.echo(f"Records: {path}    Board: hiereval leaderboard {output_path}")
    return None


def _stored(values: dict[str, str | None], flags: dict[str, bool]) -> int:
    """Run on stored vectors alone, without the controls."""
    from hiereval.commands.run import command as run

    arguments = ["--stored-only", "--controls", "none", *(f for f, given in flags.items() if given)]
    for option, value in values.items():
        arguments += [] if value is None else [option, value]
    code: int = run.main(arguments, prog_name="hiereval score", standalone_mode=False)
    return code


def _mention(what: str, names: tuple[str, ...]) -> None:
    if names:
        some = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
        click.echo(f"{len(names):,} {what}: {some}", err=True)


def score_predictions(
    predictions: Predictions,
    file: str,
    name: str,
    dataset: str,
    data: DataOptions,
    cache: Path,
    output: Path,
    *,
    resamples: int,
    seed: int,
    log_samples: bool,
) -> tuple[Record, Path, Coverage]:
    """Score a predictions file, append its record and return it, its file, and what is amiss."""
    import time

    import torch

    from hiereval import estimates, records, samples
    from hiereval.datasets import open_dataset
    from hiereval.datasets.predictions import match
    from hiereval.job import records_file
    from hiereval.plan import ProbeRun
    from hiereval.recording import Outcome, Recorder, metric_values
    from hiereval.registry import load
    from hiereval.run import RunConfig
    from hiereval.types import Chains, ModelId

    truth = open_dataset(dataset, data)
    if not isinstance(truth, Chains):
        raise HierevalError(f"The dataset {dataset!r} must hold chains of captions.")
    matched, coverage = match(predictions, truth)
    model = ModelId(
        adapter="predictions",
        name=name,
        checkpoint=file,
        weights_sha256=predictions.sha256,
        geometry="none",  # type: ignore[arg-type]  # there are no vectors
    )
    path = records_file(output, model)
    records.check_writable(path)
    started = time.perf_counter()
    task = load("tasks", "generation")()
    scores = task.score(None, matched, torch.Generator())
    values = estimates.bootstrap(task.metrics, scores, seed=seed, resamples=resamples)
    outcome = Outcome(
        metrics=metric_values(scores.metrics, values),
        scores=scores,
        score_s=time.perf_counter() - started,
    )
    config = RunConfig(model=name, data=data, cache_dir=cache, seed=seed, resamples=resamples)
    probe = ProbeRun(_NoProbe(), {})  # type: ignore[arg-type]  # only its name is used
    record = Recorder(model, config).record(matched, task, probe, outcome)
    if log_samples:
        samples.write(samples.path_of(output, record), record, scores)
    records.append(path, record)
    return record, path, coverage


class _NoProbe:
    """Generated chains need no space."""

    name = "none"


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
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
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
