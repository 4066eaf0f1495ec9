"""The board in a terminal: blocks of columns that fit its width, dim intervals, bold bests."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.box import Box
from rich.console import Console, ConsoleRenderable, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hiereval.leaderboard.board import Board, Reported, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.notes import MARKS
from hiereval.leaderboard.wording import arrow, clean, number, plural, shortened, signed, span
from hiereval.verified import STANDINGS

_RULED = Box("    \n    \n ── \n    \n ·· \n ── \n    \n    \n")  # lines under head and sections
_EMPTY = {"undefined": "n/a", "skipped": "skipped", "failed": "failed"}
_WRAP = 15  # a metric's name is broken at "_" beyond this many characters
_GAP = 2
_MOST_ROWS = 500  # of a section, and of its controls

Part = tuple[str, list[int]]  # a task's heading and some of its columns


def show(board: Board, console: Console) -> None:
    """Print the board."""
    console.print(Group(*render(board, console.width)))


def written(board: Board, width: int = 100) -> str:
    """Return the board as plain text of at most `width` columns."""
    console = Console(width=width, color_system=None, record=True, file=io.StringIO())
    show(board, console)
    lines = console.export_text(styles=False).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render(board: Board, width: int) -> Iterator[ConsoleRenderable]:
    """Yield what is to be printed, at most `width` columns wide (from about 60 on)."""
    if board.title:
        yield Text(clean(board.title), style="bold underline")
    for section in map(_first, board.sections):
        yield Text(section.title, style="bold")
        yield Text(about(section), style="dim")
        for parts in blocks(section, width):
            yield Padding(_block(section, parts, width), (1, 0, 0, 0))
        yield from _reported(section.reported)
        yield Padding(_runs(section, width), (1, 0))
        yield from _standings(section)
        for note in section.notes:
            yield Text(note, style="dim")
        yield Text()
    yield Text(legend(board), style="dim")


def _first(section: Section) -> Section:
    """Leave out the rows that nobody scrolls to, and say how many there are."""
    left = sum(max(0, len(rows) - _MOST_ROWS) for rows in (section.measured, section.controls))
    if not left:
        return section
    return replace(
        section,
        measured=section.measured[:_MOST_ROWS],
        controls=section.controls[:_MOST_ROWS],
        notes=(f"{left:,} more rows: --out board.html or board.csv has all.", *section.notes),
    )


def about(section: Section) -> str:
    """Say which data a section stands on."""
    parts = [f"data sha256 {clean(section.sha256)[:8]}"]
    if section.revision:
        parts.append(f"revision {clean(section.revision)[:8]}")
    if section.image_source:
        parts.append(f"images: {clean(section.image_source)}")
    return " · ".join(parts)


def legend(board: Board) -> str:
    """Explain the marks, and count what was left off."""
    lines = ["No records of full runs."]
    if board.sections:
        lines = [board.legend, "Controls stand below the dotted line."]
    if any(cell and cell.seeds for s in board.sections for row in s.rows for cell in row.cells):
        lines.append(
            "Trained probes: mean over seeds ± spread (over shuffled tiers and empty-root)."
        )
    if board.limited:
        lines.append(f"Left off: {plural(board.limited, 'record')} of --limit runs.")
    return " ".join(lines)


# --- blocks --------------------------------------------------------------------------------------


def blocks(section: Section, width: int) -> list[list[Part]]:
    """Pack tasks side by side, so that no block is wider than `width`."""
    room = width - _label_width(section, width)
    packed: list[list[Part]] = []
    used = room + 1
    for group, indices in section.groups:
        widths = {i: _GAP + max(len(line) for line in _column_lines(section, i)) for i in indices}
        widths[indices[0]] = max(widths[indices[0]], _GAP + min(len(group), room // 2))
        total = sum(widths.values())
        whole = total <= room  # a task is split only where it fits no block at all
        if (used + total > room and whole) or not packed:
            packed.append([])
            used = 0
        for index in indices:
            if used + widths[index] > room and packed[-1]:
                packed.append([])
                used = 0
            if not packed[-1] or packed[-1][-1][0] != group:
                packed[-1].append((group, []))
            packed[-1][-1][1].append(index)
            used += widths[index]
    return packed


def _column_lines(section: Section, index: int) -> list[str]:
    head = _metric_lines(section, index)
    return head + [cell_text(row.cells[index]).plain for row in section.rows]


def _metric_lines(section: Section, index: int) -> list[str]:
    """Break a metric's name at underscores: length_matched_auroc -> length_matched, auroc ↑."""
    column = section.columns[index]
    lines = [""]
    for word in clean(column.metric, 40).split("_"):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _WRAP:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]}_{word}" if lines[-1] else word
    lines[-1] += f" {arrow(column.higher_is_better)}".rstrip()
    return lines


def _label_width(section: Section, width: int) -> int:
    longest = max((len(row.name) for row in section.rows), default=0)
    return min(max(longest, 12), max(27, width // 5))


def _block(section: Section, parts: list[Part], width: int) -> Table:
    shown = [index for _, indices in parts for index in indices]
    heads = {index: _metric_lines(section, index) for index in shown}
    height = max(map(len, heads.values()))
    table = Table(
        box=_RULED, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style=""
    )
    label = _label_width(section, width)
    table.add_column(max_width=label, min_width=label, no_wrap=True, overflow="ellipsis")
    for group, indices in parts:
        for index in indices:
            head = Text(group if index == indices[0] else "", style="bold", no_wrap=True)
            for line in [*heads[index], *[""] * (height - len(heads[index]))]:
                head.append(f"\n{line}", style="not bold")
            table.add_column(head, no_wrap=True, overflow="ellipsis")
    for rows, dim in ((section.measured, False), (section.controls, True)):
        for row in rows:
            if any(_says_something(row.cells[index]) for index in shown):
                cells = [cell_text(row.cells[index], dim) for index in shown]
                name = Text(shortened(row.name, label), style="dim" if dim else "")
                table.add_row(name, *cells)
        table.add_section()
    return table


def _says_something(cell: Cell | None) -> bool:
    """A row that was skipped throughout stands in the notes alone."""
    return cell is not None and cell.state != "skipped"


def cell_text(cell: Cell | None, dim: bool = False) -> Text:
    """Draw one cell: ".912† .905–.919"; a trained probe's ".912 ±.004 (+.120)"."""
    if cell is None:
        return Text("–", style="dim")
    if cell.value is None:
        return Text(_EMPTY[cell.state], style="dim italic")
    best = cell.rank == 1 and not dim
    text = Text(number(cell.value), style="bold" if best else "dim" if dim else "")
    if cell.failed:
        text.append("".join(MARKS[bar] for bar in cell.failed), style="not bold yellow")
    small = "not bold dim"
    if cell.spread is not None:
        text.append(f" ±{number(cell.spread)}", style=small)
    elif cell.low is not None and cell.high is not None:
        text.append(f" {span(cell.low, cell.high)}", style=small)
    if cell.selectivity is not None:
        text.append(f" ({signed(cell.selectivity)})", style=small)
    return text


# --- below the measured blocks -------------------------------------------------------------------


def _reported(figures: Sequence[Reported]) -> Iterator[ConsoleRenderable]:
    if not figures:
        return
    table = Table(box=_RULED, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), style="dim")
    metrics = list(dict.fromkeys(name for figure in figures for name in figure.metrics))
    table.add_column("reported by papers,\nnot measured here", style="dim", header_style="")
    for name in metrics:
        table.add_column(name.replace(" ", "\n"), style="dim", header_style="dim")
    table.add_column("\nsource", style="dim", header_style="dim")
    sources = list(dict.fromkeys((figure.source, figure.note) for figure in figures))
    for figure in figures:
        values = [figure.metrics.get(name) for name in metrics]
        source = f"[{sources.index((figure.source, figure.note)) + 1}]"
        cells = ["–" if value is None else f"{value:g}".lstrip("0") for value in values]
        table.add_row(Text(figure.model), *cells, Text(source))
    yield Padding(table, (1, 0, 0, 0))
    for index, (source, note) in enumerate(sources, 1):
        yield Text(f"[{index}] {source}" + (f" ({note})" if note else ""), style="dim")


def _runs(section: Section, width: int) -> Table:
    """List each row's revision, precision and date."""
    table = Table(box=_RULED, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, style="dim")
    label = _label_width(section, width)
    table.add_column(
        "runs", max_width=label, min_width=label, no_wrap=True, style="dim", header_style=""
    )
    for name in ("revision", "dtype", "date", "fingerprint"):
        table.add_column(name, style="dim", no_wrap=True, header_style="dim")
    for row in section.rows:
        facts = (row.revision or "–", clean(row.model.dtype, 12), row.date)
        fingerprint = clean(row.model.fingerprint)[:8]
        table.add_row(*map(Text, (shortened(row.name, label), *facts, fingerprint)))
    return table


def _standings(section: Section) -> Iterator[Text]:
    """Name the rows that are verified, and those that are from samples."""
    for standing in STANDINGS.values():
        names = [row.name for row in section.rows if row.verified and row.standing == standing]
        if names:
            yield Text(f"{standing.capitalize()}: {', '.join(names)}.", style="dim")
