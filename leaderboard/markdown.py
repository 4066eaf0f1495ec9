"""The board as GitHub Markdown: one table a task, every string escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hiereval.leaderboard.board import Board, Reported, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.notes import MARKS
from hiereval.leaderboard.rows import Row
from hiereval.leaderboard.terminal import about, legend
from hiereval.leaderboard.wording import LONGEST, arrow, clean, number, signed

_SPECIAL = re.compile(r"([\\`*_\[\]#~|$@^])")
_EMPTY = {"undefined": "n/a", "skipped": "skipped", "failed": "failed"}


def written(board: Board) -> str:
    """Return the document."""
    lines: list[str] = [f"# {escaped(board.title)}", ""] if board.title else []
    if board.lead:
        lines += [escaped(board.lead, 1000), ""]
    for section in board.sections:
        lines += [f"## {escaped(section.title)}", "", escaped(about(section), 1000), ""]
        for group, indices in section.groups:
            lines += [f"### {escaped(group)}", "", *_table(section, indices), ""]
        if section.reported:
            lines += ["### Reported by papers, not measured here", ""]
            lines += [*_reported(section.reported), ""]
        lines += ["### Runs", "", *_runs(section), ""]
        lines += [*(f"- {escaped(note, 2000)}" for note in section.notes), ""]
    return "\n".join([*lines, escaped(legend(board).replace("dotted line", "bold line"), 1000), ""])


def escaped(text: object, longest: int = LONGEST) -> str:
    """Return text that Markdown shows as it is: no markup, HTML, table border or link."""
    line = clean(text, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line).replace("://", "\\://").replace("www.", "www\\.")
    return re.sub(r"^(\d+)([.)])|^([-+])", lambda m: (m[1] or "") + "\\" + (m[2] or m[3]), line)


def _table(section: Section, indices: list[int]) -> Iterator[str]:
    columns = [section.columns[index] for index in indices]
    heads = [f"{escaped(c.metric)} {arrow(c.higher_is_better)}".strip() for c in columns]
    yield _line(["model", *heads])
    yield _line(["---"] * (len(heads) + 1))
    for row in section.measured:
        yield from _row(row, indices)
    controls = [line for row in section.controls for line in _row(row, indices)]
    if controls:
        yield _line(["**controls**", *[""] * len(heads)])
        yield from controls


def _row(row: Row, indices: list[int]) -> Iterator[str]:
    cells = [row.cells[index] for index in indices]
    if any(cell is not None and cell.state != "skipped" for cell in cells):
        best = row.kind == "measured"
        yield _line([escaped(row.name), *(_cell(cell, best) for cell in cells)])


def _cell(cell: Cell | None, best: bool) -> str:
    if cell is None:
        return "–"
    if cell.value is None:
        return _EMPTY[cell.state]
    value = f"**{number(cell.value)}**" if best and cell.rank == 1 else number(cell.value)
    parts = [value + "".join(MARKS[name] for name in cell.failed)]
    if cell.spread is not None:
        parts.append(f"±{number(cell.spread)}")
    if cell.low is not None and cell.high is not None:
        parts.append(f"\\[{number(cell.low)}, {number(cell.high)}\\]")
    if cell.selectivity is not None:
        parts.append(f"({signed(cell.selectivity)} over {cell.over})")
    return " ".join(parts)


def _reported(figures: Sequence[Reported]) -> Iterator[str]:
    metrics = list(dict.fromkeys(name for figure in figures for name in figure.metrics))
    yield _line(["model", *map(escaped, metrics), "source"])
    yield _line(["---"] * (len(metrics) + 2))
    for figure in figures:
        values = [str(figure.metrics.get(name, "–")) for name in metrics]
        source = f"[{escaped(figure.source)}](<{figure.url}>)" if figure.url else figure.source
        note = f" ({escaped(figure.note)})" if figure.note else ""
        yield _line([escaped(figure.model), *values, source + note])


def _runs(section: Section) -> Iterator[str]:
    yield _line(["model", "revision", "dtype", "date", "fingerprint", "standing"])
    yield _line(["---"] * 6)
    for row in section.rows:
        facts = (
            row.revision or "–",
            clean(row.model.dtype, 12),
            row.date,
            row.model.fingerprint[:12],
            row.standing,
        )
        yield _line([escaped(row.name), *map(escaped, facts)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
