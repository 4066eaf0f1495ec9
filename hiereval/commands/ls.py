"""`hiereval ls`: what can be named, listed without importing any of it."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import click

from hiereval import distribution
from hiereval.commands import options

KINDS = ("models", "tasks", "adapters", "datasets", "probes")


@click.command(
    epilog="""\b
Examples:
  hiereval ls models
  hiereval ls models --filter siglip --filter apache-2.0 --sort parameters
  hiereval ls models --source mteb --json
  hiereval ls tasks --json
"""
)
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for other programs.")
@click.option(
    "--source",
    type=click.Choice(("hiereval", "mteb")),
    default="hiereval",
    show_default=True,
    help="Whose models: hiereval's aliases, or MTEB's registry (imports MTEB).",
)
@click.option(
    "--filter",
    "wanted",
    multiple=True,
    metavar="TEXT",
    help="Only rows with this text, e.g. apache-2.0; several must all be there.",
)
@click.option(
    "--sort",
    type=click.Choice(("name", "parameters", "licence", "adapter")),
    help="Order of models; without a value last.  [default: as listed]",
)
@options.plugins_option
def command(
    kind: str, as_json: bool, source: str, wanted: tuple[str, ...], sort: str | None
) -> None:
    """List what --model, --tasks, --dataset and --probes can name."""
    if source != "hiereval" and kind != "models":
        raise click.UsageError(f"--source {source} must be left out: it lists models alone.")
    if source == "mteb":
        from hiereval.adapters.mteb_registry import registry_rows

        rows = registry_rows()
    else:
        rows = list(_models() if kind == "models" else _plugins(kind))
    rows = _sorted([row for row in rows if _has(row, wanted)], sort)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    from rich.table import Table
    from rich.text import Text

    cells = {"models": _model_cells, "tasks": _task_cells}.get(kind, _cells)
    if source == "mteb":
        cells = _registry_cells
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for row in rows:
        shown = cells(row)
        if not table.columns:
            for name in shown:
                right = name == "parameters"
                table.add_column(name, overflow="fold", justify="right" if right else "left")
        for line in (shown, *_metric_cells(row)):
            table.add_row(*[Text.assemble(*cell) for cell in line.values()])
    options.console().print(table)


def _has(row: dict[str, Any], wanted: tuple[str, ...]) -> bool:
    """Whether each text stands somewhere in a row, whatever the case."""
    text = json.dumps(row, default=str, ensure_ascii=False).lower()
    return all(part.lower() in text for part in wanted)


def _sorted(rows: list[dict[str, Any]], key: str | None) -> list[dict[str, Any]]:
    if key is None:
        return rows
    known = [row for row in rows if row.get(key) is not None]
    known.sort(key=lambda row: str(row[key]).lower() if isinstance(row[key], str) else row[key])
    return [*known, *(row for row in rows if row.get(key) is None)]


def _models() -> Iterator[dict[str, Any]]:
    from hiereval.models import cards
    from hiereval.places import Places

    for name, card in cards(Places.of()).items():
        yield {"name": name, **dataclasses.asdict(card)}


def _plugins(kind: str) -> Iterator[dict[str, Any]]:
    from hiereval import registry

    for name in registry.names(kind):  # type: ignore[arg-type]
        origin, description = registry.describe(kind, name)  # type: ignore[arg-type]
        row = {"name": name, "from": origin, "description": description}
        yield row | {"metrics": _metrics().get(name)} if kind == "tasks" else row


@cache
def _metrics() -> dict[str, dict[str, str]]:
    """Return our own tasks' metrics with one line each; no task is imported for it."""
    text = files("hiereval.tasks").joinpath("metrics.toml").read_text("utf-8")
    tables: dict[str, dict[str, str]] = tomllib.loads(text)
    return tables


Cells = dict[str, list[str | tuple[str, str]]]  # heading -> parts of a text, some with a style


def _cells(row: dict[str, Any]) -> Cells:
    return {name: ["" if value is None else str(value)] for name, value in row.items()}


def _task_cells(row: dict[str, Any]) -> Cells:
    """Return a task in two cells; its metrics stand below it, a line each."""
    origin = "" if row["from"] == distribution.NAME else f" (from {row['from']})"
    return {"name": [(row["name"], "bold")], "description": [row["description"], origin]}


def _metric_cells(row: dict[str, Any]) -> Iterator[Cells]:
    for name, line in (row.get("metrics") or {}).items():
        yield {"name": [f"  {name}"], "description": [(line, "dim")]}


def _registry_cells(row: dict[str, Any]) -> Cells:
    """Return a model of MTEB's registry; what it needs stands under what it is."""
    facts = [
        row["licence"] or "no licence stated",
        "open weights" if row["open_weights"] else "closed",
        f"pip install 'mteb[{','.join(row['extra'])}]'" if row["extra"] else None,
        "--trust-remote-code" if row["remote_code"] else None,
    ]
    parameters = row["parameters"]
    about = (", ".join(filter(None, facts)), "dim")
    return {
        "name": [row["name"]],
        "parameters": [f"{parameters / 1e6:,.1f} M" if parameters else ""],
        "description": [", ".join(row["modalities"]), "\n", about],
    }


def _model_cells(row: dict[str, Any]) -> Cells:
    """Return a model in three cells, so that a row is readable at 80 columns."""
    revision, tokens = row["revision"], row["context_length"]
    facts = [
        f"{row['adapter']}:{row['checkpoint']}{f' @ {revision[:8]}' if revision else ''}",
        f"{tokens} tokens" if tokens else None,
        row["licence"],
        f"needs {' and '.join(row['needs'])}" if row["needs"] else None,
    ]
    parameters = row["parameters"]
    return {
        "name": [row["name"]],
        "parameters": [f"{parameters / 1e6:,.1f} M" if parameters else ""],
        "description": [row["description"], ("\n" + ", ".join(filter(None, facts)), "dim")],
    }
