"""Checked downloads over HTTP: resumed where they stopped, renamed once their hash is right."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hiereval.errors import HierevalError, shorten

if TYPE_CHECKING:
    from requests import Response, Session

ATTEMPTS = 4  # per file; each goes on where the last one stopped
GIVE_UP = 10  # problems, after which no other file is begun
PAUSE = 0.5  # seconds before the second attempt, doubled before each further one
TIMEOUT = (10.0, 30.0)  # seconds to connect, and without a byte
CHUNK = 1 << 16


@dataclass(frozen=True)
class Remote:
    """A file to fetch: `digest` is `sha256:<hex>`, or `git-blob:<hex>` (SHA-1 of git's object),
    or None where none is published: then its size alone tells a whole file."""

    url: str
    path: Path
    digest: str | None
    size: int | None = None  # bytes


class _FetchError(Exception):
    """Why a file could not be fetched, where another attempt would not help."""


class _CutShortError(Exception):
    """Why an attempt ended early, where another one may help."""


class _UnreachableError(_CutShortError):
    """No connection: the same for every file."""


def digest(path: Path, like: str) -> str:
    """Return a file's digest, of the kind that `like` begins with."""
    kind = like.partition(":")[0]
    value = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        if kind == "git-blob":
            value.update(b"blob %d\0" % os.fstat(file.fileno()).st_size)
        while block := file.read(1 << 20):
            value.update(block)
    return f"{kind}:{value.hexdigest()}"


def fetch(files: Sequence[Remote], what: str, *, workers: int = 8) -> int:
    """Fetch the files that are not there, several at once; return how many were fetched.

    A file takes its name when its digest is right; until then it is `<name>.part`, which the
    next call goes on with, but for a file without a digest, which may be another by then.
    A file that is there and differs is reported, never replaced.
    Raises one HierevalError that counts what failed; what is complete stays.
    """
    from filelock import FileLock

    problems = [
        f"  {file.path} differs from the published file (expected {file.digest}, got {got}): "
        "delete it and run the command again"
        for file in files
        if file.digest is not None
        and file.path.is_file()
        and (got := digest(file.path, file.digest)) != file.digest
    ]
    wanted = [file for file in files if not file.path.is_file()]
    if wanted:
        folder = Path(os.path.commonpath([file.path.parent for file in wanted]))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".download.lock"):
                problems += _fetch_all(wanted, what, workers)
        except OSError as error:
            raise HierevalError(
                f"The data folder {str(folder)!r} must be writable: {error.strerror}. "
                "Name another one with --data-dir or HIEREVAL_DATA."
            ) from error
    if problems:
        missing = sum(not file.path.is_file() for file in wanted)
        raise HierevalError(
            f"{what} is not complete: {missing:,} of {len(files):,} files missing. What was "
            f"fetched is kept, and the same command goes on from there.\n{shorten(problems)}"
        )
    return len(wanted)


def _fetch_all(files: Sequence[Remote], what: str, workers: int) -> list[str]:
    """Fetch files in parallel and return the problems, each once."""
    import requests
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    problems: dict[str, None] = {}
    stop = threading.Event()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
    with requests.Session() as session, bar as progress, ThreadPoolExecutor(workers) as pool:
        session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=workers))
        task = progress.add_task(f"Downloading {what}", total=len(files))

        def one(file: Remote) -> None:
            try:
                _fetch(file, session, stop)
                progress.advance(task)
            except _UnreachableError as error:
                problems[f"  {error}"] = None
                stop.set()
            except (_FetchError, _CutShortError) as error:
                problems[f"  {file.path.name}: {error}"] = None
                if len(problems) >= GIVE_UP:
                    stop.set()

        try:
            list(pool.map(one, files))
        except BaseException:  # Ctrl-C, a full disk: let the other threads end too
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return list(problems)


def _fetch(file: Remote, session: Session, stop: threading.Event) -> None:
    """Fetch one file, or return early once `stop` is set."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    part = file.path.with_name(f"{file.path.name}.part")
    if file.digest is None:  # nothing would tell that what comes is of another file
        part.unlink(missing_ok=True)
    failure: Exception | None = None
    for attempt in range(ATTEMPTS):
        if stop.wait(PAUSE * 2 ** (attempt - 1) if attempt else 0) or file.path.is_file():
            return
        resumed = part.exists()
        try:
            _receive(file, part, session, stop)
        except _CutShortError as error:
            failure = error
            continue
        if stop.is_set():
            return
        wrong = _wrong(file, part)
        if wrong is None:
            os.replace(part, file.path)
            return
        part.unlink()
        failure = _FetchError(f"wrong content at {file.url}: {wrong}")
        if not resumed:  # else the fault may lie in the part that was here before
            break
    assert failure is not None
    raise failure


def _wrong(file: Remote, part: Path) -> str | None:
    """Return what a file that has come should be and is; None where it is that."""
    if file.digest is not None:
        got = digest(part, file.digest)
        return None if got == file.digest else f"expected {file.digest}, got {got}"
    size = part.stat().st_size
    if file.size is None or size == file.size:
        return None
    return f"expected {file.size:,} bytes, got {size:,}"


def _receive(file: Remote, part: Path, session: Session, stop: threading.Event) -> None:
    """Add what is missing to the partial file; raise _CutShortError or _FetchError."""
    import requests
    import urllib3

    start = part.stat().st_size if part.exists() else 0
    if file.size is not None and start >= file.size:
        return  # all is here; its digest decides
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        with session.get(file.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # the partial file cannot be gone on with
                part.unlink()
                raise _CutShortError(f"no bytes after the first {start:,} at {file.url}")
            _check_status(response)
            goes_on = response.status_code == 206
            if goes_on and not response.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            ):
                part.unlink()
                raise _CutShortError(f"other bytes than those asked for at {file.url}")
            with part.open("ab" if goes_on else "wb") as out:
                # read1 returns what has come; iter_content would drop a block that is cut short
                while not stop.is_set() and (block := response.raw.read1(CHUNK)):
                    out.write(block)
    except requests.ConnectionError as error:
        host = urlsplit(file.url).netloc
        raise _UnreachableError(f"{host} cannot be reached: {_innermost(error)}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _CutShortError(f"cut short at {file.url}: {_innermost(error)}") from error
    if file.size is not None and part.stat().st_size < file.size and not stop.is_set():
        raise _CutShortError(
            f"cut short at {file.url}: {part.stat().st_size:,} of {file.size:,} bytes"
        )


def _check_status(response: Response) -> None:
    status = f"{response.status_code} {response.reason} at {response.url}"
    if response.status_code == 429 or response.status_code >= 500:
        raise _CutShortError(status)
    if response.status_code not in (200, 206):
        raise _FetchError(status)


def _innermost(error: BaseException) -> str:
    """Return what the operating system said, below the layers that wrap it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return (isinstance(error, OSError) and error.strerror) or str(error)
