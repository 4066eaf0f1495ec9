"""LaTeX tables of other papers' protocols as those papers print them, beside their ceilings.

A layout (layouts.toml) names a task's columns. Datasets stand side by side, so that a paper's whole
table is one; intervals are left out, as they are there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from hiereval.leaderboard.board import Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.rows import Row

Escape = Callable[[str], str]
ARROWS = {True: r" $\uparrow$", False: r" $\downarrow$", None: ""}


@dataclass(frozen=True)
class Layout:
    """A task's columns as its paper heads them, and how it prints a number."""

    columns: dict[str, str]  # metric -> heading, LaTeX
    digits: int = 3
    percent: bool = False

    def number(self, value: float) -> str:
        """Return the value as printed."""
        return f"{value * (100 if self.percent else 1):.{self.digits}f}".replace("-", "$-$")


@dataclass(frozen=True)
class Part:
    """A section's columns in the layout's order."""

    section: Section
    columns: tuple[int, ...]

    @property
    def heads(self) -> list[Column]:
        """The columns."""
        return [self.section.columns[index] for index in self.columns]


@cache
def layouts() -> dict[str, Layout]:
    """Return the layouts by task."""
    table = tomllib.loads((files(__package__) / "layouts.toml").read_text("utf-8"))
    return {task: Layout(**entry) for task, entry in table.items()}


def part(section: Section, indices: Sequence[int], layout: Layout) -> Part:
    """Return the columns of one task's group that the layout has, in its order."""
    by_metric = {section.columns[index].metric: index for index in indices}
    return Part(section, tuple(by_metric[name] for name in layout.columns if name in by_metric))


def table(
    title: str, layout: Layout, parts: Sequence[Part], escape: Escape, marks: Callable[[Cell], str]
) -> Iterator[str]:
    """Yield the lines of one booktabs table; `marks` says what a cell did not beat."""
    parts = [some for some in parts if some.columns]
    widths = [len(some.columns) for some in parts]
    yield r"\begin{table*}"
    yield r"\centering\small"
    yield rf"\caption{{{title}}}"
    yield rf"\begin{{tabular}}{{l{'c' * sum(widths)}}}"
    yield r"\toprule"
    names = (escape(some.section.title) for some in parts)
    spans = (rf"\multicolumn{{{n}}}{{c}}{{{name}}}" for n, name in zip(widths, names, strict=True))
    yield _line(["", *spans])
    yield "".join(_rules(widths))
    heads = [column for some in parts for column in some.heads]
    yield _line(["model", *(layout.columns[c.metric] + ARROWS[c.higher_is_better] for c in heads)])
    for kind in ("measured", "controls"):
        rows = _rows(parts, kind)
        if rows:
            yield r"\midrule"
        for name, cells in rows.items():
            values = [_cell(cell, layout, marks, best=kind == "measured") for cell in cells]
            yield _line([escape(name), *values])
    ceilings = [column.ceiling for column in heads]
    if any(ceilings):
        yield r"\midrule"
        best = [layout.number(found[1]) if found else "--" for found in ceilings]
        yield _line(["best blind score", *best])
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table*}"


def _rows(parts: Sequence[Part], kind: str) -> dict[str, list[Cell | None]]:
    """Return name -> a cell for every column of all parts, for the rows that say something."""
    found: dict[str, list[Cell | None]] = {}
    before = 0
    total = sum(len(some.columns) for some in parts)
    for some in parts:
        rows: tuple[Row, ...] = getattr(some.section, kind)
        for row in rows:
            cells = [row.cells[index] for index in some.columns]
            if any(cell and cell.state != "skipped" for cell in cells):
                whole = found.setdefault(row.name, [None] * total)
                whole[before : before + len(cells)] = cells
        before += len(some.columns)
    return found


def _cell(cell: Cell | None, layout: Layout, marks: Callable[[Cell], str], *, best: bool) -> str:
    if cell is None or cell.value is None:
        return "--" if cell is None or cell.state == "skipped" else "n/a"
    value = layout.number(cell.value)
    return (rf"\textbf{{{value}}}" if best and cell.rank == 1 else value) + marks(cell)


def _rules(widths: Sequence[int]) -> Iterator[str]:
    start = 2
    for width in widths:
        yield rf"\cmidrule(lr){{{start}-{start + width - 1}}}"
        start += width


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
