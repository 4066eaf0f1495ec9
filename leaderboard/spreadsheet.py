"""CSV: every metric of every record, one row each; no cell that a spreadsheet would execute."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from hiereval.beside import Beside
from hiereval.leaderboard.repeats import one_of_each
from hiereval.leaderboard.wording import clean, public
from hiereval.records import (
    DatasetInfo,
    MetricValue,
    ModelInfo,
    ProbeInfo,
    Record,
    TaskInfo,
    once,
    parameters_text,
)
from hiereval.verified import STANDINGS, Evidence

_LONGEST = 1000
_FORMULA = ("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠")
HEADER = (
    "model", "adapter", "checkpoint", "revision", "fingerprint", "dtype", "random_init", "dataset",
    "split", "dataset_revision", "dataset_sha256", "n_truncated", "task", "task_version",
    "parameters", "seed", "bootstrap_resamples", "null_draws", "probe", "probe_parameters",
    "probe_seed", "probe_shuffled", "status", "reason", "metric", "value", "ci_low", "ci_high",
    "ci_level", "n", "undefined_reason", "higher_is_better", "chance", "finding", "because",
    "date", "hiereval", "standing", "record_id", "left_out_for",
)  # fmt: skip


def written(records: Sequence[Record]) -> str:
    """Return the whole table; a record without metrics has one row that says why."""
    return "".join(parts(records, {}))


def parts(records: Sequence[Record], verified: Mapping[str, Evidence]) -> Iterator[str]:
    """Yield the table, the rows of a record at a time; `verified` holds, by `record_id`, what
    numbers were computed again from.

    A run that boards leave out, because another of the same measurement stands, names that.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    standing, left_out = one_of_each(records)
    beside = Beside(standing)
    instead = {repeat.record.record_id: repeat.stands.record_id for repeat in left_out}
    for record in records:
        before = _before(record)
        after = *_after(record, verified), safe(instead.get(record.record_id))
        for name, metric in record.metrics.items() or [("", None)]:
            own = safe(name), *_of_metric(record, name, metric, beside)
            writer.writerow((*before, *own, *after))  # None is an empty cell
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()  # of no record, the heads


# --- cells ---------------------------------------------------------------------------------------


def _before(record: Record) -> tuple[object, ...]:
    return (
        *_of_model(record.model), *_of_data(record.dataset), *_of_task(record.task),
        record.seed, record.bootstrap_resamples, record.null_draws,
        *_of_probe(record.probe), record.status, safe(record.reason),
    )  # fmt: skip


@once
def _of_model(model: ModelInfo) -> tuple[object, ...]:
    names = model.name, model.adapter, public(model.checkpoint), model.revision, model.fingerprint
    return *map(safe, (*names, model.dtype)), model.random_init


@once
def _of_data(data: DatasetInfo) -> tuple[object, ...]:
    names = data.name, data.split, data.revision, data.sha256
    return *map(safe, names), data.n_truncated


@once
def _of_task(task: TaskInfo) -> tuple[object, ...]:
    return safe(task.name), task.version, safe(parameters_text(task))


@once
def _of_probe(probe: ProbeInfo) -> tuple[object, ...]:
    shuffled = probe.training.shuffled if probe.training else None
    return safe(probe.name), safe(parameters_text(probe)), probe.seed, shuffled


def _of_metric(
    record: Record, name: str, metric: MetricValue | None, beside: Beside
) -> tuple[object, ...]:
    if metric is None:
        return (None,) * 10
    verdict = beside.finding(record, name)
    return (
        metric.value, metric.ci_low, metric.ci_high, metric.ci_level, metric.n,
        safe(metric.undefined_reason), metric.higher_is_better, metric.chance,
        verdict.finding, safe(verdict.because),
    )  # fmt: skip


def _after(record: Record, verified: Mapping[str, Evidence]) -> tuple[object, ...]:
    standing = STANDINGS[verified.get(record.record_id)]
    made = record.timestamp.isoformat()
    return made, safe(record.environment.hiereval), standing, safe(record.record_id)


def safe(text: str | None) -> str | None:
    """Return one line of text; what a spreadsheet would take for a formula begins with "'"."""
    if text is None:
        return None
    line = clean(text, _LONGEST)
    return f"'{line}" if line.startswith(_FORMULA) else line
