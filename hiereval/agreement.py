"""Records against one another: what the data alone decide is the same in all of them.

Blind scores and chance levels see no model, and data of one hash have one size. A record that
tells them otherwise would lower the bars that its own numbers have to pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hiereval import identity
from hiereval.records import MetricValue, Record, parameters_text

Told = tuple[Any, str]  # what the first record said, and where it stands


class Agreement:
    """What the records so far said of data and tasks, and where."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, ...], Told] = {}
        self._bars: dict[tuple[Any, ...], dict[str, Told]] = {}

    def add(self, place: str, record: Record) -> Iterator[tuple[str, str]]:
        """Yield (field, what is wrong) where a record contradicts an earlier one."""
        data, task = record.dataset, record.task
        size = {"n_texts": data.n_texts, "n_images": data.n_images}
        first, where = self._sizes.setdefault((data.name, data.split, data.sha256), (size, place))
        if first != size:
            yield "dataset.n_texts", f"{size} is not {first}, as of the same data at {where}"
        if record.null_draws == 0 or record.status != "ok":
            return
        key = (task.name, task.version, parameters_text(task), data.sha256, data.n_truncated)
        told = self._bars.setdefault(key, {})
        for name, metric in record.metrics.items():
            if metric.value is not None:
                first, where = told.setdefault(name, (metric, place))
                for field, what in _apart(first, metric):
                    yield f"metrics.{name}.{field}", f"{what}, as at {where}"


def _apart(first: MetricValue, metric: MetricValue) -> Iterator[tuple[str, str]]:
    if not _same(first.chance, metric.chance):
        yield "chance", f"{metric.chance} is not {first.chance}"
    if first.ceilings is not metric.ceilings:
        for name in dict.fromkeys([*first.ceilings, *metric.ceilings]):
            a, b = first.ceilings.get(name), metric.ceilings.get(name)
            if not _same(a, b):
                yield f"ceilings.{name}", f"{b} is not {a}"


def _same(a: float | None, b: float | None) -> bool:
    return a == b or identity.first_difference("", a, b) is None
