"""What the benchmarks measure with: seconds, of the clock and of processors, and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock and processor seconds; a way that uses other processes returns theirs."""
    wall, processor = time.perf_counter(), time.process_time()
    elsewhere = run()
    theirs = elsewhere if isinstance(elsewhere, float) else 0.0
    return time.perf_counter() - wall, time.process_time() - processor + theirs


def command(*arguments: object) -> tuple[float, float, int]:
    """Run hiereval; return seconds of the clock, of the processors, and the peak of its bytes."""
    start = time.perf_counter()
    asked = [Path(sys.executable).with_name("hiereval"), *map(str, arguments)]
    process = subprocess.Popen(asked, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    clock = time.perf_counter() - start
    assert os.waitstatus_to_exitcode(status) == 0, arguments
    return clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
