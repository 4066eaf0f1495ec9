"""`hiereval ls`: what can be named, listed without importing any of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

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

    shown = [column for column in rows[0] if any(row[column] is not None for row in rows)]
    if kind == "models":
        shown = ["name", "adapter", "checkpoint", "parameters", "licence", "description"]
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in shown:
        table.add_column(
            column, overflow="fold", justify="right" if column == "parameters" else "left"
        )
    for row in rows:
        table.add_row(*[Text(_cell(column, row[column])) for column in shown])
    Console().print(table)


def _models() -> Iterator[dict[str, object]]:
    from hiereval.models import cards

    for name, card in cards().items():
        yield {"name": name, **dataclasses.asdict(card)}


def _plugins(kind: str) -> Iterator[dict[str, object]]:
    from hiereval import registry

    for name in registry.names(kind):  # type: ignore[arg-type]
        origin, description = registry.describe(kind, name)  # type: ignore[arg-type]
        yield {"name": name, "from": origin, "description": description}


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if column == "parameters" and isinstance(value, int):
        return f"{value / 1e6:,.1f} M"
    return str(value)
