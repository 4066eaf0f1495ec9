"""Files that are ours to write: what a board made, or the part of a file between two markers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hiereval import files
from hiereval.errors import HierevalError
from hiereval.findings import COVERS

BEGIN, END = "<!-- hiereval:begin -->", "<!-- hiereval:end -->"
MADE = "Made by hiereval leaderboard"  # stands in every board that has comments
_BEGINNINGS = {"csv": "model,adapter,", "json": '{\n "'}  # of the others
_LOOKED_AT = 1 << 16  # characters at either end


def headed(form: str, parts: Iterable[str]) -> Iterator[str]:
    """Yield the pieces of a file of its own, first the mark that lets it be written again."""
    if form == "md":
        yield f"<!-- {MADE} -->\n"
    if form == "latex":
        yield f"% {MADE}\n"
    yield from parts


def check_ours(path: Path, form: str) -> None:
    """Raise HierevalError where a file stands that no board was written to."""
    if not path.is_file():
        return
    there = _text(path)
    if there.strip() and not _is_ours(there, form):
        raise HierevalError(
            f"The file {str(path)!r} must be one that 'hiereval leaderboard' wrote: it holds "
            f"something else. --update writes between the lines {BEGIN} and {END} of a file."
        )


def _is_ours(there: str, form: str) -> bool:
    ends = there[:_LOOKED_AT] + there[-_LOOKED_AT:]
    if form in _BEGINNINGS:
        return there.startswith(_BEGINNINGS[form])
    if form == "table":
        return COVERS in " ".join(ends.split())
    return MADE in ends


def updated(path: Path, text: str) -> str:
    """Return a file with `text` between its markers; raises HierevalError unless it has one pair.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "README.md")
    >>> _ = file.write_text(f"a\\n{BEGIN}\\nold\\n{END}\\nb\\n")
    >>> updated(file, "new\\n").splitlines()
    ['a', '<!-- hiereval:begin -->', '', 'new', '', '<!-- hiereval:end -->', 'b']
    """
    if not path.is_file():
        raise HierevalError(f"The file {str(path)!r} must exist to be updated: --out makes one.")
    there = _text(path)
    begin, end = there.find(BEGIN), there.find(END)
    if there.count(BEGIN) != 1 or there.count(END) != 1 or begin > end:
        raise HierevalError(
            f"The file {str(path)!r} must have the line {BEGIN} once, and after it {END}: "
            "the board is written between them."
        )
    return f"{there[: begin + len(BEGIN)]}\n\n{text.strip()}\n\n{there[end:]}"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        raise HierevalError(f"The file {str(path)!r} must be text that can be read.") from error


def write(path: Path, text: str | Iterable[str]) -> None:
    """Write a text, or its parts, as a whole file, making its folder; a failure is one line."""
    parts = [text] if isinstance(text, str) else text
    with failing_in_one_line(path):
        files.write_whole(path, (part.encode() for part in parts))


@contextmanager
def failing_in_one_line(path: Path) -> Iterator[None]:
    """Turn what the file system says into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise HierevalError(
            f"The file {str(path)!r} cannot be written: {error.strerror}."
        ) from error
