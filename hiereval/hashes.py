"""SHA-256 of files, each read once: remembered by what a change of its content cannot keep.

A file's size and modification time can be set by anybody (`cp -p`, rsync, image layers), its
change time cannot. So a hash is remembered under device, inode, size, modification and change
time; and never one of a file that changed a moment ago, which could change again within one tick
of the clock. What cannot be remembered is read again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hiereval.errors import HierevalError

FILE = "sha256.log"  # in the folder of what is remembered
RECENT = 3.0  # seconds for which a changed file is read again: over any file system's clock tick
LONGEST = 1 << 26  # bytes of the log; beyond, it starts anew
_HEX = frozenset(b"0123456789abcdef")


class Memory:
    """Pairs of hashes in an append-only log; a line that is damaged is a line that is not there.

    Threads and processes may share it: a line is one append. Without a folder, or where it cannot
    be written, it lasts as long as the process.
    """

    def __init__(self, folder: Path | None) -> None:
        self.file = None if folder is None else folder / FILE
        self.lock = threading.Lock()
        self.known: dict[bytes, str] = {}
        try:
            lines = b"" if self.file is None else self.file.read_bytes()
        except OSError:
            lines = b""
        for line in lines[:LONGEST].split(b"\n"):
            if _whole(line):
                self.known[line[:64]] = line[65:129].decode()

    def get(self, key: str) -> str | None:
        """Return what is remembered under a hash."""
        return self.known.get(key.encode())

    def put(self, key: str, value: str) -> None:
        """Remember a hash under another."""
        with self.lock:
            self.known[key.encode()] = value
            if self.file is not None:
                self._append(f"{key} {value}".encode())

    def _append(self, pair: bytes) -> None:
        assert self.file is not None
        line = b"\n" + pair + b" " + _check(pair) + b"\n"  # whatever a killed process left before
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            if self.file.exists() and self.file.stat().st_size > LONGEST:
                self.file.unlink()
            handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        except OSError:
            self.file = None  # only slower the next time


@cache
def memory(folder: Path | None) -> Memory:
    """Return what is remembered in a folder, read once a process."""
    return Memory(folder)


def of_file(file: Path, folder: Path | None = None) -> str:
    """Return the SHA-256 of a file's content, remembered in a folder.

    Raises OSError where the file cannot be read, and HierevalError for what is no regular file.
    """
    if not stat.S_ISREG(file.stat().st_mode):  # a pipe would never end
        raise HierevalError(f"The file {str(file)!r} must be a regular file.")
    with file.open("rb") as stream:
        before = state(stream.fileno())
        known = memory(folder).get(before)
        if known is not None:
            return known
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if settled(stream.fileno(), before):
            memory(folder).put(before, digest)
    return digest


def of_all(parts: Iterable[object]) -> str:
    """Return the SHA-256 of the sorted forms of some values: of a set of them, not of an order."""
    return hashlib.sha256("\n".join(sorted(map(ascii, parts))).encode()).hexdigest()


def settled(descriptor: int, before: str) -> bool:
    """Whether what was read of an open file since it was in a state may be remembered under it."""
    changed = os.fstat(descriptor).st_ctime_ns / 1e9
    return state(descriptor) == before and time.time() - changed > RECENT


def state(descriptor: int) -> str:
    """Return a hash of all that tells this content of an open file from any other it has had."""
    s = os.fstat(descriptor)
    state = f"{s.st_dev} {s.st_ino} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}"
    return hashlib.sha256(state.encode()).hexdigest()


def _check(pair: bytes) -> bytes:
    return hashlib.sha256(pair).hexdigest()[:16].encode()


def _whole(line: bytes) -> bool:
    """Whether a line is two hashes and the check of both."""
    return (
        len(line) == 64 + 1 + 64 + 1 + 16
        and _HEX.issuperset(line.replace(b" ", b""))
        and line[130:] == _check(line[:129])
    )
