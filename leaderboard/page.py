"""The board as one HTML file that asks nothing of the network: styles, script and data inside.

The data are the columns of `packed`; the script draws only the rows that are in sight, so that
ten thousand models are as quick to sort as ten.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

from hiereval import __version__
from hiereval.leaderboard.album import Album
from hiereval.leaderboard.board import Board
from hiereval.leaderboard.marked import MADE
from hiereval.leaderboard.packed import packed
from hiereval.leaderboard.standing import Paired

TITLE = "hiereval board"
LEAD = "How well an image-text space knows what is general and what is specific."
SCRIPTS = ("board.js", "pictures.js", "map.js", "album.js", "sheet.js", "start.js")
_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}  # nothing ends the element early


def written(board: Board, paired: Paired | None = None, album: Album | None = None) -> str:
    """Return the page. A board built with `every_metric` lets readers choose among all columns.

    `paired` finds the draws that two rows are compared by, `album` what is shown of single items:
    pictures only where it has places to find them. Every string from a record is cleaned,
    escaped where it stands, and set as text alone.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("hiereval.leaderboard", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _asset("board.css"), "\n".join(map(_asset, SCRIPTS))
    return environment.get_template("board.html").render(
        board=board,
        sections=board.sections,
        legend=board.legend,
        title=board.title or TITLE,
        lead=board.lead or LEAD,
        style=Markup(style),
        script=Markup(script if board.sections else ""),
        data=Markup(in_script(packed(board, paired, album))),
        policy=_policy(style, script if board.sections else ""),
        newest=max((row.date for s in board.sections for row in s.rows), default=""),
        made=MADE,
        version=__version__,
    )


def in_script(value: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character, escape in _IN_SCRIPT.items():
        text = text.replace(character, escape)
    return text


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
