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
    layout: Layout

    @property
    def heads(self) -> list[Column]:
        """The columns."""
        return [self.section.columns[index] for index in self.columns]


@cache
def layouts() -> dict[str, Layout]:
    """Return the layouts by task, or "task:split" where a split has its own."""
    table = tomllib.loads((files(__package__) / "layouts.toml").read_text("utf-8"))
    return {task: Layout(**entry) for task, entry in table.items()}


def part(section: Section, indices: Sequence[int]) -> Part:
    """Return the columns of one task's group that its layout has, in the layout's order."""
    task = section.columns[indices[0]].task
    layout = layouts().get(f"{task}:{section.split}") or layouts()[task]
    by_metric = {section.columns[index].metric: index for index in indices}
    columns = tuple(by_metric[name] for name in layout.columns if name in by_metric)
    return Part(section, columns, layout)


def table(
    title: str, parts: Sequence[Part], escape: Escape, marks: Callable[[Cell], str]
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
    heads = [(some.layout, column) for some in parts for column in some.heads]
    names = (of.columns[c.metric] + ARROWS[c.higher_is_better] for of, c in heads)
    yield _line(["model", *names])
    for kind in ("measured", "controls"):
        rows = _rows(parts, kind)
        if rows:
            yield r"\midrule"
        for name, cells in rows.items():
            printed = zip(cells, heads, strict=True)
            values = [_cell(c, of, marks, best=kind == "measured") for c, (of, _) in printed]
            yield _line([escape(name), *values])
    yield from _reported(parts, heads, escape)
    ceilings = [(of, column.ceiling) for of, column in heads]
    if any(found for _, found in ceilings):
        yield r"\midrule"
        best = [of.number(found[1]) if found else "--" for of, found in ceilings]
        yield _line(["best blind score", *best])
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table*}"


def _reported(
    parts: Sequence[Part], heads: Sequence[tuple[Layout, Column]], escape: Escape
) -> Iterator[str]:
    """Yield a rule and the figures that papers report of these metrics, where there are any."""
    found: dict[str, dict[int, str]] = {}
    sections = [some.section for some in parts for _ in some.columns]
    for place, (section, (layout, column)) in enumerate(zip(sections, heads, strict=True)):
        key = f"{column.task} {column.metric}"
        for figure in section.reported:
            if key in figure.metrics:
                found.setdefault(figure.model, {})[place] = layout.number(figure.metrics[key])
    if found:
        yield r"\midrule"
    for model, values in found.items():
        yield _line(
            [f"{escape(model)} (reported)", *(values.get(i, "--") for i in range(len(heads)))]
        )


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
