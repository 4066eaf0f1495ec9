"""What a record must be besides well formed: values that can be, of tasks and data that are known.

Each problem names the field, says what is wrong, and how to mend it.
"""

from __future__ import annotations

import math
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import get_args

from hiereval import declared, identity, lettering
from hiereval.fingerprint import of_model
from hiereval.records import LEVEL, MetricValue, ModelInfo, NullValue, Record, once
from hiereval.types import Geometry

ROUNDING = 1e-6  # of a value against the ends of its range
GEOMETRIES = get_args(Geometry)
_AGAIN = "run it again with 'hiereval run'"
LEAVE = f"leave records as they are written, or {_AGAIN}"
_RESAMPLES = 1000  # of fewer an interval may be narrow by luck, and bars easy to pass
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)  # no record is older
_DAY = 24 * 3600


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
    for check in (_of_status, _of_counts, _of_date, _of_names, _of_model, _of_data):
        found.extend(check(record))
    found += [Problem(*one) for one in declared.problems(record)]
    return found or list(_of_identity(record))


def note(record: Record) -> str | None:
    """Return what is no problem with a record by itself, and worth a look."""
    if record.status == "ok" and record.bootstrap_resamples < _RESAMPLES:
        what = f"intervals of {record.bootstrap_resamples} resamples may be narrow by luck"
        return f"{record.model.name} {record.task.name}: {what}; {_RESAMPLES:,} are usual"
    return None


# --- values --------------------------------------------------------------------------------------


def _of_value(metric: MetricValue) -> Iterator[tuple[str, str]]:
    value, low, high = metric.value, metric.ci_low, metric.ci_high
    first, last = metric.range or (-math.inf, math.inf)
    if (low is None) != (high is None):
        yield "ci_low", "an interval must have both ends or none"
    elif low is not None and high is not None:
        if low > high:
            yield "ci_low", f"{low} is above ci_high"
        elif value is None:
            yield "ci_low", "what is undefined must have no interval"
        elif not low - 1e-9 <= value <= high + 1e-9:
            yield "value", f"{value} is outside its own interval [{low}, {high}]"
        elif not (first - ROUNDING <= low and high <= last + ROUNDING):
            yield "ci_low", f"[{low}, {high}] is not within [{first}, {last}]"
    if metric.ci_level != LEVEL:
        yield "ci_level", f"{metric.ci_level} must be {LEVEL}"
    if value is not None and not first - ROUNDING <= value <= last + ROUNDING:
        yield "value", f"{value} is outside [{first}, {last}]"
    if metric.n < 0 or (metric.n == 0 and value is not None):
        yield "n", f"{metric.n} items cannot give a value"
    for kind, null in metric.nulls.items():
        yield from ((f"nulls.{kind}.{part}", what) for part, what in _of_null(null, metric))


def _of_null(null: NullValue, metric: MetricValue) -> Iterator[tuple[str, str]]:
    first, last = metric.range or (-math.inf, math.inf)
    if null.draws < 1:
        yield "draws", f"{null.draws} must be at least 1"
    elif not 1.0 / (null.draws + 1) - 1e-12 <= null.p <= 1.0:
        yield "p", f"{null.p} cannot come of {null.draws} draws"
    elif not _follows(null, metric):
        yield "p", f"{null.p} cannot be: 95 % of the draws lie in [{null.low}, {null.high}]"
    if null.low > null.high or null.sd < 0:
        yield "low", "the range of a null must go from low to high"
    elif (
        not first - ROUNDING
        <= min(null.low, null.mean)
        <= max(null.high, null.mean)
        <= (last + ROUNDING)
    ):
        yield "mean", f"a null must lie within [{first}, {last}]"


def _follows(null: NullValue, metric: MetricValue) -> bool:
    """Whether p can be: a value beyond the range of 95 % of the draws has at most one in forty at
    least as good, and one that is not beyond has about as many, or more."""
    if metric.value is None or metric.higher_is_better is None:
        return True
    better = metric.value > null.high if metric.higher_is_better else metric.value < null.low
    bar = null.high if metric.higher_is_better else null.low
    if abs(metric.value - bar) <= ROUNDING:
        return True
    tail = 0.5 * (1.0 - LEVEL) * null.draws  # of the draws
    as_good = null.p * (null.draws + 1) - 1.0
    return as_good <= tail + 1.0 if better else as_good >= tail - 2.0


def _of_status(record: Record) -> Iterator[Problem]:
    if record.status != "ok" and record.metrics:
        yield Problem("metrics", f"what is {record.status} must have none", _AGAIN)


def _of_counts(record: Record) -> Iterator[Problem]:
    data, times, model = record.dataset, record.timings, record.model
    least: list[tuple[str, float | None, float]] = [
        ("dataset.n_texts", data.n_texts, 0),
        ("dataset.n_images", data.n_images, 0),
        ("timings.encode_s", times.encode_s, 0),
        ("timings.fit_s", times.fit_s, 0),
        ("timings.score_s", times.score_s, 0),
        ("timings.images_per_s", times.images_per_s, 0),
        ("timings.texts_per_s", times.texts_per_s, 0),
        ("bootstrap_resamples", record.bootstrap_resamples, 1),
        ("batch_size", record.batch_size, 1),
        ("limit", record.limit, 1),
        ("null_draws", record.null_draws, 0),
        ("model.n_params", model.n_params, 0),
        ("model.embed_dim", model.embed_dim, 1),
        ("model.context_length", model.context_length, 1),
    ]
    for name, count, bound in least:
        if count is not None and count < bound:
            yield Problem(name, f"{count} must be at least {bound}", _AGAIN)
    if data.n_truncated is not None and not 0 <= data.n_truncated <= data.n_texts:
        what = f"{data.n_truncated} of {data.n_texts} texts cannot be truncated"
        yield Problem("dataset.n_truncated", what, _AGAIN)
    seen = record.seen
    if seen is not None and not (
        len(seen.texts) == len(seen.seen)
        and all(0 <= part <= whole for part, whole in zip(seen.seen, seen.texts, strict=True))
        and 0 <= seen.unseen_chains <= seen.chains
    ):
        yield Problem("seen", "more cannot be seen than there is", _AGAIN)


def _of_date(record: Record) -> Iterator[Problem]:
    if not _FIRST.timestamp() <= record.timestamp.timestamp() <= time.time() + _DAY:
        what = f"{record.timestamp.isoformat()} must lie between {_FIRST.date()} and now"
        yield Problem("timestamp", what, "set the clock, and " + _AGAIN)


def _of_names(record: Record) -> Iterator[Problem]:
    data = record.dataset
    named = {
        "model.name": record.model.name,
        "dataset.name": data.name,
        "dataset.split": data.split,
    }
    for place, name in named.items():
        wrong = lettering.problem(name) if name else None
        if wrong is not None:
            yield Problem(place, wrong, "run it again under a plain name")


# --- identities ----------------------------------------------------------------------------------


def _of_model(record: Record) -> Iterator[Problem]:
    if record.model.geometry not in GEOMETRIES:
        what = f"{record.model.geometry!r} must be one of {', '.join(GEOMETRIES)}"
        yield Problem("model.geometry", what, _AGAIN)
    if _fingerprint(record.model) != record.model.fingerprint:
        what = "it is not the fingerprint of the model's fields"
        yield Problem("model.fingerprint", what, LEAVE)


def _of_identity(record: Record) -> Iterator[Problem]:
    if identity.of_record(record) != record.record_id:
        yield Problem("record_id", f"{record.record_id} is not of the record's fields", LEAVE)


@once  # a model has a record for each task
def _fingerprint(model: ModelInfo) -> str:
    return of_model(vars(model))


@cache
def _known_data() -> Mapping[str, str]:
    text = files("hiereval.leaderboard").joinpath("known_data.toml").read_text("utf-8")
    return tomllib.loads(text)


def _of_data(record: Record) -> Iterator[Problem]:
    data = record.dataset
    known = _known_data().get(f"{data.name}:{data.split}")
    if data.image_source.startswith("COCO") and data.name.startswith("hierarcaps"):
        return  # with the originals, which users have of their own, it is another content
    if known is not None and data.sha256 != known and record.limit is not None:
        what = f"the first {record.limit:,} items are not {data.name}:{data.split}"
        yield Problem("limit", what, "run it again without --limit")
    elif known is not None and data.sha256 != known:
        what = f"{data.sha256[:12]} is not {data.name}:{data.split}, which is {known[:12]}"
        yield Problem("dataset.sha256", what, f"fetch it with 'hiereval download {data.name}'")
