"""Boards as text: one function for every file format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hiereval.leaderboard.album import Album
from hiereval.leaderboard.board import Board
from hiereval.leaderboard.standing import Paired
from hiereval.records import Record
from hiereval.verified import Evidence


def written(
    form: str, board: Board, records: Sequence[Record], paired: Paired | None = None
) -> str:
    """Return the board as table, md, html, csv, latex or json."""
    return "".join(parts(form, board, records, paired))


def parts(
    form: str,
    board: Board,
    records: Sequence[Record],
    paired: Paired | None = None,
    verified: Mapping[str, Evidence] | None = None,
    album: Album | None = None,
) -> Iterable[str]:
    """Return what `written` does, in pieces: a file of many records is never whole in memory.

    `paired` finds the draws that the page compares two rows by, `album` what it shows of single
    items; `verified` holds, by `record_id`, what numbers were computed again from. CSV and JSON
    hold every metric of every record, the others those of the board.
    """
    if form == "html":
        from hiereval.leaderboard import page

        return [page.written(board, paired, album)]
    if form == "csv":
        from hiereval.leaderboard import spreadsheet

        return spreadsheet.parts([r for r in records if r.limit is None], verified or {})
    if form == "md":
        from hiereval.leaderboard import markdown

        return [markdown.written(board)]
    if form == "latex":
        from hiereval.leaderboard import latex

        return [latex.written(board)]
    if form == "json":
        from hiereval.leaderboard import machine

        return machine.parts(board)
    from hiereval.leaderboard import terminal

    return [terminal.written(board)]
