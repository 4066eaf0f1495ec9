"""What a record must be besides well formed: values that can be, of tasks and data that are known.

Each problem names the field, says what is wrong, and how to mend it.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hiereval import identity
from hiereval.errors import HierevalError, nearest
from hiereval.fingerprint import of_model
from hiereval.records import MetricValue, ModelInfo, NullValue, Record, parameters_text

if TYPE_CHECKING:
    from hiereval.types import Metric

ROUNDING = 1e-6  # of a value against the ends of its range
_AGAIN = "run it again with 'hiereval run'"
_LEAVE = f"leave records as they are written, or {_AGAIN}"
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)  # no record is older


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a record."""

    field: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.field}: {self.what}; {self.mend}"


def problems(record: Record) -> list[Problem]:
    """Return whatever is wrong with a record by itself, and against tasks and data known here."""
    found = [
        Problem(f"metrics.{name}.{part}", what, _AGAIN)
        for name, metric in record.metrics.items()
        for part, what in _of_value(metric)
    ]
    for check in (_of_counts, _of_date, _of_model, _of_data, _of_task):
        found.extend(check(record))
    return found or list(_of_identity(record))


# --- values --------------------------------------------------------------------------------------


def _of_value(metric: MetricValue) -> Iterator[tuple[str, str]]:
    low, high = metric.ci_low, metric.ci_high
    if (low is None) != (high is None):
        yield "ci_low", "an interval must have both ends or none"
    elif low is not None and high is not None:
        if low > high:
            yield "ci_low", f"{low} is above ci_high"
        elif metric.value is not None and not low - 1e-9 <= metric.value <= high + 1e-9:
            yield "value", f"{metric.value} is outside its own interval [{low}, {high}]"
    if not 0.0 < metric.ci_level < 1.0:
        yield "ci_level", f"{metric.ci_level} must lie between 0 and 1"
    if metric.range and metric.value is not None:
        first, last = metric.range
        if not first - ROUNDING <= metric.value <= last + ROUNDING:
            yield "value", f"{metric.value} is outside [{first}, {last}]"
    if metric.n < 0 or (metric.n == 0 and metric.value is not None):
        yield "n", f"{metric.n} items cannot give a value"
    for kind, null in metric.nulls.items():
        yield from ((f"nulls.{kind}.{part}", what) for part, what in _of_null(null))


def _of_null(null: NullValue) -> Iterator[tuple[str, str]]:
    if null.draws < 1:
        yield "draws", f"{null.draws} must be at least 1"
    elif not 1.0 / (null.draws + 1) - 1e-12 <= null.p <= 1.0:
        yield "p", f"{null.p} cannot come of {null.draws} draws"
    if null.low > null.high or null.sd < 0:
        yield "low", "the range of a null must go from low to high"


def _of_counts(record: Record) -> Iterator[Problem]:
    data, times = record.dataset, record.timings
    for name, count in (("n_texts", data.n_texts), ("n_images", data.n_images)):
        if count < 0:
            yield Problem(f"dataset.{name}", f"{count} must not be negative", _AGAIN)
    if data.n_truncated is not None and not 0 <= data.n_truncated <= data.n_texts:
        what = f"{data.n_truncated} of {data.n_texts} texts cannot be truncated"
        yield Problem("dataset.n_truncated", what, _AGAIN)
    for name in ("encode_s", "fit_s", "score_s"):
        if getattr(times, name) < 0:
            yield Problem(f"timings.{name}", "seconds must not be negative", _AGAIN)
    if record.bootstrap_resamples < 1:
        what = f"{record.bootstrap_resamples} must be at least 1"
        yield Problem("bootstrap_resamples", what, _AGAIN)


def _of_date(record: Record) -> Iterator[Problem]:
    if not _FIRST <= record.timestamp <= datetime.now(UTC) + timedelta(days=1):
        what = f"{record.timestamp.isoformat()} must lie between {_FIRST.date()} and now"
        yield Problem("timestamp", what, "set the clock, and " + _AGAIN)


# --- identities ----------------------------------------------------------------------------------


def _of_model(record: Record) -> Iterator[Problem]:
    if _fingerprint(record.model) != record.model.fingerprint:
        what = "it is not the fingerprint of the model's fields"
        yield Problem("model.fingerprint", what, _LEAVE)


def _of_identity(record: Record) -> Iterator[Problem]:
    if identity.of_record(record) != record.record_id:
        yield Problem("record_id", f"{record.record_id} is not of the record's fields", _LEAVE)


@lru_cache(maxsize=1 << 12)  # a model has a record for each task
def _fingerprint(model: ModelInfo) -> str:
    return of_model(vars(model))


@cache
def _known_data() -> Mapping[str, str]:
    text = files("hiereval.leaderboard").joinpath("known_data.toml").read_text("utf-8")
    return tomllib.loads(text)


def _of_data(record: Record) -> Iterator[Problem]:
    data = record.dataset
    known = _known_data().get(f"{data.name}:{data.split}")
    if data.image_source.startswith("COCO"):  # the originals, which users have of their own
        return
    if known is not None and data.sha256 != known:
        what = f"{data.sha256[:12]} is not {data.name}:{data.split}, which is {known[:12]}"
        yield Problem("dataset.sha256", what, f"fetch it with 'hiereval download {data.name}'")


# --- tasks ---------------------------------------------------------------------------------------


def _of_task(record: Record) -> Iterator[Problem]:
    """Compare with the task that is registered here, at its version."""
    found = _task(record.task.name)
    if isinstance(found, str):
        yield Problem("task.name", found, "install the plugin that has it")
        return
    if found.version != record.task.version:
        what = f"{record.task.version} is not the version of {record.task.name} here"
        yield Problem("task.version", what, f"with version {found.version}, {_AGAIN}")
        return
    declared = _metrics(record.task.name, parameters_text(record.task))
    if isinstance(declared, str):
        yield Problem("task.parameters", declared, _AGAIN)
        return
    if declared is None or record.status != "ok":
        return
    for name, metric in record.metrics.items():
        if name not in declared:
            what = f"{record.task.name} has no such metric.{nearest(name, declared)}"
            yield Problem(f"metrics.{name}", what, "leave it out, or raise the task's version")
        else:
            yield from _as_declared(name, metric, declared[name])


def _as_declared(name: str, metric: MetricValue, declared: Metric) -> Iterator[Problem]:
    if metric.higher_is_better != declared.higher_is_better:
        what = f"{metric.higher_is_better} is not {declared.higher_is_better}, as the task says"
        yield Problem(f"metrics.{name}.higher_is_better", what, _AGAIN)
    if metric.range is not None and not _same(metric.range, declared.range):
        what = f"{list(metric.range)} is not {list(declared.range)}, as the task says"
        yield Problem(f"metrics.{name}.range", what, _AGAIN)


def _same(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return all(x == y or math.isclose(x, y, rel_tol=1e-12) for x, y in zip(a, b, strict=True))


@cache
def _task(name: str) -> Any:
    """Return the task's class, or why there is none."""
    from hiereval import registry

    try:
        return registry.load("tasks", name)
    except HierevalError as error:
        return str(error)


@cache
def _metrics(name: str, parameters: str) -> Mapping[str, Metric] | str | None:
    """Return a configured task's metrics by name; a text is what is wrong with its parameters.

    None where its items decide which metrics it has.
    """
    from hiereval import registry
    from hiereval.types import MetricsOfItems

    try:
        task = registry.configure(_task(name), json.loads(parameters), f"the task {name!r}")
    except HierevalError as error:
        return str(error)
    if isinstance(task, MetricsOfItems):
        return None
    return {metric.name: metric for metric in task.metrics}
