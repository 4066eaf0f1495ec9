"""What a run gives back: its records as a sequence, the controls beside them, and ways to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from hiereval.records import Record

if TYPE_CHECKING:
    from hiereval.leaderboard.board import Board


@dataclass(eq=False)
class Results(Sequence[Record]):
    """The records of one model, those that were there already first."""

    new: list[Record] = field(default_factory=list)
    found: list[Record] = field(default_factory=list)  # measured by an earlier run
    controls: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)  # task -> which data it lacks here
    path: Path | None = None  # of the records

    @property
    def records(self) -> list[Record]:
        """The model's own records."""
        return [*self.found, *self.new]

    def not_run(self) -> list[str]:
        """Return a line for each reason why data is not here, its tasks before it."""
        tasks: dict[str, list[str]] = {}
        for task, reason in self.absent.items():
            tasks.setdefault(reason, []).append(task)
        return [f"{', '.join(names)}: not run. {reason}" for reason, names in tasks.items()]

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        return self.records[index]

    def __len__(self) -> int:
        return len(self.found) + len(self.new)

    def __eq__(self, other: object) -> bool:
        """Whether the records are the same, whatever was found and whatever is new."""
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        tasks = ", ".join(dict.fromkeys(record.task.name for record in self.records))
        name = self.records[0].model.name if len(self) else "nothing"
        where = f", in {self.path}" if self.path else ""
        return f"<{len(self)} records of {name}: {tasks}; {len(self.controls)} controls{where}>"

    def _repr_html_(self) -> str:
        """Return the table of `hiereval run` for a notebook."""
        import html
        import io

        from rich.console import Console

        from hiereval.leaderboard.results_table import show_results

        console = Console(file=io.StringIO(), record=True, width=100, force_jupyter=False)
        show_results(console, self.records, self.controls)
        text = console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
        return text if len(self) else f"<pre>{html.escape(repr(self))}</pre>"

    def board(self, sort: str | None = None, *, every_metric: bool = False) -> Board:
        """Return the board of these records and their controls, also of a run with a limit; its
        columns are the headline metrics, or every one."""
        from hiereval.leaderboard.board import build

        there = [*self.records, *self.controls]
        return build(there, sort=sort, every_metric=every_metric, limited=True)

    def frame(self) -> Any:
        """Return a pandas DataFrame, one row a metric; raises HierevalError without pandas."""
        from hiereval.errors import HierevalError

        try:
            import pandas
        except ImportError as error:
            raise HierevalError("A frame needs pandas: pip install pandas.") from error
        return pandas.DataFrame(list(self.rows()))

    def rows(self) -> list[dict[str, Any]]:
        """Return one plain row a metric of the model and its controls."""
        return [
            {
                "model": record.model.name,
                "random_init": record.model.random_init,
                "dataset": record.dataset.name,
                "split": record.dataset.split,
                "task": record.task.name,
                "probe": record.probe.name,
                "seed": record.probe.seed,
                "metric": name,
                **metric.model_dump(
                    include={"value", "ci_low", "ci_high", "n", "undefined_reason"}
                ),
            }
            for record in [*self.records, *self.controls]
            for name, metric in record.metrics.items()
        ]
