"""Texts from outside (names, captions, error messages of libraries) as a terminal may get them.

A terminal obeys what it is sent: control sequences move its cursor, set its title, fill its
clipboard, and characters that turn the direction of writing show another text than is there.
"""

from __future__ import annotations

import logging
import re
import unicodedata

LONGEST = 120  # characters of any one string on a board
_MARKS_IN_A_ROW = 2
_MARKS = re.compile("[\u0300-\U0010ffff]")  # no character before them is a combining one


def clean(text: object, longest: int = LONGEST) -> str:
    """Return one printable line: no control, direction-changing or invisible characters.

    Line breaks and tabs become spaces, stacks of combining marks are cut to two, and what is
    longer than `longest` ends in "…".
    """
    whole = str(text)
    if len(whole) <= longest and _is_plain(whole):  # nearly every text
        return whole
    line = " ".join(_shown(whole[: 4 * longest]).split())
    cut = len(line) > longest or len(whole) > 4 * longest
    return line[: longest - 1].rstrip() + "…" if cut else line


def message(text: object) -> str:
    """Return a message, of any length, whose lines are printable.

    >>> message("a\\x1b[2Jb\\n  c")
    'a[2Jb\\n  c'
    """
    return "\n".join(_shown(line) for line in str(text).split("\n"))


class Printable(logging.Formatter):
    """Log messages and their tracebacks as a terminal may get them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message of a record, of any library."""
        return message(super().format(record))


def _is_plain(text: str) -> bool:
    """Whether it is one line of ASCII with single spaces between its words."""
    printable = text.isascii() and text.isprintable()
    return printable and "  " not in text and text.strip(" ") == text


def _shown(text: str) -> str:
    if text.isprintable() and _MARKS.search(text) is None:
        return text
    shown: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MARKS_IN_A_ROW:
            continue
        if category in ("Zl", "Zp") or character in "\t\n\r":
            shown.append(" ")
        elif category not in ("Cc", "Cf", "Cs", "Cn"):
            shown.append(character)
    return "".join(shown)
