"""Freed memory stays with the process on glibc, and nothing happens elsewhere."""

from __future__ import annotations

import ctypes
import platform
import resource
import subprocess
import sys

import pytest

from hiereval import heap

ROUNDS, BYTES = 50, 8 << 20
FAULTS = f"""
import ctypes, resource
from hiereval.heap import keep_freed
malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({ROUNDS}):
        first, second = malloc({BYTES}), malloc({BYTES})
        ctypes.memset(first, 1, {BYTES}), ctypes.memset(second, 1, {BYTES})
        free(second), free(first)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
keep_freed()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_blocks_that_are_freed_and_asked_for_again_are_not_cleared_again() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", FAULTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = 2 * ROUNDS * BYTES // resource.getpagesize()
    assert int(done.stdout) < pages / 10


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_another_allocator_is_left_alone(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def missing(name: None) -> None:
        asked.append(name)
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    heap.keep_freed.__wrapped__()
    assert asked == [None]
