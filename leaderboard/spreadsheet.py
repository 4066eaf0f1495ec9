"""CSV: every metric of every record, one row each; no cell that a spreadsheet would execute."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hiereval.findings import Beside
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
_SPECIAL = re.compile('[",\r\n]').search  # what a cell is quoted for
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
    yield f"{joined(HEADER)}\n"
    standing, left_out = one_of_each(records)
    beside = Beside(standing)
    instead = {repeat.record.record_id: repeat.stands.record_id for repeat in left_out}
    for record in records:
        before = _before(record)
        after = joined((*_after(record, verified), safe(instead.get(record.record_id))))
        for name, metric in record.metrics.items() or [("", None)]:
            own = joined((safe(name), *_of_metric(record, name, metric, beside)))
            yield f"{before},{own},{after}\n"


def joined(cells: Iterable[object]) -> str:
    """Return cells as a row has them, as `csv` would, in a fifth of its time; None is empty.

    >>> joined([None, 0.1, True, "a", 'the "b", here'])
    ',0.1,True,a,"the ""b"", here"'
    """
    texts = ["" if cell is None else str(cell) for cell in cells]
    return ",".join([_quoted(text) if _SPECIAL(text) else text for text in texts])


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


# --- cells ---------------------------------------------------------------------------------------


def _before(record: Record) -> str:
    run = record.seed, record.bootstrap_resamples, record.null_draws
    parts = _of_model(record.model), _of_data(record.dataset), _of_task(record.task), joined(run)
    outcome = joined((record.status, safe(record.reason)))
    return ",".join((*parts, _of_probe(record.probe), outcome))


@once
def _of_model(model: ModelInfo) -> str:
    names = model.name, model.adapter, public(model.checkpoint), model.revision, model.fingerprint
    return joined((*map(safe, (*names, model.dtype)), model.random_init))


@once
def _of_data(data: DatasetInfo) -> str:
    names = data.name, data.split, data.revision, data.sha256
    return joined((*map(safe, names), data.n_truncated))


@once
def _of_task(task: TaskInfo) -> str:
    return joined((safe(task.name), task.version, safe(parameters_text(task))))


@once
def _of_probe(probe: ProbeInfo) -> str:
    shuffled = probe.training.shuffled if probe.training else None
    return joined((safe(probe.name), safe(parameters_text(probe)), probe.seed, shuffled))


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
