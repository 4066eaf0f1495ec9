"""The board as LaTeX: a booktabs table for each task, every string escaped.

A task that is another paper's protocol has that paper's layout.
"""

from __future__ import annotations

from collections.abc import Iterator

from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.paper_tables import Part, layouts, part, table
from hiereval.leaderboard.rows import Row
from hiereval.leaderboard.terminal import about
from hiereval.leaderboard.wording import LONGEST, arrow, clean, number

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "†": r"$\dagger$", "‡": r"$\ddagger$",
    "§": r"\S{}", "¶": r"\P{}",
    "·": r"$\cdot$", "±": r"$\pm$", "…": r"\dots{}", "[": "{[}", "]": "{]}",
    "`": r"\textasciigrave{}",
}  # fmt: skip
_MARKS = {"null": r"$^\dagger$", "twins": r"$^\ddagger$", "blind": r"\textsuperscript{\S}",
          "capacity": r"\textsuperscript{\P}"}  # fmt: skip
_EMPTY = {"undefined": "n/a", "skipped": "--", "failed": "failed"}


def written(board: Board) -> str:
    r"""Return a table for each task; the document needs \usepackage{booktabs,textcomp}."""
    parts = ["% \\usepackage{booktabs,textcomp}"]
    papers: dict[tuple[str, str], list[Part]] = {}  # (task, its heading) -> all its datasets
    for section in board.sections:
        for group, indices in section.groups:
            task = section.columns[indices[0]].task
            if task in layouts():
                papers.setdefault((task, group), []).append(part(section, indices))
            else:
                parts += ["", *_table(section, group, indices, board.legend)]
    for (_, group), sections in papers.items():
        title = escaped(f"{group}. {board.legend}", 1000)
        parts += ["", *table(title, sections, escaped, _marks)]
    return "\n".join([*parts, ""])


def escaped(text: object, longest: int = LONGEST) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(_ESCAPES.get(character, character) for character in clean(text, longest))


def _table(section: Section, group: str, indices: list[int], legend: str) -> Iterator[str]:
    caption = f"{group} on {section.title} ({about(section)}). Controls below the rule. {legend}"
    heads = [section.columns[index] for index in indices]
    yield r"\begin{table}"
    yield r"\centering\small"
    yield rf"\caption{{{escaped(caption, 1000)}}}"
    yield rf"\begin{{tabular}}{{l{'l' * len(indices)}}}"
    yield r"\toprule"
    names = (f"{clean(c.metric)} {arrow(c.higher_is_better)}".strip() for c in heads)
    yield _line(["model", *map(escaped, names)])
    for rows in (section.measured, section.controls):
        lines = [_row(row, indices) for row in rows if _says_something(row, indices)]
        if lines:
            yield r"\midrule"
            yield from lines
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _says_something(row: Row, indices: list[int]) -> bool:
    return any((cell := row.cells[index]) and cell.state != "skipped" for index in indices)


def _row(row: Row, shown: list[int]) -> str:
    best = row.kind == "measured"
    return _line([escaped(row.name), *(_cell(row.cells[index], best) for index in shown)])


def _number(value: float) -> str:
    return number(value).replace("-", "$-$")


def _cell(cell: Cell | None, best: bool) -> str:
    if cell is None:
        return "--"
    if cell.value is None:
        return _EMPTY[cell.state]
    value = _number(cell.value)
    if best and cell.rank == 1:
        value = rf"\textbf{{{value}}}"
    value += _marks(cell)
    if cell.spread is not None:
        return rf"{value} {{\scriptsize $\pm${_number(cell.spread)}}}"
    if cell.low is not None and cell.high is not None:
        return rf"{value} {{\scriptsize {_number(cell.low)}--{_number(cell.high)}}}"
    return value


def _marks(cell: Cell) -> str:
    return "".join(_MARKS[bar] for bar in cell.failed)


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
