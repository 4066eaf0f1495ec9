"""Boards as text: one function for every file format."""

from __future__ import annotations

from collections.abc import Sequence

from hiereval.leaderboard.board import Board
from hiereval.leaderboard.standing import Paired
from hiereval.records import Record


def written(
    form: str, board: Board, records: Sequence[Record], paired: Paired | None = None
) -> str:
    """Return the board as table, md, html, csv, latex or json.

    `paired` finds the draws that the page compares two rows by. CSV and JSON hold every metric of
    every record, the others those of the board.
    """
    if form == "html":
        from hiereval.leaderboard import page

        return page.written(board, paired)
    if form == "csv":
        from hiereval.leaderboard import spreadsheet

        return spreadsheet.written(record for record in records if record.limit is None)
    if form == "md":
        from hiereval.leaderboard import markdown

        return markdown.written(board)
    if form == "latex":
        from hiereval.leaderboard import latex

        return latex.written(board)
    if form == "json":
        from hiereval.leaderboard import machine

        return machine.written(board)
    from hiereval.leaderboard import terminal

    return terminal.written(board)
