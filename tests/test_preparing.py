from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from hiereval.preparing import ahead


def test_memory_holds_a_few_images_whatever_their_number() -> None:
    alive, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return item

    with ThreadPoolExecutor(4) as pool:
        for expected, item in enumerate(ahead(pool, work, range(500), 10)):
            assert item == expected
            with lock:
                alive -= 1
    assert most <= 11
