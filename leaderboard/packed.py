"""The board as the page holds it: every metric by column, in few bytes.

A list that repeats is written as its distinct values and which of them each is; a number as an
integer of ten-thousandths, its interval as the distance to each side; the rank of the i-th
finding, from the best down, as the step from the one before. Integers that are small enough are
written as one character each. A board of more than MANY rows holds values as they are shown, to
a thousandth, and of ranks the best alone: JSON and CSV hold the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hiereval.leaderboard import cards, command_line
from hiereval.leaderboard.album import Album
from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.columns import Column, plain, task_key
from hiereval.leaderboard.front import front, leading
from hiereval.leaderboard.notes import BARS, MARKS
from hiereval.leaderboard.pairs import pairs
from hiereval.leaderboard.rows import Row
from hiereval.leaderboard.standing import Paired
from hiereval.leaderboard.wording import clean, public
from hiereval.records import Environment, Record, once
from hiereval.types import Curvature

MANY = 2000  # rows
_SHOWN = 3  # decimals of a value as it is drawn; one more is kept where there is room
_CHARACTERS = "".join(c for c in map(chr, range(35, 127)) if c not in "\\<>&")  # "!" is a gap
_CODES: dict[float | None, str] = {None: "!", **dict(enumerate(_CHARACTERS))}
_SHORT = 16  # hexadecimal digits of a hash that a page shows; JSON holds all

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
        "rows": _rows(rows),
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
    digits = _digits(cells)
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
            i: [c.seeds, _rounded(c.spread), _rounded(c.selectivity), c.over]
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
        _integer(cell.value, digits), *_sides(cell, digits), _state(cell), _why(cell), cell.n
    )  # fmt: skip


def _digits(cells: Sequence[Cell | None]) -> int:
    """Return how many decimals a column's integers stand for: fewer where values are large."""
    largest = max((abs(c.value) for c in cells if c and c.value is not None), default=0.0)
    if largest < 100:
        return _SHOWN + (len(cells) <= MANY)
    return 1 if largest < 1e6 else 0


def _integer(value: float | None, digits: int) -> int | float | None:
    """Return a value in units of its last digit, on the side to which three decimals round it.

    What does not fit into a double's 53 bits is left as it is.
    """
    if value is None:
        return None
    scaled = value * 10**digits
    if abs(scaled) >= 2**53:
        return value
    if digits < _SHOWN:
        return round(scaled)
    middle = _thousandths(value)
    if digits == _SHOWN:
        return middle
    return min(10 * middle + 4, max(10 * middle - 4, round(scaled)))


def _thousandths(value: float) -> int:
    """Return a value as it is shown, in thousandths."""
    scaled = value * 1000.0
    nearest = round(scaled)
    if abs(scaled - nearest) < 0.499:  # no product is so far off that it could be a tie
        return nearest
    return int(f"{value:.3f}".replace(".", ""))


def _sides(cell: Cell, digits: int) -> tuple[int | None, int | None]:
    """Return how far an interval reaches below and above the value, both as they are shown."""
    if cell.value is None or cell.low is None or cell.high is None:
        return None, None
    if digits < _SHOWN:
        low, middle, high = (round(v * 10**digits) for v in (cell.low, cell.value, cell.high))
    else:
        low, middle, high = map(_thousandths, (cell.low, cell.value, cell.high))
    return middle - low, high - middle


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


# --- rows ----------------------------------------------------------------------------------------


def _rows(rows: Sequence[Row]) -> Packed:
    known = [cards.of(row.model) for row in rows]
    facts = [[fact(row) for fact in _FACTS.values()] for row in rows]  # all of a row at once
    return {
        **{
            name: coded(values)
            for name, values in zip(_FACTS, zip(*facts, strict=True), strict=True)
        },
        "family": coded([clean(card.family, 40) for card in known]),
        "licence": coded([clean(card.licence, 40) for card in known]),
        "open": coded([card.openness for card in known]),
        "status": coded([row.standing for row in rows]),
        "curve": [_curve(row) for row in rows],
    }


def _fastest(row: Row, field: str) -> float | None:
    """Return the row's speed; None where every vector came from the store."""
    found = [speed for r in row.records if (speed := getattr(r.timings, field))]
    return _significant(max(found)) if found else None


def _significant(value: float) -> float:
    return float(f"{value:.3g}")


@once
def _environment(where: Environment) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(where.packages.items()))
    git = f", commit {where.git_commit[:8]}" if where.git_commit else ""
    return clean(
        f"hiereval {where.hiereval}{git}, Python {where.python}, {where.device}, {packages}", 300
    )


_FACTS: dict[str, Callable[[Row], Any]] = {
    "label": lambda row: row.label,
    "probe": lambda row: row.probe,
    "adapter": lambda row: clean(row.model.adapter, 60),
    "checkpoint": lambda row: _beside(public(row.model.checkpoint), row.label),
    "revision": lambda row: clean(row.model.revision or "", 64),
    "weights": lambda row: clean(row.model.weights_sha256 or "")[:_SHORT],
    "fingerprint": lambda row: clean(row.model.fingerprint)[:_SHORT],
    "geometry": lambda row: clean(row.model.geometry, 40),
    "curvature": lambda row: _curvature(row.model.curvature),
    "dtype": lambda row: clean(row.model.dtype, 20),
    "dim": lambda row: row.model.embed_dim,
    "params": lambda row: row.model.n_params,
    "context": lambda row: row.model.context_length,
    "random": lambda row: row.model.random_init,
    "remote": lambda row: row.model.trust_remote_code,
    "twins": lambda row: row.twins,
    "date": lambda row: row.date,
    "images_s": lambda row: _fastest(row, "images_per_s"),
    "texts_s": lambda row: _fastest(row, "texts_per_s"),
    "truncated": lambda row: row.newest.dataset.n_truncated,
    "texts": lambda row: row.newest.dataset.n_texts,
    "environment": lambda row: _environment(row.newest.environment),
    "fitted": lambda row: _fitted(row.newest),
    "options": lambda row: command_line.options_of(row.newest),
}


def _curvature(curvature: Curvature | None) -> float | str | None:
    """Return one curvature as it is, and those of a product's factors in words."""
    if not isinstance(curvature, tuple):
        return curvature
    return f"{len(curvature)} factors, {min(curvature):.3g} to {max(curvature):.3g}"


def _beside(checkpoint: str, label: str) -> str:
    """Return "" for a checkpoint that the row is named by."""
    return "" if checkpoint == label else checkpoint


def _fitted(record: Record) -> str:
    """Say a probe's parameters, and what it was fitted on."""
    own = {k: v for k, v in record.probe.parameters.items() if k not in ("seed", "shuffled")}
    said = " ".join(f"{name}={plain(value)}" for name, value in sorted(own.items()))
    training = record.probe.training
    on = f"fitted on {training.n:,} chains of {training.dataset}" if training else ""
    return clean(", ".join(part for part in (said, on) if part), 200)


def _curve(row: Row) -> list[float] | None:
    """Return mean and quartiles of each tier, one after the other."""
    return [_significant(v) for t in row.curve for v in (t.mean, t.low, t.high)] or None


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
            clean(name): [_rounded(m.value), _rounded(m.ci_low), _rounded(m.ci_high)]
            for name, m in record.metrics.items()
        },
    }


# --- lists ---------------------------------------------------------------------------------------


def coded(values: Sequence[Any]) -> Any:
    """Write a list as it is, or as its distinct values and where each stands, if few are distinct.

    >>> coded(["a", "b", "a", "a"])
    {'of': ['a', 'b'], 'at': '#$##'}
    >>> coded(["a", "b"])
    ['a', 'b']
    """
    distinct = list(dict.fromkeys(values))
    if len(distinct) > len(values) // 2:
        return list(values)
    if len(distinct) == 1:
        return {"all": distinct[0]}
    place = {value: i for i, value in enumerate(distinct)}
    return {"of": distinct, "at": small([place[value] for value in values])}


def small(numbers: Sequence[int | float | None]) -> str | list[int | float | None]:
    """Write whole numbers from 0 to 88, and gaps, as one character each; others as a list.

    >>> small([0, 1, None]), small([0, 89])
    ('#$!', [0, 89])
    """
    if all(isinstance(n, int | None) and n in _CODES for n in set(numbers)):
        return "".join([_CODES[n] for n in numbers])
    return list(numbers)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
