"""JSON that is recognised: each line, and each file, carries a checksum of what was written.

What a stranger wrote is bounded before it is believed: its length, its depth, its numbers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hiereval import files
from hiereval.errors import HierevalError

log = logging.getLogger(__name__)

LONGEST_LINE = 1 << 24  # bytes of one JSON line that is believed
LONGEST_JSON = 1 << 26  # bytes of a JSON file that is believed
DEEPEST = 64  # levels of JSON that are believed
CHECKSUM = "checksum"
NOT_JSON = "this line is not JSON; delete it, or move the file away"
TORN = "the last line was cut short when a process ended; it is left out"
_SEAL = re.compile(rb',"checksum":"([0-9a-f]{16})"\}\s*$')


# --- files ---------------------------------------------------------------------------------------


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with a checksum of its values, whole. Raises OSError."""
    plain = json.loads(json.dumps(value))
    text = json.dumps({**plain, CHECKSUM: _checksum(plain)}, indent=1)
    files.write_whole(path, (text + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Return what `write_json` wrote. Raises HierevalError: what is wrong with the file."""
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_JSON + 1)
        if len(content) > LONGEST_JSON:
            raise ValueError(f"it must have at most {LONGEST_JSON:,} bytes")
        value = parsed(content)
        if not isinstance(value, dict) or value.pop(CHECKSUM, None) != _checksum(value):
            raise ValueError("a bit was flipped or a value edited")
    except OSError as error:
        raise HierevalError(f"The file '{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise HierevalError(f"The file '{path}' must be as it was written: {error}.") from error
    return value


def _checksum(value: Any) -> str:
    return _digest(json.dumps(value, sort_keys=True).encode()).decode()


# --- lines ---------------------------------------------------------------------------------------


def sealed(line: str) -> bytes:
    """Return a JSON object's line with a checksum of it as its last member, and a line break."""
    head = line.rstrip()[:-1].encode()
    return head + b',"checksum":"' + _digest(head) + b'"}\n'


def _digest(head: bytes) -> bytes:
    return hashlib.sha256(head).hexdigest()[:16].encode()


def unsealed(line: bytes) -> dict[str, Any]:
    """Return the object of a sealed line. Raises ValueError: what is wrong with the line."""
    try:
        value = parsed(line)
    except _UnbelievableError:
        raise
    except ValueError:
        raise ValueError(NOT_JSON) from None
    return _open_seal(line, value)


def _open_seal(line: bytes, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("the line must be a JSON object")
    found = _SEAL.search(line)
    if found is None:
        raise ValueError(f"{CHECKSUM}: the line must end with its checksum, as hiereval writes it")
    if _digest(line[: found.start()].lstrip()) != found[1]:
        raise ValueError(
            f"{CHECKSUM}: the line is not what was written: a bit was flipped or a value edited"
        )
    del value[CHECKSUM]
    return value


def parsed(text: bytes | str) -> Any:
    """Return the value of JSON of a believable depth and size. Raises ValueError."""
    try:
        value = json.loads(text, parse_int=_integer)
    except RecursionError:
        raise _UnbelievableError(f"JSON must be at most {DEEPEST} levels deep") from None
    if deeper(value):
        raise _UnbelievableError(f"JSON must be at most {DEEPEST} levels deep")
    if (b"\\u" if isinstance(text, bytes) else "\\u") in text:  # type: ignore[operator]
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _UnbelievableError("text must not hold half of a surrogate pair") from None
    return value


class _UnbelievableError(ValueError):
    """JSON that is well formed, and that nothing here writes."""


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise _UnbelievableError("whole numbers must fit into 64 bits")
    return int(digits)


def deeper(value: Any, levels: int = DEEPEST) -> bool:
    """Whether a JSON value has more than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(part, levels - 1) for part in inner)


def torn(line: bytes) -> bool:
    """Whether a file's last line was cut short while it was written: a part of a sealed line.

    >>> line = sealed('{"a": 1}')
    >>> torn(line[:20]), torn(line), torn(line[:-1]), torn(line[:-1] + b"x")
    (True, False, False, False)
    """
    return not line.endswith(b"\n") and re.search(_SEAL.pattern[:-4], line) is None


def head_of(line: bytes) -> bytes | None:
    """Return a sealed line's object, without its checksum; None where that is not as written."""
    found = _SEAL.search(line, len(line) - 64)  # nothing written here ends in many blanks
    if found is None or _digest(line[: found.start()].lstrip()) != found[1]:
        return None
    if line.strip() != line.strip(b" \t\r\n"):
        return None
    return line[: found.start()] + b"}"


def opened(path: Path, number: int, line: bytes) -> dict[str, Any] | None:
    """Return the object of one line of a file; None for a last line that was cut short.

    Raises HierevalError, naming file and line.
    """
    try:
        return unsealed(line)
    except ValueError as error:
        if str(error) == NOT_JSON and torn(line):
            log.warning("%s:%d: %s", path, number, TORN)
            return None
        raise HierevalError(f"{path}:{number}: {error}") from error


def json_lines(path: Path, *, seal: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield (number, value) of each line of a JSON Lines file that is not blank.

    A line that is not JSON, is too long or too deep, or, with `seal`, not as it was written,
    raises HierevalError with file and line; so does a file that cannot be read. A last line that
    a killed process left half written is left out, with a word, where lines are sealed.
    """
    import jsonlines

    own = _Lines(path)
    reader = jsonlines.Reader(own, loads=parsed)
    while True:
        try:
            value = reader.read()
            yield own.number, _open_seal(own.last, value) if seal else value
        except EOFError:
            return
        except jsonlines.InvalidLineError as error:
            if seal and torn(own.last):
                log.warning("%s:%d: %s", path, own.number, TORN)
                return
            raise HierevalError(f"{path}:{own.number}: {_not_json(error)}") from error
        except ValueError as error:
            raise HierevalError(f"{path}:{own.number}: {error}") from error


def _not_json(error: Exception) -> str:
    if isinstance(error.__cause__, _UnbelievableError):
        return str(error.__cause__)
    return NOT_JSON


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line) of a file's lines that are not blank.

    Raises HierevalError for a file that cannot be read, and a line of more than LONGEST_LINE.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise HierevalError(
                        f"{path}:{number}: the line must have at most {LONGEST_LINE:,} bytes"
                    )
                if line.strip():
                    yield number, line
    except OSError as error:
        raise HierevalError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from error


class _Lines:
    """A file's lines, the last one remembered."""

    def __init__(self, path: Path) -> None:
        self._rest, self.number, self.last = lines(path), 0, b""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> bytes:
        self.number, self.last = next(self._rest)
        return self.last
