"""The board as the page holds it: every metric by column, in few bytes.

A list that repeats is written as its distinct values and which of them each is; a number as an
integer of ten-thousandths, its interval as the distance to each side; the rank of the i-th
finding, from the best down, as the step from the one before. Integers that are small enough are
written as one character each. A board of more than MANY rows holds values as they are shown, to
a thousandth, and of ranks the best alone: JSON and CSV hold the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hiereval.leaderboard import command_line, facts
from hiereval.leaderboard.album import Album
from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.coding import MANY, coded, decimals, integer, rounded, sides, small
from hiereval.leaderboard.columns import Column, task_key
from hiereval.leaderboard.front import front, leading
from hiereval.leaderboard.notes import BARS, MARKS
from hiereval.leaderboard.pairs import pairs
from hiereval.leaderboard.rows import Row
from hiereval.leaderboard.standing import Paired
from hiereval.leaderboard.wording import clean
from hiereval.records import Record

Packed = dict[str, Any]


def packed(board: Board, paired: Paired | None = None, album: Album | None = None) -> Packed:
    """Return what the page's script reads; `paired` finds the draws of what two rows differ by,
    `album` what is shown of single items."""
    return {
        "legend": board.legend,
        "interval": board.interval,
        "limited": board.limited,
        "marks": {MARKS[bar]: words for bar, words in BARS.items()},
        "sections": [_section(section, board.wanted, paired, album) for section in board.sections],
        "thumbnails": album.thumbnails.encoded if album else [],
    }


def _section(
    section: Section, wanted: Sequence[str], paired: Paired | None, album: Album | None
) -> Packed:
    rows, columns = section.rows, section.columns
    first = front(columns, section.filled, wanted)
    keys = list(dict.fromkeys(column.key for column in columns))
    return {
        "title": section.title,
        "dataset": clean(section.name),
        "split": clean(section.split),
        "sha256": clean(section.sha256),
        "revision": clean(section.revision or ""),
        "images": clean(section.image_source),
        "notes": list(section.notes),
        "size": len(rows),
        "measured": len(section.measured),
        "sort": leading(columns, first),
        "tasks": [_task(*key) for key in keys],
        "columns": [
            _column(column, keys.index(column.key), [row.cells[i] for row in rows], i in first)
            for i, column in enumerate(columns)
        ],
        "pairs": {i: pairs(section, i, paired) for i in first},
        "rows": facts.of_rows(rows),
        "runs": _runs(rows, keys),
        "points": album.points(section) if album else {},
        "album": album.pictures(section) if album else None,
        "reported": [
            {
                "model": clean(figure.model),
                "metrics": {clean(k): v for k, v in figure.metrics.items()},
                "source": clean(figure.source),
                "url": figure.url if figure.url.startswith("https://") else "",
                "note": clean(figure.note),
            }
            for figure in section.reported
        ],
    }


# --- columns -------------------------------------------------------------------------------------


def _task(task: str, version: int, parameters: str) -> Packed:
    """Return a task as it was run, with the options that ask for it."""
    options = command_line.of_task(task, parameters)
    return {"name": clean(task), "version": version, "options": options}


def _column(column: Column, task: int, cells: Sequence[Cell | None], first: bool) -> Packed:
    digits = decimals(cells)
    values, lows, highs, states, whys, counts = zip(
        *[_cell(cell, digits) for cell in cells], strict=True
    )
    return {
        "group": column.group,
        "metric": clean(column.metric),
        "task": task,
        "help": column.help,
        "up": column.higher_is_better,
        "chance": column.chance,
        "ceiling": column.ceiling and [clean(column.ceiling[0]), column.ceiling[1]],
        "role": column.role,
        "unranked": column.unranked,
        "ties": column.ties or "",
        "first": first,
        "digits": digits,
        "v": values,
        "low": small(lows),
        "high": small(highs),
        "state": "".join(states),
        "why": coded(whys),
        "n": coded(counts),
        "rank": _steps(column, cells, values),
        "trained": {
            i: [c.seeds, rounded(c.spread), rounded(c.selectivity), c.over]
            for i, c in enumerate(cells)
            if c is not None and c.seeds
        },
    }


def _cell(
    cell: Cell | None, digits: int
) -> tuple[float | None, int | None, int | None, str, str, int]:
    """Return a cell's value, how far its interval reaches to both sides, its state, the reason and
    the number of items: all at once, because a cell that was seen is quick to see again."""
    if cell is None:
        return None, None, None, "-", "", 0
    return (
        integer(cell.value, digits), *sides(cell, digits), _state(cell), _why(cell), cell.n
    )  # fmt: skip


_EMPTY = {"undefined": "e", "skipped": "s", "failed": "x"}
_STATES = {True: "f", False: "n", None: "u"}


def _state(cell: Cell) -> str:
    """Return one letter: f finding, n no finding, u not known; where it is empty: e undefined, s
    skipped, x failed, and - not run."""
    return _EMPTY.get(cell.state) or _STATES[cell.finding]


def _why(cell: Cell) -> str:
    """Return the marks of the bars that were not passed, a line break, and the reason in words."""
    marks = "".join(MARKS[bar] for bar in cell.failed)
    return f"{marks}\n{cell.because or cell.reason or ''}"


def _steps(
    column: Column, cells: Sequence[Cell | None], values: Sequence[float | None]
) -> list[Any]:
    """Return best and worst ranks of those that have one, by value and then by row, as steps;
    None for the worst where rows are many."""
    sign = 1 if column.higher_is_better is False else -1
    ranked = [i for i, c in enumerate(cells) if c is not None and c.rank is not None]
    ranked.sort(key=lambda i: (sign * (values[i] or 0), i))
    best = [(c.rank or 0) if (c := cells[i]) else 0 for i in ranked]
    worst = [(c.worst_rank or 0) if (c := cells[i]) else 0 for i in ranked]
    few = len(cells) <= MANY
    return [small(_differences(best)), small(_differences(worst)) if few else None]


def _differences(numbers: list[int]) -> list[int]:
    return [b - a for a, b in zip([0, *numbers], numbers, strict=False)]


# --- runs ----------------------------------------------------------------------------------------


def _runs(rows: Sequence[Row], keys: list[tuple[str, int, str]]) -> dict[int, list[Packed]]:
    """Return the single runs of the rows of trained probes: seeds, shuffled tiers."""
    return {
        i: [_run(record, keys) for record in row.records]
        for i, row in enumerate(rows)
        if any(record.probe.training for record in row.records)
    }


def _run(record: Record, keys: list[tuple[str, int, str]]) -> Packed:
    key = task_key(record)
    return {
        "task": keys.index(key) if key in keys else -1,
        "seed": record.probe.seed,
        "shuffled": record.probe.shuffled,
        "reason": clean(f"{record.status}: {record.reason}", 200) if record.reason else "",
        "values": {
            clean(name): [rounded(m.value), rounded(m.ci_low), rounded(m.ci_high)]
            for name, m in record.metrics.items()
        },
    }
