"""`hiereval ls`: what can be named, listed without importing any of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import click

from hiereval.commands import options

KINDS = ("models", "tasks", "adapters", "datasets", "probes")


@click.command(
    epilog="""\b
Examples:
  hiereval ls models
  hiereval ls tasks --json
"""
)
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for other programs.")
@options.plugins_option
def command(kind: str, as_json: bool) -> None:
    """List what --model, --tasks, --dataset and --probes can name."""
    rows = list(_models() if kind == "models" else _plugins(kind))
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = _model_cells if kind == "models" else _cells
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for row in rows:
        shown = cells(row)
        if not table.columns:
            for name in shown:
                right = name == "parameters"
                table.add_column(name, overflow="fold", justify="right" if right else "left")
        table.add_row(*[Text.assemble(*cell) for cell in shown.values()])
    Console().print(table)


def _models() -> Iterator[dict[str, Any]]:
    from hiereval.models import cards
    from hiereval.places import Places

    for name, card in cards(Places.of()).items():
        yield {"name": name, **dataclasses.asdict(card)}


def _plugins(kind: str) -> Iterator[dict[str, Any]]:
    from hiereval import registry

    for name in registry.names(kind):  # type: ignore[arg-type]
        origin, description = registry.describe(kind, name)  # type: ignore[arg-type]
        yield {"name": name, "from": origin, "description": description}


Cells = dict[str, list[str | tuple[str, str]]]  # heading -> parts of a text, some with a style


def _cells(row: dict[str, Any]) -> Cells:
    return {name: ["" if value is None else str(value)] for name, value in row.items()}


def _model_cells(row: dict[str, Any]) -> Cells:
    """Return a model in three cells, so that a row is readable at 80 columns."""
    revision, tokens = row["revision"], row["context_length"]
    facts = [
        f"{row['adapter']}:{row['checkpoint']}{f' @ {revision[:8]}' if revision else ''}",
        f"{tokens} tokens" if tokens else None,
        row["licence"],
    ]
    parameters = row["parameters"]
    return {
        "name": [row["name"]],
        "parameters": [f"{parameters / 1e6:,.1f} M" if parameters else ""],
        "description": [row["description"], ("\n" + ", ".join(filter(None, facts)), "dim")],
    }
