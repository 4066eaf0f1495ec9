"""Several processes at one cache and one output: nothing is lost, nothing stands twice."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

from campaign import children
from campaign.scenes import Scene, fresh


@dataclass(frozen=True)
class Crowds:
    """What came of it."""

    processes: int
    rounds: int
    problems: list[str]


def crowd(scene: Scene, n: int, seed: int, base: Path) -> Crowds:
    """Start two to four of a command at nearly one time, n times; compare with one alone."""
    numbers = random.Random(seed)
    scratch = fresh(base / "scratch")
    alone = fresh(base / "alone")
    children.prepare(scene.arguments(alone), scratch)
    expected = scene.result(alone)
    processes = 0
    problems: list[str] = []
    for number in range(n):
        folder = fresh(base / "crowd")
        arguments = scene.arguments(folder)
        started = []
        for _ in range(numbers.randint(2, 4)):
            started.append(children.start(arguments, scratch))
            time.sleep(numbers.uniform(0.0, 0.2))
        processes += len(started)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started]
        said = [(scratch / f"said-{child}").read_text()[-300:] for child in started]
        if not set(codes) <= {0, 2} or 0 not in codes:
            problems.append(f"{scene.name}, round {number}: exits {codes}: {said}")
        try:
            scene.check(folder)
            found = scene.result(folder)
        except Exception as error:
            problems.append(f"{scene.name}, round {number}: {type(error).__name__}: {error}")
            continue
        if found != expected:
            problems.append(f"{scene.name}, round {number}: another result: {str(found)[-300:]}")
    return Crowds(processes, n, problems)
