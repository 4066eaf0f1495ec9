"""Text files from users: UTF-8, or an error that names the line."""

from __future__ import annotations

from pathlib import Path

from hiereval.errors import HierevalError


def read_text(path: Path) -> str:
    """Return a file's text without a byte order mark; what cannot be read raises HierevalError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HierevalError(f"The file '{path}' cannot be read: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise HierevalError(f"{path}:{line}: the line must be UTF-8.") from error
