"""The one way to files: written whole or not at all, read without destroying anything.

What is being written stands beside its place as `.<name>.<random>.part` and holds a lock that
the system gives back when the process dies, so leftovers of killed processes are told from files
that are still being written, without any clock. What cannot be understood is put aside under
another name; what cannot be read is left as it is.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from hiereval.errors import HierevalError

log = logging.getLogger(__name__)

PART = ".part"
DAMAGED = ".damaged"
LONGEST_NAME = 200  # bytes of a file's name; file systems end at 255, and names get endings
LONGEST_LINE = 1 << 24  # bytes of one JSON line that is believed
LONGEST_JSON = 1 << 26  # bytes of a JSON file that is believed
DEEPEST = 64  # levels of JSON that are believed
CHECKSUM = "checksum"
NOT_JSON = "this line is not JSON; delete it, or move the file away"
TORN = "the last line was cut short when a process ended; it is left out"
_SEAL = re.compile(rb',"checksum":"([0-9a-f]{16})"\}\s*$')


# --- names ---------------------------------------------------------------------------------------


def safe_name(text: str, longest: int = 100) -> str:
    """Return text as part of a file's name: letters, digits, `-._`, at most `longest` bytes.

    A name that had to be cut ends in a hash of the whole, so that two of them stay two.

    >>> safe_name("openai/clip: v1"), safe_name("..")
    ('openai-clip--v1', 'unnamed')
    """
    safe = "".join(c if c.isalnum() or c in "-._" else "-" for c in text).strip("-.") or "unnamed"
    if len(safe.encode()) <= longest:
        return safe
    tail = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe.encode()[: longest - 9].decode('utf-8', 'ignore')}-{tail}"


# --- writing -------------------------------------------------------------------------------------


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to that stands at `path` only when all is written and on the disk.

    The folder is made. After any failure the old file is as it was. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent, path.name)
    with _part(path, lambda part: os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)) as part:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file as `whole_file` does."""
    with whole_file(path) as file:
        file.writelines([content] if isinstance(content, bytes) else content)


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write into a new folder that then stands at `path`, whole and on the disk.

    `path` must not exist, or be an empty folder. Raises OSError, and whatever `fill` raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent, path.name)

    def make(part: Path) -> int:
        part.mkdir()
        return os.open(part, os.O_RDONLY)

    with _part(path, make) as part:
        fill(part)
        sync_below(part)
        os.replace(part, path)
    sync_folder(path.parent)


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Give a folder that stands at `path` when all is done; until then the next call goes on in it.

    Raises HierevalError where another process is at it, and OSError.
    """
    work = path.with_name(f".{_stem(path.name)}.unfinished")
    work.mkdir(parents=True, exist_ok=True)
    number = os.open(work, os.O_RDONLY)
    try:
        if not _lock(number, wait=False) or not _is(work, number):
            raise HierevalError(f"The output {str(path)!r} must be of one process; two write it.")
        clear_leftovers(work)
        try:
            yield work
        except BaseException:
            with suppress(OSError):
                work.rmdir()  # where nothing was done yet
            raise
        sync_below(work)
        os.replace(work, path)
        sync_folder(path.parent)
    finally:
        os.close(number)


def sync_below(folder: Path) -> None:
    """Bring every file below a folder, and the folders, to the disk."""
    for where, _, names in os.walk(folder):
        for name in names:
            with (Path(where) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(where))


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the file system can."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder that may be written but not read
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(number)


@contextmanager
def _part(path: Path, make: Callable[[Path], int]) -> Iterator[Path]:
    """Make what will become `path`, locked while it is written; gone if that fails."""
    while True:
        part = path.with_name(f".{_stem(path.name)}.{secrets.token_hex(6)}{PART}")
        number = make(part)
        if _lock(number, wait=True) and _is(part, number):
            break
        os.close(number)  # somebody took it for a leftover between the two lines above
    try:
        yield part
    finally:
        if _is(part, number):
            remove(part)
        os.close(number)


def clear_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left in a folder: of one file, or of all."""
    start = "." if name is None else f".{_stem(name)}."
    try:
        found = [
            e.path for e in os.scandir(folder) if _is_part(e.name) and e.name.startswith(start)
        ]
    except OSError:
        return
    for left in found:
        with suppress(OSError):
            number = os.open(left, os.O_RDONLY)
            try:
                if _lock(number, wait=False):
                    remove(Path(left))
            finally:
                os.close(number)


def _is_part(name: str) -> bool:
    return re.fullmatch(rf"\..+\.[0-9a-f]{{12}}{re.escape(PART)}", name) is not None


def _stem(name: str) -> str:
    """Return a name short enough to get an ending."""
    fits = len(os.fsencode(name)) <= LONGEST_NAME
    return name if fits else hashlib.sha256(os.fsencode(name)).hexdigest()


def _lock(number: int, wait: bool) -> bool:
    """Take the lock of an open file or folder; False where somebody has it."""
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nothing on it is taken for a leftover
        return wait
    return True


def _is(path: Path, number: int) -> bool:
    """Whether a path is still the open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(number))
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove a file or a folder that is hiereval's own."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_aside(path: Path) -> Path:
    """Rename what is damaged, beside itself, and return its new name; nothing is deleted."""
    aside = path.with_name(f"{_stem(path.name)}{DAMAGED}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{_stem(path.name)}.{number}{DAMAGED}")
    os.rename(path, aside)
    return aside


# --- JSON ---------------------------------------------------------------------------------------


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with a checksum of its values, whole. Raises OSError."""
    plain = json.loads(json.dumps(value))
    text = json.dumps({**plain, CHECKSUM: _checksum(plain)}, indent=1)
    write_whole(path, (text + "\n").encode())


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


# --- JSON lines ----------------------------------------------------------------------------------


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
    if _deeper(value, DEEPEST):
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


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(part, levels - 1) for part in inner)


def torn(line: bytes) -> bool:
    """Whether a file's last line was cut short while it was written: a part of a sealed line.

    >>> line = sealed('{"a": 1}')
    >>> torn(line[:20]), torn(line), torn(line[:-1]), torn(line[:-1] + b"x")
    (True, False, False, False)
    """
    return not line.endswith(b"\n") and re.search(_SEAL.pattern[:-4], line) is None


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
