"""Inputs prepared by threads, a few ahead of the network.

Threads, since Pillow and torch let go of the interpreter's lock while they decode and resize:
processes were no faster (docs/performance.md) and would have to send their pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], depth: int
) -> Iterator[R]:
    """Yield work(item) in order, computed in the pool at most `depth` items ahead."""
    waiting: deque[Future[R]] = deque()
    rest = iter(items)
    try:
        for item in islice(rest, depth):
            waiting.append(pool.submit(work, item))
        while waiting:
            result = waiting.popleft().result()
            for item in islice(rest, 1):
                waiting.append(pool.submit(work, item))
            yield result
    finally:
        for future in waiting:
            future.cancel()
