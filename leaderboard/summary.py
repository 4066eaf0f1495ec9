"""A run in five lines for someone who has not read the paper, and its picture beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from hiereval.choice import some
from hiereval.leaderboard.board import Board, build
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.rows import USUAL_PROBE
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
    cells = _cells(_board(result))
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


def _board(result: Results) -> Board:
    """Return the run's board, also of a `--limit` run, which real boards leave off."""
    records = [*result.records, *result.controls]
    return build([record.model_copy(update={"limit": None}) for record in records])


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


def _cells(board: Board) -> list[tuple[Column, Cell]]:
    """Return the ranked headline cells of the model's usual row in each section."""
    return [
        (column, cell)
        for section in board.sections
        for row in sorted(section.measured, key=lambda row: row.probe != USUAL_PROBE)[:1]
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
    board = f"hiereval leaderboard {output}"
    if config.log_samples:
        return f"{board}    or compare: hiereval diff {output}"
    return f"{board}    or keep the items to compare models: --log-samples, then hiereval diff"
