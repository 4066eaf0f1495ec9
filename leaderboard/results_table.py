"""The table of one run: each metric with its interval, the controls beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hiereval.beside import Beside
from hiereval.choice import some
from hiereval.findings import COVERS
from hiereval.leaderboard.cells import Cell, cell, fits
from hiereval.leaderboard.notes import BARS, MARKS
from hiereval.leaderboard.rows import row_key
from hiereval.leaderboard.wording import number, span

if TYPE_CHECKING:
    from hiereval.records import Record


SHORT = {  # so that a table with every control fits 80 columns
    "control:words": "words",
    "control:characters": "chars",
    "control:constant": "const",
    "random-init": "random",
}


def show_results(
    console: Console, model: Sequence[Record], controls: Sequence[Record], every: bool = True
) -> None:
    """Print a table for each dataset and probe: the model with intervals, the controls beside.

    Without `every`, descriptive and undefined metrics are left out. A trained probe is one table:
    the mean over its seeds, the same on shuffled tiers beside it.
    """
    verdicts = Beside([*model, *controls])
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in model:
        key = (record.dataset.name, record.dataset.split, *row_key(record))
        groups.setdefault(key, []).append(record)
    for mine in groups.values():
        data = mine[0].dataset
        theirs = [
            r for r in controls if (r.dataset.name, r.dataset.split) == (data.name, data.split)
        ]
        console.print(Text(_title(mine), "bold"), highlight=False, soft_wrap=True)
        console.print(_table(mine, theirs, verdicts, every))
    console.print(Text(_legend(model, verdicts)), style="dim", highlight=False)
    for reason in _reasons([*model, *(controls if every else ())]):
        console.print(Text(reason), style="dim", highlight=False, soft_wrap=True)


def _table(mine: list[Record], theirs: list[Record], verdicts: Beside, every: bool) -> Table:
    """Return the table of one model, dataset and probe, tasks that were skipped last."""
    tasks: dict[str, list[Record]] = {}
    for record in sorted(mine, key=lambda record: record.status != "ok"):
        tasks.setdefault(record.task.name, []).append(record)
    beside: dict[str, dict[str, Record]] = {}
    for record in theirs:
        if any(metric.value is not None for metric in record.metrics.values()):
            name = "random-init" if record.model.random_init is not None else record.model.name
            beside.setdefault(name, {})[record.task.name] = record
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("value", justify="right", style="bold", no_wrap=True)
    table.add_column("95 % CI", no_wrap=True)
    shuffled = any(record.probe.shuffled for record in mine)
    for column in [*(["shuffled"] if shuffled else []), *beside]:
        table.add_column(SHORT.get(column, column), justify="right", style="dim", no_wrap=True)
    for task, records in tasks.items():
        if records[0].status != "ok":
            table.add_row(Text(task, "cyan"), Text(records[0].status, "not bold"))
            continue
        table.add_row(Text(task, "cyan"))
        for metric, value in records[0].metrics.items():
            if not every and (value.value is None or value.role == "descriptive"):
                continue
            shown = cell(fits(records), metric, verdicts)
            assert shown is not None
            others = [
                by[task].metrics.get(metric) if task in by else None for by in beside.values()
            ]
            table.add_row(
                Text(f"  {metric}"),
                _value(shown),
                "" if shown.low is None or shown.high is None else span(shown.low, shown.high),
                *([_number(shown.shuffled)] if shuffled else []),
                *["" if other is None else _number(other.value) for other in others],
            )
    return table


def _title(mine: Sequence[Record]) -> str:
    first = mine[0]
    seeds = len({record.probe.seed for record in mine})
    return (
        f"{first.model.name} on {first.dataset.name} ({first.dataset.split}), "
        f"probe {first.probe.name}{f', mean of {seeds} seeds' if seeds > 1 else ''}"
    )


def _legend(model: Sequence[Record], verdicts: Beside) -> str:
    """Explain green and the marks that are used, and say what the intervals cover."""
    failed = {b for r in model for name in r.metrics for b in verdicts.finding(r, name).failed}
    marks = [f"{mark} not beyond {BARS[bar]}." for bar, mark in MARKS.items() if bar in failed]
    return " ".join(["Green: a finding.", *marks, COVERS])


def _value(shown: Cell) -> Text:
    """Draw a value: green for a finding, else marked with the bars that it is not beyond."""
    text = Text(_number(shown.value), "green" if shown.finding else "")
    return text.append("".join(MARKS[bar] for bar in shown.failed), style="not bold yellow")


def _number(value: float | None) -> str:
    return "n/a" if value is None else number(value)


def _reasons(records: Sequence[Record]) -> list[str]:
    """Return one line for each distinct reason why something is missing."""
    lines: dict[str, list[str]] = {}
    for record in records:
        if record.reason is not None:
            if record.status == "failed" or not record.model.name.startswith("control:"):
                lines.setdefault(f"{record.status}: {record.reason}", []).append(record.task.name)
            continue
        for metric, value in record.metrics.items():
            if value.undefined_reason is not None:
                reason = f"n/a for {record.model.name}: {value.undefined_reason}"
                lines.setdefault(reason, []).append(metric)
    shown = []
    for reason, where in lines.items():
        shown.append(f"{some(where)}: {reason}")
    return shown
