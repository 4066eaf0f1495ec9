"""A run in five lines for someone who has not read the paper, and its picture beside them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from hiereval.choice import some
from hiereval.leaderboard.board import Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.rows import USUAL_PROBE, Row
from hiereval.leaderboard.wording import clean, number, plural, span
from hiereval.results import Results

if TYPE_CHECKING:
    from hiereval.plan import RunConfig

SHOWN = 3  # numbers in a sentence


def summary(
    config: RunConfig, result: Results, picture: Path | None, output: str
) -> Iterator[Text]:
    """Yield five lines: what was asked, what came out, whether it is more than the controls reach,
    where everything is, what to do next."""
    cells = _cells(result)
    yield _line("Asked", _asked(result))
    yield _line("Came out", _came_out(cells))
    yield _line("Controls", _beside(cells, result))
    drawn = f"    Picture: {picture}" if picture else ""
    yield _line("Kept", f"Records: {result.path}{drawn}")
    yield _line("Next", _next(config, output))


def picture(result: Results) -> Path | None:
    """Write the run's page beside its records and return where; None if nothing is kept."""
    if result.path is None:
        return None
    from hiereval.leaderboard import marked, page

    path = result.path.with_suffix(".html")
    marked.write(path, page.written(result.board(every_metric=True)))
    return path


def _line(label: str, text: str) -> Text:
    return Text.assemble((f"{label:9}", "bold"), text)


def _asked(result: Results) -> str:
    records = result.records
    names = list(dict.fromkeys(clean(record.model.name, 60) for record in records))
    data = dict.fromkeys(f"{r.dataset.name} ({r.dataset.split})" for r in records)
    tasks = dict.fromkeys(record.task.name for record in records)
    return (
        f"Does {', '.join(names)} know which caption is general and which specific? "
        f"{plural(len(tasks), 'task')} on {', '.join(map(clean, data))}."
    )


def _own(section: Section, result: Results) -> list[Row]:
    """Return the model's rows, which stand among the controls where it is one."""
    own = {record.record_id for record in result.records}
    return [row for row in section.rows if any(r.record_id in own for r in row.records)]


def _cells(result: Results) -> list[tuple[Column, Cell]]:
    """Return the ranked headline cells of the model's usual row in each section."""
    return [
        (column, cell)
        for section in result.board().sections
        for row in sorted(_own(section, result), key=lambda row: row.probe != USUAL_PROBE)[:1]
        for column, cell in zip(section.columns, row.cells, strict=True)
        if cell is not None and cell.value is not None and column.higher_is_better is not None
    ]


def _came_out(cells: list[tuple[Column, Cell]]) -> str:
    shown = []
    for column, cell in cells:
        assert cell.value is not None
        interval = (
            "" if cell.low is None or cell.high is None else f" [{span(cell.low, cell.high)}]"
        )
        shown.append(f"{clean(column.task)} {clean(column.metric)} {number(cell.value)}{interval}")
    more = len(shown) - SHOWN
    rest = f", and {more:,} more below" if more > 0 else ""
    return (
        (", ".join(shown[:SHOWN]) or "Nothing could be measured, for the reasons below")
        + rest
        + "."
    )


def _beside(cells: list[tuple[Column, Cell]], result: Results) -> str:
    if not result.controls:
        return "None were run beside it, so nothing here is a finding yet (--controls all)."
    found = [(c, cell) for c, cell in cells if cell.finding]
    short = [f"{clean(c.task)} {clean(c.metric)}" for c, cell in cells if cell.finding is False]
    text = (
        f"{len(found)} of {len(cells)} headline numbers are findings: beyond chance, word count "
        "and untrained twins"
    )
    if short:
        text += f"; not {some(short)}"
    return text + "."


def _next(config: RunConfig, output: str) -> str:
    folder = shlex.quote(output)
    board = f"hiereval leaderboard {folder}"
    if config.log_samples:
        return f"{board}    or compare: hiereval diff {folder}"
    return f"{board}    or keep the items to compare models: --log-samples, then hiereval diff"
