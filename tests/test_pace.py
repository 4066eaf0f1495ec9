from __future__ import annotations

import pytest
import torch

from hiereval import pace
from hiereval.inflight import Launched
from hiereval.pace import Pace, forward_share


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    return now


def computed(seconds: float) -> Launched:
    return Launched(torch.empty(0), lambda: seconds)


def test_the_first_batch_stands_apart(clock: list[float]) -> None:
    """Prepared in 1 s; batches of 4, 4 and 2 in 10 (weights load), 2 and 1 s; stored in 0.5 s."""
    images = Pace()

    def takes(seconds: float) -> Launched:
        clock[0] += seconds
        return computed(seconds)

    def forward(n: int, seconds: float) -> None:
        images.forward(lambda: takes(seconds), n).computed()

    with images.encoding(0):
        takes(1.0)
    with images.encoding(10):
        forward(4, 10.0)
        takes(0.5)
        forward(4, 2.0)
        takes(0.5)
        forward(2, 1.0)
        takes(0.5)
    assert (images.n, images.first_n, images.first_s) == (10, 4, 10.0)
    assert images.seconds == 1.0 + 10.0 + 4.5
    assert images.per_second == 6 / 4.5
    assert forward_share([images, Pace()]) == 3.0 / 4.5
    takes(60.0)  # what passes between two parts counts for none
    with images.encoding(2):
        forward(2, 1.0)
    assert images.per_second == 8 / 5.5
    assert forward_share([images]) == 4.0 / 5.5


def test_batches_in_flight_count_as_long_as_the_device_computed(clock: list[float]) -> None:
    """Each is handed over in 0.25 s and computed in 2; the next is handed over meanwhile."""
    images = Pace()

    def launch() -> Launched:
        clock[0] += 0.25
        done = clock[0] + 2.0 if not images.first_n else max(clock[0], ready[-1]) + 2.0
        ready.append(done)

        def wait() -> float:
            clock[0] = max(clock[0], done)
            return 2.0

        return Launched(torch.empty(0), wait)

    ready: list[float] = []
    with images.encoding(12):
        first, second, third = (images.forward(launch, 4) for _ in range(3))
        for batch in (second, third):
            batch.computed()
    assert first.computed() == 2.0
    assert (images.first_n, images.first_s) == (4, 2.25)  # it was waited for
    assert images.rest_s == 0.25 + 2.0 + 2.0
    assert forward_share([images]) == 4.0 / 4.25
    assert images.per_second == 8 / 4.25


def test_one_batch_alone_and_none(clock: list[float]) -> None:
    one = Pace()
    with one.encoding(3):
        clock[0] += 6.0
        one.forward(lambda: computed(6.0), 3)
    assert one.per_second == 0.5
    assert forward_share([one]) is None  # nothing but the batch in which weights load
    assert Pace().per_second is None
    assert forward_share([Pace()]) is None
