"""CSV: every metric of every record, one row each; no cell that a spreadsheet would execute."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

from hiereval.findings import Beside
from hiereval.leaderboard.wording import clean, public
from hiereval.records import MetricValue, Record

_LONGEST = 1000
_FORMULA = ("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠")
HEADER = (
    "model", "adapter", "checkpoint", "revision", "fingerprint", "dtype", "random_init",
    "dataset", "split", "dataset_revision", "dataset_sha256", "n_truncated",
    "task", "task_version", "parameters", "probe", "probe_parameters", "probe_seed",
    "probe_shuffled", "status", "reason", "metric", "value", "ci_low", "ci_high", "ci_level", "n",
    "undefined_reason", "higher_is_better", "chance", "finding", "because", "date", "hiereval",
    "record_id",
)  # fmt: skip


def written(records: Iterable[Record]) -> str:
    """Return the whole table; a record without metrics has one row that says why."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    given = list(records)
    beside = Beside(given)
    for record in given:
        for name, metric in record.metrics.items() or [("", None)]:
            writer.writerow(["" if v is None else v for v in _row(record, name, metric, beside)])
    return out.getvalue()


def _row(record: Record, name: str, metric: MetricValue | None, beside: Beside) -> Iterator[object]:
    model, data, probe = record.model, record.dataset, record.probe
    yield from map(safe, (model.name, model.adapter, public(model.checkpoint), model.revision))
    yield from (safe(model.fingerprint), safe(model.dtype), model.random_init)
    yield from map(safe, (data.name, data.split, data.revision, data.sha256))
    yield from (data.n_truncated, safe(record.task.name), record.task.version)
    yield safe(json.dumps(record.task.parameters, sort_keys=True))
    yield from (safe(probe.name), safe(json.dumps(probe.parameters, sort_keys=True)), probe.seed)
    yield probe.training.shuffled if probe.training else None
    yield from (record.status, safe(record.reason), safe(name))
    if metric is None:
        yield from [None] * 10
    else:
        yield from (metric.value, metric.ci_low, metric.ci_high, metric.ci_level, metric.n)
        yield from (safe(metric.undefined_reason), metric.higher_is_better, metric.chance)
        verdict = beside.finding(record, name)
        yield from (verdict.finding, safe(verdict.because))
    yield from (record.timestamp.isoformat(), safe(record.environment.hiereval))
    yield safe(record.record_id)


def safe(text: str | None) -> str | None:
    """Return one line of text; what a spreadsheet would take for a formula begins with "'"."""
    if text is None:
        return None
    line = clean(text, _LONGEST)
    return f"'{line}" if line.startswith(_FORMULA) else line
