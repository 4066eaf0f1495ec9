"""The board as one HTML file that asks nothing of the network: styles, script and data inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from hiereval import __version__
from hiereval.leaderboard import plot, spreadsheet
from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.notes import BARS, MARKS, is_words
from hiereval.leaderboard.wording import arrow, clean, number, public, signed, span
from hiereval.records import Record


def written(board: Board, records: Sequence[Record]) -> str:
    """Return the page. Every string from a record is cleaned, then escaped by the template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("hiereval.leaderboard", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "public": public,
        "number": number,
        "clean": clean,
        "arrow": arrow,
        "signed": signed,
    }
    environment.globals |= {"span": span}
    style, script = (_asset(name) for name in ("board.css", "board.js"))
    table = spreadsheet.written(record for record in records if record.limit is None)
    return environment.get_template("board.html").render(
        board=board,
        sections=[_drawn(section) for section in board.sections],
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        csv=base64.b64encode(table.encode()).decode(),
        newest=max((row.date for s in board.sections for row in s.rows), default=""),
        version=__version__,
        marks=MARKS,
        bars=BARS,
        plot=plot,
        words_for=words_for,
    )


def _asset(name: str) -> str:
    return (files("hiereval.leaderboard") / "templates" / name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """Allow this page's own style and script, by hash, and nothing else."""
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    ]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _drawn(section: Section) -> dict[str, object]:
    words = next((row for row in section.controls if is_words(row)), None)
    scales = []
    for index in range(len(section.columns)):
        cell = words.cells[index] if words else None
        scales.append(
            plot.scale([row.cells[index] for row in section.rows], cell.value if cell else None)
        )
    return {
        "section": section,
        "panels": plot.panels(section.measured),
        "control_panels": plot.panels(section.controls),
        "scales": scales,
        "metrics": list(dict.fromkeys(m for f in section.reported for m in f.metrics)),
    }


def words_for(cell: Cell | None) -> str:
    """Say what an empty cell means."""
    if cell is None:
        return "not run"
    return {"undefined": "n/a", "skipped": "skipped", "failed": "failed"}.get(cell.state, "")
