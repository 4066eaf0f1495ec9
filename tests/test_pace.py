from __future__ import annotations

import pytest

from hiereval import pace
from hiereval.pace import Pace, forward_share


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    return now


def test_the_first_batch_stands_apart(clock: list[float]) -> None:
    """Prepared in 1 s; batches of 4, 4 and 2 in 10 (weights load), 2 and 1 s; stored in 0.5 s."""
    images = Pace()

    def takes(seconds: float) -> None:
        clock[0] += seconds

    with images.encoding(0):
        takes(1.0)
    with images.encoding(10):
        images.forward(lambda _: takes(10.0), [1, 2, 3, 4])
        takes(0.5)
        images.forward(lambda _: takes(2.0), [1, 2, 3, 4])
        takes(0.5)
        images.forward(lambda _: takes(1.0), [1, 2])
        takes(0.5)
    assert (images.n, images.first_n, images.first_s) == (10, 4, 10.0)
    assert images.seconds == 1.0 + 10.0 + 4.5
    assert images.per_second == 6 / 4.5
    assert forward_share([images, Pace()]) == 3.0 / 4.5
    takes(60.0)  # what passes between two parts counts for none
    with images.encoding(2):
        images.forward(lambda _: takes(1.0), [1, 2])
    assert images.per_second == 8 / 5.5
    assert forward_share([images]) == 4.0 / 5.5


def test_one_batch_alone_and_none(clock: list[float]) -> None:
    one = Pace()
    with one.encoding(3):
        one.forward(lambda _: clock.__setitem__(0, clock[0] + 6.0), [1, 2, 3])
    assert one.per_second == 0.5
    assert forward_share([one]) is None  # nothing but the batch in which weights load
    assert Pace().per_second is None
    assert forward_share([Pace()]) is None
