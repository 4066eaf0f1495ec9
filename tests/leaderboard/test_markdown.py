from __future__ import annotations

from collections.abc import Callable

import pytest
from markdown_it import MarkdownIt

from hiereval.leaderboard import markdown
from hiereval.leaderboard.board import build
from hiereval.leaderboard.wording import clean
from hiereval.records import Record

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def text_of(document: str) -> str:
    """What a reader sees of one cell."""
    tokens = PARSER.parse(f"| x |\n|---|\n| {document} |\n")
    cells = [tokens[i + 1] for i, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 1
    assert {child.type for child in cells[0].children or []} <= {"text", "text_special"}
    return "".join(child.content for child in cells[0].children or [])


def test_escaped_text_is_shown_as_it_is(hostile: str) -> None:
    assert text_of(markdown.escaped(hostile)) == clean(hostile)


@pytest.mark.parametrize("line", ["1. one", "- two", "+ three", "# four", "> five", "12) six"])
def test_no_line_begins_a_block(line: str) -> None:
    tokens = PARSER.parse(markdown.escaped(line))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert "".join(c.content for c in tokens[1].children or []) == line


def test_hostile_records_make_no_markup(
    hostile: str, hostile_everywhere: Callable[[str], Record]
) -> None:
    html = MarkdownIt("commonmark").enable("table").render(
        markdown.written(build([hostile_everywhere(hostile)]))
    )  # fmt: skip
    for tag in ("<script", "<img", "<svg", "<a ", "<textarea"):
        assert tag not in html


def test_every_table_has_as_many_cells_in_each_row(full: list[Record]) -> None:
    tables: list[list[str]] = [[]]
    for line in markdown.written(build(full)).splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    counts = [{line.replace("\\|", "").count("|") for line in table} for table in tables if table]
    assert len(counts) == 6
    assert all(len(count) == 1 for count in counts)


def test_cells(full: list[Record]) -> None:
    lines = markdown.written(build(full)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    best = "**.640** \\[.630, .650\\]", "**.320** \\[.310, .330\\]"
    assert ["siglip-base", ".920§ \\[.910, .930\\]", *best] in cells
    trained = "**.960** ±.010 \\[.940, .980\\] (+.060 over untrained)"
    assert ["clip-b32 / radial-linear", trained, "–", "–"] in cells
    assert ["constant", "n/a", "n/a", "n/a"] in cells
    paper = "[Alper &amp; Averbuch-Elor, ECCV 2024](<https://arxiv.org/abs/2407.08521>)"
    assert ["MERU", "0.11", "0.11", "0.79", f"{paper} (a single note, uncertain)"] in cells


def test_long_names_are_cut(long_record: Record) -> None:
    assert len(markdown.written(build([long_record]))) < 6000
