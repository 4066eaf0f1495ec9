"""Records that look like one model under two names: nothing wrong in itself, and worth a look.

A name is what its sender says; vectors show only that the numbers are theirs. So the same
fingerprint, or every value to the last digit, under another name is told to whoever judges.
"""

from __future__ import annotations

from collections.abc import Iterator

from hiereval.records import Record, parameters_text

FEWEST = 3  # values that differ from one another, so that they do not agree by chance

Named = tuple[str, str]  # a model's name, and where the record stands


class Copies:
    """Which model had which fingerprint and which values so far."""

    def __init__(self) -> None:
        self._prints: dict[str, Named] = {}
        self._values: dict[int, Named] = {}
        self._told: set[tuple[str, str]] = set()

    def add(self, place: str, record: Record) -> Iterator[str]:
        """Yield what a record has in common with one of another name, once for two names.

        Controls and untrained twins are left out: those of two models may well be one.
        """
        model = record.model
        if model.is_control:
            return
        own = (model.name, place)
        named = self._prints.setdefault(model.fingerprint, own)
        if self._is_news(named, own):
            yield f"{model.name} has the fingerprint of {named[0]} at {named[1]}"
        values = tuple((name, metric.value) for name, metric in sorted(record.metrics.items()))
        if len({value for _, value in values} - {None}) < FEWEST:
            return
        task, probe = record.task, record.probe
        of = (task.name, task.version, parameters_text(task), record.dataset.sha256, probe.name)
        key = hash((*of, parameters_text(probe), values))
        named = self._values.setdefault(key, own)
        if self._is_news(named, own):
            yield f"{model.name} has every value of {named[0]} at {named[1]}"

    def _is_news(self, first: Named, own: Named) -> bool:
        """Whether two names differ and were not told before."""
        pair = (first[0], own[0])
        if first[0] == own[0] or pair in self._told:
            return False
        self._told.add(pair)
        return True
