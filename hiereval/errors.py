"""Errors that a user can act on: one line each, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hiereval.printable import message


class HierevalError(Exception):
    """A problem with what was given, in one line that says what to do.

    What came from outside and stands in the message is made printable: no file, name or library
    can send a terminal anything else.
    """

    exit_code = 2

    def __init__(self, text: object = "") -> None:
        super().__init__(message(text))


class Skipped(HierevalError):
    """A task that cannot run here for a reason that belongs in the record."""


def nearest(given: str, valid: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest valid spelling, or ""."""
    folded = {name.lower(): name for name in valid}
    close = difflib.get_close_matches(given.lower(), folded, n=1, cutoff=0.6)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def shorten(problems: list[str], shown: int = 10) -> str:
    """Join problems, one a line, counting those beyond the first `shown`."""
    more = len(problems) - shown
    return "\n".join(problems[:shown] + ([f"... and {more:,} more"] if more > 0 else []))
