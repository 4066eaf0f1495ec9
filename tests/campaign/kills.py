"""Commands that are killed, again and again, and must end as if nobody had killed them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from campaign import children
from campaign.scenes import Scene, fresh

IN_A_ROW = 5  # kills before the command is let finish


@dataclass(frozen=True)
class Kills:
    """What came of it."""

    killed: int  # that did not end before
    rounds: int  # that were let finish, and compared with an undisturbed one
    problems: list[str]


def kill(scene: Scene, n: int, seed: int, base: Path) -> Kills:
    """Kill a command n times, in rounds that end with a run to the end."""
    numbers = random.Random(seed)
    scratch = fresh(base / "scratch")
    usual, expected = _undisturbed(scene, base / "undisturbed", scratch)
    killed = rounds = 0
    problems: list[str] = []
    while killed < n:
        folder = fresh(base / "killed")
        scene.prepare(folder)
        for _ in range(min(IN_A_ROW, n - killed)):
            when = children.moments(usual, numbers)
            ended = children.call(scene.arguments(folder), scratch, **when)  # type: ignore[arg-type]
            killed += ended.code == -9
            problems += _problems(scene.check, folder, f"{scene.name} killed {when}")
            if ended.code not in (-9, 0, 2):
                problems.append(f"{scene.name} {when}: exit {ended.code}: {ended.said[-500:]}")
            if ended.code != -9:
                break
        rounds += 1
        last = children.call(scene.arguments(folder), scratch)
        if last.code not in (0, 2):
            problems.append(f"{scene.name}, to the end: exit {last.code}: {last.said[-500:]}")

        where = f"{scene.name}, to the end ({last.said[-300:]})"
        problems += _problems(lambda at: _compare(scene.result(at), expected), folder, where)
    return Kills(killed, rounds, problems)


def _undisturbed(scene: Scene, folder: Path, scratch: Path) -> tuple[children.Ended, object]:
    scene.prepare(fresh(folder))
    children.prepare(scene.arguments(folder), scratch)
    scene.prepare(fresh(folder))
    usual = children.call(scene.arguments(folder), scratch)
    assert usual.code == 0, usual.said
    return usual, scene.result(folder)


def _compare(found: object, expected: object) -> None:
    assert found == expected, f"another result: {str(found)[:300]}"


def _problems(check: Callable[[Path], None], folder: Path, where: str) -> list[str]:
    try:
        check(folder)
    except Exception as error:
        return [f"{where}: {type(error).__name__}: {error}"]
    return []
