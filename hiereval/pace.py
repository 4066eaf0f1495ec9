"""How fast inputs were encoded, and how much of the time the network itself computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hiereval.inflight import Launched


@dataclass
class Pace:
    """Seconds of one kind of input; the first batch, which loads the weights, stands apart."""

    n: int = 0  # inputs encoded
    seconds: float = 0.0  # of all that encoding takes: preparing, computing, storing
    first_n: int = 0
    first_s: float = 0.0  # of the first batch: imports and weights load there
    forward_s: float = 0.0  # in the network, after the first batch
    rest_s: float = 0.0  # of all, after the first batch
    _since: float = 0.0

    @contextmanager
    def encoding(self, n: int) -> Iterator[None]:
        """Count what is done inside as the encoding of n inputs; of none: to `seconds` alone."""
        began = time.perf_counter()
        yield
        ended = time.perf_counter()
        self.n += n
        self.seconds += ended - began
        self.rest_s += ended - max(began, self._since) if n else 0.0

    def forward(self, launch: Callable[[], Launched], n: int) -> Launched:
        """Call launch(), for n inputs; the seconds are counted when their vectors are looked at.

        The first batch is waited for, so that its seconds are those of loading and computing.
        """
        began = time.perf_counter()
        launched = launch()
        if self.first_n:
            return replace(launched, computed=lambda: self._count(launched))
        launched.computed()
        self._since = time.perf_counter()
        self.first_n, self.first_s = n, self._since - began
        return launched

    def _count(self, launched: Launched) -> float:
        seconds = launched.computed()
        self.forward_s += seconds
        return seconds

    @property
    def per_second(self) -> float | None:
        """Inputs a second after the first batch; over all where there was one batch alone."""
        if not self.n:
            return None
        after = self.n > self.first_n > 0
        return (self.n - self.first_n) / self.rest_s if after else self.n / self.seconds


def forward_share(paces: list[Pace]) -> float | None:
    """Return the network's part of all seconds after the first batches; None without any."""
    several = [pace for pace in paces if pace.n > pace.first_n > 0]
    rest = sum(pace.rest_s for pace in several)
    return sum(pace.forward_s for pace in several) / rest if rest else None
