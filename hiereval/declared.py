"""What a record says of its task and probe against those that are registered here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, get_args

from hiereval.errors import HierevalError, nearest
from hiereval.records import MetricValue, Record, parameters_text
from hiereval.types import NullKind

if TYPE_CHECKING:
    from hiereval.types import Metric

_AGAIN = "run it again with 'hiereval run'"
_KINDS = frozenset(get_args(NullKind))
_NUMBER = re.compile(r"[0-9]+")
_NO_PROBE = "none"  # of answers: nothing was embedded

Found = tuple[str, str, str]  # field, what is wrong, how to mend it


def problems(record: Record) -> Iterator[Found]:
    """Yield where a record says something else than the task and probe registered here."""
    yield from _of_probe(record)
    found = _class("tasks", record.task.name)
    if isinstance(found, str):
        yield "task.name", found, "install the plugin that has it"
        return
    if found.version != record.task.version:
        what = f"{record.task.version} is not the version of {record.task.name} here"
        yield "task.version", what, f"with version {found.version}, {_AGAIN}"
        return
    declared = _metrics(record.task.name, parameters_text(record.task))
    if isinstance(declared, str):
        yield "task.parameters", declared, _AGAIN
    elif record.status == "ok":
        yield from _of_metrics(record, declared)


# --- probes --------------------------------------------------------------------------------------


def _of_probe(record: Record) -> Iterator[Found]:
    probe, training = record.probe, record.probe.training
    if probe.name == _NO_PROBE:
        return
    found = _class("probes", probe.name)
    if isinstance(found, str):
        yield "probe.name", found, "install the plugin that has it"
        return
    wrong = _wrong_parameters("probes", probe.name, parameters_text(probe))
    if wrong is not None:
        yield "probe.parameters", wrong, _AGAIN
    if found.trained != (training is not None) and record.status == "ok":
        what = f"{probe.name} is {'' if found.trained else 'not '}trained"
        yield "probe.training", what, _AGAIN
    if training is not None and training.sha256 == record.dataset.sha256:
        yield "probe.training.sha256", "the probe was fitted on what is scored", _AGAIN


# --- metrics -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Declared:
    """A configured task's metrics by name; `counted` if its items decide how many there are."""

    metrics: Mapping[str, Metric]
    counted: bool

    def name(self, metric: str) -> str:
        """Return a metric's name; without its numbers where items decide them."""
        return _NUMBER.sub("0", metric) if self.counted else metric

    @cached_property
    def by_name(self) -> Mapping[str, Metric]:
        """The metrics by such names."""
        return {self.name(name): metric for name, metric in self.metrics.items()}


def _of_metrics(record: Record, declared: _Declared) -> Iterator[Found]:
    known, task = declared.by_name, record.task.name
    for name, metric in record.metrics.items():
        own = known.get(declared.name(name))
        if own is None:
            what = f"{task} has no such metric.{nearest(name, declared.metrics)}"
            yield f"metrics.{name}", what, "leave it out, or raise the task's version"
        else:
            told = _as_declared(metric, own, declared.counted)
            yield from ((f"metrics.{name}.{part}", what, _AGAIN) for part, what in told)
    there = {declared.name(name) for name in record.metrics}
    for name in sorted(known.keys() - there):
        yield "metrics", f"{known[name].name} of {task} is missing", _AGAIN


def _as_declared(metric: MetricValue, own: Metric, counted: bool) -> Iterator[tuple[str, str]]:
    if metric.higher_is_better != own.higher_is_better:
        yield "higher_is_better", _not(metric.higher_is_better, own.higher_is_better)
    if metric.range is None or not _same(metric.range, own.range):
        yield "range", _not(metric.range and list(metric.range), list(own.range))
    if metric.role != own.role:
        yield "role", _not(metric.role, own.role)
    if not counted and metric.chance != own.chance:
        yield "chance", _not(metric.chance, own.chance)
    if not metric.nulls.keys() <= _KINDS:
        yield "nulls", f"{', '.join(sorted(metric.nulls))} must be of {', '.join(sorted(_KINDS))}"


def _not(given: object, own: object) -> str:
    return f"{given} is not {own}, as the task says"


def _same(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a == b or all(math.isclose(x, y, rel_tol=1e-12) for x, y in zip(a, b, strict=True))


# --- what is registered --------------------------------------------------------------------------


@cache
def _class(kind: Any, name: str) -> Any:
    """Return a task's or probe's class, or why there is none."""
    from hiereval import registry

    try:
        return registry.load(kind, name)
    except HierevalError as error:
        return str(error)


def _configured(kind: Any, name: str, parameters: str) -> Any:
    """Return a configured task or probe; a text is what is wrong with its parameters."""
    from hiereval import registry

    try:
        what = f"the {kind[:-1]} {name!r}"
        return registry.configure(_class(kind, name), json.loads(parameters), what)
    except HierevalError as error:
        return str(error)


@cache
def _wrong_parameters(kind: Any, name: str, parameters: str) -> str | None:
    found = _configured(kind, name, parameters)
    return found if isinstance(found, str) else None


@cache
def _metrics(name: str, parameters: str) -> _Declared | str:
    """Return a configured task's metrics; a text is what is wrong with its parameters."""
    from hiereval.hooks import MetricsOfItems

    task = _configured("tasks", name, parameters)
    if isinstance(task, str):
        return task
    metrics = {metric.name: metric for metric in task.metrics}
    return _Declared(metrics, isinstance(task, MetricsOfItems))
