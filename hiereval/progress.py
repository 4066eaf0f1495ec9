"""Progress on stderr: bars in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from hiereval.printable import clean

EVERY_SECONDS = 15.0  # between two plain lines


class Bars:
    """A session's `report` (model, stage, done, total): a bar for each stage that is under way.

    A stage whose total is 0 has no known end and pulses. Off a terminal (a batch system, CI) a
    line is written every 15 seconds instead, so that a log shows that the run is alive.
    """

    def __init__(self, plain: bool | None = None, every: float = EVERY_SECONDS) -> None:
        console = Console(stderr=True)
        live = console.is_terminal or console.is_jupyter
        self.plain = not live if plain is None else plain
        self.every, self.last = every, time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=self.plain,
            transient=True,
        )
        self.tasks: dict[tuple[str, str], object] = {}

    def __call__(self, model: str, stage: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        model, stage = clean(model), clean(stage)
        if self.plain:
            self._line(model, stage, done, total)
            return
        key = (model, stage)
        for other in [k for k in self.tasks if k[1] == "loading" and k != key]:
            self.progress.remove_task(self.tasks.pop(other))  # type: ignore[arg-type]
        if key not in self.tasks or (done == 0 and total):
            description = Text(f"{model}: {stage}").markup
            self.tasks[key] = self.progress.add_task(description, total=total or None)
        self.progress.update(self.tasks[key], completed=done)  # type: ignore[arg-type]

    def _line(self, model: str, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            far = f" {done:,} of {total:,}" if total else ""
            click.echo(f"{model}: {stage}{far}", err=True)

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
