"""Records written to files: appended, flushed and synced as soon as they are known.

The half of a line that a killed run left is told from a bad one, and mended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from filelock import FileLock

from hiereval import files, seals
from hiereval.errors import HierevalError
from hiereval.reading import read_all
from hiereval.records import Record, line


def check_writable(path: Path) -> None:
    """Raise now, before anything is computed, if records could not be appended later."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise HierevalError(
            f"The output folder {str(path.parent)!r} must be writable: {error}. "
            "Another can be given with --output-path."
        ) from error


def append(path: Path, record: Record, *, since: int | None = None) -> Record:
    """Append one line and sync it to disk; on any failure the file is as it was before.

    With `since` (a number of bytes) a record of the same thing that another run has appended
    after them, and that did not fail, stays the only one, and is returned.
    """
    with _alone(path), path.open("a+b", buffering=0) as file:
        _mend(file, path)
        there = None if since is None else _appended(file, since, record.record_id)
        if there is None:
            _append(file, line(record))
    return there or record


def replace(path: Path, record: Record) -> int:
    """Put a record in the place of what the file holds of the same thing, whole or not at all.

    Returns how many bytes stand before it.
    """
    with _alone(path), path.open("a+b", buffering=0) as file:
        _mend(file, path)
        file.seek(0)
        kept = [one for one in file.read().splitlines(True) if not _is_of(one, record.record_id)]
        files.write_whole(path, [*kept, line(record)])
    return sum(map(len, kept))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the file's lock; what goes wrong is one line that names the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path = path.resolve()  # of one file by two names, one lock
        with FileLock(path.with_name(f".{files.safe_name(path.name)}.lock")):
            yield
    except OSError as error:
        raise HierevalError(f"The results file {str(path)!r} cannot be written: {error}") from error


def _append(file: FileIO, content: bytes) -> None:
    size = file.seek(0, os.SEEK_END)
    try:
        if file.write(content) != len(content):
            raise OSError(f"only part of the {len(content):,} bytes could be written")
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), size)
        raise


def _mend(file: FileIO, path: Path) -> None:
    """Make the file end with a line break; the half of a record goes into `<name>.torn`."""
    start = _last_line(file)
    file.seek(start)
    last = file.read()
    if not last or last.endswith(b"\n"):
        return
    if not seals.torn(last):
        _append(file, b"\n")
        return
    with path.with_name(f"{path.name}.torn").open("ab", buffering=0) as aside:
        _append(aside, last + b"\n")
    os.ftruncate(file.fileno(), start)


def _last_line(file: FileIO) -> int:
    """Return where the last line begins that has no line break at its end; else the file's size."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _appended(file: FileIO, since: int, record_id: str) -> Record | None:
    file.seek(since)
    for one in file.read().splitlines():
        record = _is_of(one, record_id)
        if record is not None and record.status != "failed":
            return record
    return None


def _is_of(text: bytes, record_id: str) -> Record | None:
    """Return the record of a line if it is of this thing; a bad line is for `read` to name."""
    if record_id.encode() in text:
        with suppress(ValueError):
            record = Record.model_validate(seals.unsealed(text))
            return record if record.record_id == record_id else None
    return None


class ResultsFile:
    """A results file under way: what it held when it was opened, and what is appended since.

    Several processes may hold one file: what another has measured meanwhile is not added again.
    """

    def __init__(self, path: Path) -> None:
        check_writable(path)
        self.path = path
        self._seen = 0
        self.there: dict[str, Record] = {}
        if path.exists():
            with path.open("rb", buffering=0) as file:
                self._seen = _last_line(file)
            self.there = {record.record_id: record for record in read_all([path])}

    def append(self, record: Record) -> Record:
        """Append a record and return it, or the one that another run has appended meanwhile.

        What the file held when it was opened was asked for again (--overwrite always): numbers
        take the place of numbers, so that a file never holds two of one thing.
        """
        old = self.there.get(record.record_id)
        if old is None or old.status != "ok" or record.status != "ok":
            return append(self.path, record, since=self._seen)
        self._seen = replace(self.path, record)
        return record
