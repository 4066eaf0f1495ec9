"""What a run shows: progress on stderr while it works, a table of results at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from hiereval.records import MetricValue, Record


SHORT = {  # so that a table with every control fits 80 columns
    "control:words": "words",
    "control:characters": "chars",
    "control:constant": "const",
    "random-init": "random",
}


class Bars:
    """Progress bars on stderr, one a stage; silent where stderr is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def of(self, label: str) -> Callable[[str, int, int], None]:
        """Return the callback (stage, done, total) for one model."""
        bars = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in bars or done == 0:
                description = Text(f"{label}: {stage}").markup
                bars[stage] = self.progress.add_task(description, total=total)
            self.progress.update(bars[stage], completed=done, total=total)

        return advance


def show_results(console: Console, model: Sequence[Record], controls: Sequence[Record]) -> None:
    """Print a table for each dataset and probe: the model with intervals, the controls beside."""
    groups = dict.fromkeys((r.dataset.name, r.dataset.split, _probe(r)) for r in model)
    for group in groups:
        name, split, probe = group
        mine = [r for r in model if (r.dataset.name, r.dataset.split, _probe(r)) == group]
        theirs = [r for r in controls if (r.dataset.name, r.dataset.split) == (name, split)]
        console.print(_table(f"{name} ({split}), probe {probe}", mine, theirs))
    for reason in _reasons([*model, *controls]):
        console.print(Text(reason), style="dim", highlight=False, soft_wrap=True)


def _probe(record: Record) -> str:
    probe = record.probe
    control = probe.training.control if probe.training else "none"
    shuffled = "" if control == "none" else f", {control}"
    return probe.name if probe.seed is None else f"{probe.name} (seed {probe.seed}{shuffled})"


def _table(title: str, mine: list[Record], theirs: list[Record]) -> Table:
    columns = list(dict.fromkeys(r.model.name if r.model.random_init is None else "random-init"
                                 for r in theirs))  # fmt: skip
    by = {
        (r.model.name if r.model.random_init is None else "random-init", r.task.name): r
        for r in theirs
    }
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column(Text(mine[0].model.name), justify="right", style="bold")
    table.add_column("95 % interval")
    for column in columns:
        table.add_column(SHORT.get(column, column), justify="right", style="dim")
    for record in sorted(mine, key=lambda record: record.status != "ok"):
        if record.status != "ok":
            table.add_row(Text(record.task.name, "cyan"), record.status)
            continue
        table.add_row(Text(record.task.name, "cyan"))
        for metric, value in record.metrics.items():
            others = [
                other.metrics.get(metric) if (other := by.get((c, record.task.name))) else None
                for c in columns
            ]
            style = "green" if _beats(value, others) else ""
            table.add_row(
                f"  {metric}",
                Text(_number(value), style),
                _interval(value),
                *[_number(other) if other else "" for other in others],
            )
    return table


def _beats(value: MetricValue, others: Sequence[MetricValue | None]) -> bool:
    """Return whether the interval lies wholly on the better side of every defined control."""
    controls = [o.value for o in others if o is not None and o.value is not None]
    if not controls or value.ci_low is None or value.ci_high is None:
        return False
    if value.higher_is_better is None:
        return False
    if value.higher_is_better:
        return value.ci_low > max(controls)
    return value.ci_high < min(controls)


def _number(value: MetricValue) -> str:
    return "n/a" if value.value is None else f"{value.value:.3f}"


def _interval(value: MetricValue) -> str:
    if value.ci_low is None or value.ci_high is None:
        return ""
    return f"[{value.ci_low:.3f}, {value.ci_high:.3f}]"


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
        some = ", ".join(list(dict.fromkeys(where))[:3])
        more = len(set(where)) - 3
        shown.append(f"{some}{f' and {more} more' if more > 0 else ''}: {reason}")
    return shown
