"""What tells one measurement from another, and whether two records say the same of one."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hiereval.records import ProbeInfo, Record, TrainingInfo, once

_json = json.JSONEncoder(sort_keys=True, default=str).encode
AGREE = 1e-9  # numbers of one measurement lie no further apart
_OF_ONE_RUN = {"run_id", "timestamp", "environment", "timings", "batch_size"}  # not of what it is


def record_id(
    *, model: str, name: str, dataset: Sequence[Any], task: Sequence[Any], probe: str,
    run: Sequence[Any],
) -> str:  # fmt: skip
    """Return 32 hex digits that are the same whenever the same thing is measured.

    `model` is the fingerprint; `dataset` name, split and hash; `task` name, version and
    parameters; `probe` its key; `run` seed, limit, resamples and draws of the nulls.
    """
    identity = {
        "model": model,
        "name": name,
        "dataset": list(dataset),
        "task": list(task),
        "probe": probe,
        "run": list(run),
    }
    return hashlib.sha256(_json(identity).encode()).hexdigest()[:32]


def probe_key(
    name: str, parameters: Mapping[str, Any], seed: int | None, training: TrainingInfo | None
) -> str:
    """Return what tells a probe from the others of a run."""
    identity = (name, dict(parameters), seed, training.model_dump() if training else None)
    return _json(identity)


def of_record(record: Record) -> str:
    """Return the `record_id` that a record's own fields give."""
    data, task, probe = record.dataset, record.task, record.probe
    return record_id(
        model=record.model.fingerprint,
        name=record.model.name,
        dataset=(data.name, data.split, data.sha256),
        task=(task.name, task.version, task.parameters),
        probe=_key(probe),
        run=(record.seed, record.limit, record.bootstrap_resamples, record.null_draws),
    )


@once
def _key(probe: ProbeInfo) -> str:
    return probe_key(probe.name, probe.parameters, probe.seed, probe.training)


def difference(a: Record, b: Record) -> str | None:
    """Return the first field in which two records of one measurement do not say the same.

    When, where and how fast it was made may differ, and numbers by 1e-9. A record without
    numbers (it failed, or was skipped) contradicts none.
    """
    if a.status != "ok" or b.status != "ok":
        return None
    return first_difference("", _content(a), _content(b))


def first_difference(place: str, a: Any, b: Any) -> str | None:
    """Return where two values of JSON do not say the same, numbers to 1e-9; None: nowhere."""
    return next(_differences(place, a, b), None)


def _content(record: Record) -> dict[str, Any]:
    return record.model_dump(exclude={"model": {"conformance"}} | dict.fromkeys(_OF_ONE_RUN, True))  # type: ignore[arg-type]


def _differences(place: str, a: Any, b: Any) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*a, *b]):
            yield from _differences(f"{place}.{key}" if place else key, a.get(key), b.get(key))
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _differences(f"{place}.{index}", one, other)
    elif isinstance(a, float) and isinstance(b, float):
        if a != b and not math.isclose(a, b, rel_tol=0.0, abs_tol=AGREE):
            yield place
    elif a != b:
        yield place
