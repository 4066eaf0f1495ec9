"""The command line in children of this process: they start at once, for everything is imported."""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "fcntl.flock"}


def prepare(arguments: list[str], scratch: Path) -> None:
    """Import what a command imports, as a child tells: all later children find it there.

    On one thread, and without running a network: a fork keeps no other thread.
    """
    import torch

    torch.set_num_threads(1)
    ended = call(arguments, scratch)
    assert ended.code == 0, ended.said
    for name in (scratch / "modules").read_text().split():
        if name not in sys.modules:
            with suppress(Exception):  # what cannot be imported alone
                importlib.import_module(name)


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int  # exit code, or minus the signal
    seconds: float
    events: int  # changes of the file system it had come to
    said: str  # standard output and error


def call(
    arguments: list[str], scratch: Path, *, after: float | None = None, before_event: int = 0
) -> Ended:
    """Run `hiereval ARGUMENTS`, killed after some seconds, or before its n-th change of files."""
    child = start(arguments, scratch, before_event)
    started = time.monotonic()
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    events = scratch / f"events-{child}"
    said = scratch / f"said-{child}"
    ended = Ended(
        code=os.waitstatus_to_exitcode(status),
        seconds=time.monotonic() - started,
        events=events.stat().st_size if events.exists() else 0,
        said=said.read_text("utf-8", "replace"),
    )
    events.unlink(missing_ok=True)
    said.unlink()
    return ended


def start(arguments: list[str], scratch: Path, before_event: int = 0) -> int:
    """Start `hiereval ARGUMENTS` in a child and return its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork while a server thread runs
        child = os.fork()
    if child:
        (scratch / f"said-{child}").touch()
        return child
    code = 70
    try:
        said = os.open(scratch / f"said-{os.getpid()}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        events = os.open(scratch / f"events-{os.getpid()}", os.O_CREAT | os.O_WRONLY)
        sys.stdout = os.fdopen(1, "w", closefd=False)  # pytest's would be written twice
        sys.stderr = os.fdopen(2, "w", closefd=False)
        _count(events, before_event)
        from hiereval.cli import main

        main(arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        (scratch / "modules").write_text("\n".join(sys.modules))
        os._exit(code)
    return child


def _count(events: int, before_event: int) -> None:
    """Note each change of the file system before it is made, and die before the n-th."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in EVENTS or (event == "open" and _writes(arguments)):
            count += 1
            if count == before_event:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(events, b".")

    sys.addaudithook(hook)


def _writes(arguments: tuple[object, ...]) -> bool:
    path, _, flags = arguments
    if isinstance(path, int) or str(path).startswith(("/proc", "/dev")):
        return False
    return bool(isinstance(flags, int) and flags & WRITES)


def moments(usual: Ended, random_numbers: random.Random) -> dict[str, float | int]:
    """Return when to kill the next one: in time, or before a change of the file system."""
    if random_numbers.random() < 0.5 and usual.events:
        return {"before_event": random_numbers.randint(1, usual.events)}
    return {"after": random_numbers.uniform(0.0, usual.seconds)}
