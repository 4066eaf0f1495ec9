"""What stands beside a record: twins of its architecture and fits of its model, which judge it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from hiereval.findings import CONTROL, SHUFFLED, Finding, Seeds, judge
from hiereval.records import MetricValue, Record, parameters_text


class Beside:
    """Records by what may stand beside what: twins of an architecture, fits of a model."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._twins: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        self._of_model: dict[str, list[Record]] = defaultdict(list)  # by fingerprint
        self._fits: dict[str, dict[tuple[str, ...], list[Record]]] = {}  # and what was measured
        self._found: dict[int, list[Record]] = {}  # by the record's place in memory
        self._values: dict[tuple[int, str], Seeds] = {}  # by the twins' place
        self._shared: dict[tuple[tuple[str, ...], ...], list[Record]] = {}
        self._lists: dict[tuple[int, ...], list[Record]] = {}  # by the places of what they hold
        for record in records:
            if record.status != "ok":
                continue
            if record.model.random_init is not None:
                for key in _architectures(record):
                    self._twins[key].append(record)
            self._of_model[record.model.fingerprint].append(record)

    def twins(self, record: Record) -> list[Record]:
        """Return the newest random-init record of every seed: same architecture, task and probe."""
        known = self._found.get(id(record))
        if known is None:
            known = self._found[id(record)] = self._twins_of(record)
        return known

    def _of_twins(self, record: Record, metric: str) -> Seeds:
        """Return the twins' values of a metric, looked up once for an architecture."""
        twins = self.twins(record)
        known = self._values.get((id(twins), metric))
        if known is None:
            known = self._values[id(twins), metric] = Seeds(of_metric(twins, metric))
        return known

    def _twins_of(self, record: Record) -> list[Record]:
        key = *_architectures(record), (record.probe.name,)
        known = self._shared.get(key)
        if known is None:
            found = {
                twin.model.random_init: twin
                for name in key[:-1]
                for twin in sorted(self._twins.get(name, ()), key=_made)
                if twin.probe.name == record.probe.name
            }
            own = list(found.values())  # one list for all checkpoints of an architecture
            known = self._shared[key] = self._lists.setdefault(tuple(map(id, own)), own)
        return known

    def capacity(self, record: Record) -> dict[str, list[Record]]:
        """Return what a trained probe's record must beat: its shuffled twins and `empty-root`."""
        model = record.model.fingerprint
        by_measure = self._fits.get(model)
        if by_measure is None:
            by_measure = self._fits[model] = defaultdict(list)
            for other in sorted(self._of_model[model], key=_made):
                by_measure[_measured(other)].append(other)
        fits = by_measure[_measured(record)]
        shuffled = [r for r in fits if r.probe.shuffled and r.probe.name == record.probe.name]
        return {
            "the fit on shuffled tiers": shuffled,
            "empty-root": [r for r in fits if r.probe.name == "empty-root"][-1:],
        }

    def finding(self, record: Record, metric: str) -> Finding:
        """Judge one metric of a record; those of a control are no findings."""
        if record.model.is_control:
            return CONTROL
        if record.probe.shuffled:
            return SHUFFLED
        value = record.metrics[metric]
        if record.probe.training is None:
            return judge(value, self._of_twins(record, metric))
        bars = self.capacity(record)
        return judge(value, capacity={bar: of_metric(r, metric) for bar, r in bars.items()})


def _made(record: Record) -> datetime:
    return record.timestamp


def of_metric(records: Iterable[Record], metric: str) -> list[MetricValue]:
    """Return the records' values of one metric."""
    return [record.metrics[metric] for record in records if metric in record.metrics]


def _measured(record: Record) -> tuple[str, ...]:
    """Return what must agree for two numbers to be of the same thing."""
    task, data = record.task, record.dataset
    parameters = parameters_text(task)
    rest = (data.name, data.split, data.sha256, str(record.limit), record.model.root_text)
    return task.name, str(task.version), parameters, *rest


def _architectures(record: Record) -> list[tuple[str, ...]]:
    """Return the names of a model's architecture: its checkpoint, and its configuration's hash."""
    model = record.model
    names = [("checkpoint", model.checkpoint)]
    if model.config_sha256 is not None:
        names.append(("configuration", model.config_sha256))
    measured = _measured(record)
    return [(model.adapter, *name, *measured) for name in names]
