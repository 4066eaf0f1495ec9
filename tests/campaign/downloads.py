"""Downloads that are killed: what stands under its name is what was to be fetched."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from pathlib import Path

from support.loopback import Loopback

from campaign.kills import IN_A_ROW, Kills
from campaign.scenes import fresh, leftovers
from hiereval.download import Remote, fetch

FILES = 12


def kill(n: int, seed: int, base: Path) -> Kills:
    """Kill downloads of a few files n times, in rounds that end with one to the end."""
    numbers = random.Random(seed)
    content = {f"/{i}.jpg": numbers.randbytes(200_000) for i in range(FILES)}
    killed = rounds = 0
    problems: list[str] = []
    with Loopback(content) as server:
        started = time.monotonic()
        assert _fetch(_remote(server, fresh(base / "undisturbed"), content), None) == 0
        usual = time.monotonic() - started
        while killed < n:
            folder = fresh(base / "killed")
            files = _remote(server, folder, content)
            for _ in range(min(IN_A_ROW, n - killed)):
                status = _fetch(files, numbers.uniform(0.0, usual))
                killed += status == -signal.SIGKILL
                problems += _wrong(folder, content)
                if status != -signal.SIGKILL:
                    break
            rounds += 1
            if _fetch(files, None) != 0:
                problems.append("the last download failed")
            there = {path.name for path in folder.glob("*.jpg")}
            if len(there) != FILES or leftovers(folder):
                problems.append(f"at the end: {len(there)} files, {leftovers(folder)}")
            problems += _wrong(folder, content)
    return Kills(killed, rounds, problems)


def _remote(server: Loopback, folder: Path, content: dict[str, bytes]) -> list[Remote]:
    return [
        Remote(
            f"{server.url}{name}",
            folder / name[1:],
            f"sha256:{hashlib.sha256(body).hexdigest()}",
            len(body),
        )
        for name, body in content.items()
    ]


def _fetch(files: list[Remote], after: float | None) -> int:
    """Download in a child, killed after some seconds; return how it ended."""
    if (child := os.fork()) == 0:
        try:
            fetch(files, "Files", workers=4)
            os._exit(0)
        finally:
            os._exit(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _wrong(folder: Path, content: dict[str, bytes]) -> list[str]:
    return [
        f"{path.name} is not what was to be fetched"
        for path in folder.glob("*.jpg")
        if path.read_bytes() != content[f"/{path.name}"]
    ]
