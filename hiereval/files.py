"""The one way to files: written whole or not at all, read without destroying anything.

What is being written stands beside its place as `.<name>.<random>.part` and holds a lock that
the system gives back when the process dies, so leftovers of killed processes are told from files
that are still being written, without any clock. What cannot be understood is put aside under
another name; what cannot be read is left as it is.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from hiereval.errors import HierevalError

PART = ".part"
DAMAGED = ".damaged"
LONGEST_NAME = 200  # bytes of a file's name; file systems end at 255, and names get endings


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

    The folder is made. Where a link stands, what it leads to is written; a file that is replaced
    keeps its permissions. After any failure the old file is as it was. Raises OSError.
    """
    path = _real(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent, path.name)
    with _part(path, lambda part: os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)) as part:
        with part.open("wb") as file:
            yield file
            file.flush()
            with suppress(OSError):  # no old file, or a file system without permissions
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            os.fsync(file.fileno())
        os.replace(part, path)
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file as `whole_file` does."""
    with whole_file(path) as file:
        file.writelines([content] if isinstance(content, bytes) else content)


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write into a new folder that then stands at `path`, whole and on the disk.

    Raises HierevalError where it cannot (`check_vacant`), OSError, and whatever `fill` raises.
    """
    check_vacant(path)
    path = _real(path)
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

    Raises HierevalError where `path` is not vacant or another process is at it, and OSError.
    """
    given, path = path, _real(path)
    work = path.with_name(f".{_stem(path.name)}.unfinished")
    work.mkdir(parents=True, exist_ok=True)
    number = os.open(work, os.O_RDONLY)
    try:
        if not _lock(number, wait=False) or not _is(work, number):
            raise HierevalError(f"The output {str(given)!r} must be of one process; two write it.")
        clear_leftovers(work)
        try:
            check_vacant(given)  # another process may have ended since the caller looked
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


def check_vacant(path: Path) -> None:
    """Raise HierevalError unless a new folder can come to stand at `path`.

    Nothing is there, or an empty folder that can be replaced by another.
    """
    real = _real(path)
    if real.exists() and not (real.is_dir() and not any(real.iterdir())):
        raise HierevalError(f"The output folder {str(path)!r} must be new or empty.")
    if real.is_dir() and (real.is_mount() or real.samefile(os.curdir)):
        raise HierevalError(
            f"The output folder {str(path)!r} must be neither the working folder nor where a disk "
            "is mounted; name one below it."
        )


def _real(path: Path) -> Path:
    """Return where a path leads: what is renamed onto a link would stand in the link's place."""
    return Path(os.path.realpath(path))


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
