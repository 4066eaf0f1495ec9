"""Per-item values: one JSON line an item, one file a record, complete on its own.

A comparison or a new score reads nothing else. Numbers are written so that float32 and float64
come back exactly; NaN is null. A file appears whole or not at all, each line with a checksum.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, ValidationError

from hiereval import files, seals
from hiereval.errors import HierevalError, nearest
from hiereval.findings import structureless
from hiereval.identity import AGREE
from hiereval.records import Name, Record, Strict, TaskInfo
from hiereval.types import Metric, Scores

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".samples.jsonl"
ROWS = 256  # items turned into text at once


class SampledModel(Strict):
    """Which model."""

    name: Name
    fingerprint: str
    random_init: int | None

    @property
    def label(self) -> str:
        """The name, and that its weights are random where they are."""
        return self.name if self.random_init is None else f"{self.name}-random-init"


class SampledData(Strict):
    """Which data."""

    name: Name
    split: str
    sha256: str


class SampledProbe(Strict):
    """Which probe, trained how."""

    name: Name
    parameters: dict[str, Any]
    seed: int | None
    shuffled: bool


class Identity(Strict):
    """What every line of a record's samples says besides its item."""

    schema_version: Literal[1] = 1
    record_id: Name
    run_id: Name
    timestamp: AwareDatetime
    model: SampledModel
    task: TaskInfo
    dataset: SampledData
    probe: SampledProbe
    n: int  # items, so that a file that was cut short is noticed
    undefined: dict[str, str]  # metric -> why it is null
    null_sd: dict[str, float]  # metric -> what encoders without structure scatter by


@dataclass(frozen=True)
class Samples:
    """One record's items, read back."""

    identity: Identity
    scores: Scores
    path: Path


def path_of(output: Path, record: Record) -> Path:
    """Return where a record's samples stand below a results folder; nothing is read from a name."""
    name = f"{record.model.name}-{record.task.name}-{record.dataset.name}-{record.record_id}"
    return output / "samples" / f"{files.safe_name(name, 150)}{SUFFIX}"


def write(path: Path, record: Record, scores: Scores) -> None:
    """Write a record's items, replacing the file; after any failure it is as it was before."""
    identity = Identity(
        record_id=record.record_id,
        run_id=record.run_id,
        timestamp=record.timestamp,
        model=SampledModel(
            name=record.model.name,
            fingerprint=record.model.fingerprint,
            random_init=record.model.random_init,
        ),
        task=record.task,
        dataset=SampledData(
            name=record.dataset.name, split=record.dataset.split, sha256=record.dataset.sha256
        ),
        probe=SampledProbe(
            name=record.probe.name,
            parameters=record.probe.parameters,
            seed=record.probe.seed,
            shuffled=record.probe.shuffled,
        ),
        n=len(scores.ids),
        undefined=dict(scores.undefined),
        null_sd={
            name: null.sd
            for name, value in record.metrics.items()
            if (null := structureless(value)) is not None
        },
    )
    try:
        files.write_whole(path, _lines(identity, scores))
    except OSError as error:
        raise HierevalError(f"The samples {str(path)!r} cannot be written: {error}") from error


def _lines(identity: Identity, scores: Scores) -> Iterator[bytes]:
    head = identity.model_dump_json()[:-1]  # without the closing brace
    for start in range(0, len(scores.ids), ROWS):
        part = slice(start, start + ROWS)
        columns = {name: values[part].tolist() for name, values in scores.items.items()}
        for i, name in enumerate(scores.ids[part]):
            item = {
                "item": name,
                "values": {key: _plain(rows[i]) for key, rows in columns.items()},
                "details": _plain(scores.details(start + i)) if scores.details else {},
            }
            line = f"{head},{json.dumps(item, ensure_ascii=False, allow_nan=False)[1:]}"
            yield seals.sealed(line)


def _plain(value: Any) -> Any:
    """Return JSON: NaN as null, infinities as words, arrays and tensors as lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


# --- reading -------------------------------------------------------------------------------------


@dataclass
class _Group:
    """The lines of one record while they are read."""

    identity: Identity
    ids: list[str] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)


def read(path: Path) -> list[Samples]:
    """Return the records of one samples file; a bad or missing line raises, named."""
    groups: dict[str, _Group] = {}
    for number, item in seals.json_lines(path, seal=True):
        _add(groups, item, f"{path}:{number}")
    if not groups:
        raise HierevalError(f"{path}: the file must hold at least one item.")
    return [_samples(group, path) for group in groups.values()]


def _add(groups: dict[str, _Group], item: dict[str, Any], where: str) -> None:
    if not isinstance(item.get("values"), dict):
        raise HierevalError(f"{where}: values: the line must be an item of 'run --log-samples'.")
    values, details, name = item.pop("values"), item.pop("details", {}), item.pop("item", None)
    group = groups.get(str(item.get("record_id")))
    if group is None:
        try:
            group = _Group(Identity.model_validate(item))
        except ValidationError as error:
            first = error.errors()[0]
            field_name = ".".join(map(str, first["loc"])) or "the line"
            raise HierevalError(f"{where}: {field_name}: {first['msg']}") from error
        groups[group.identity.record_id] = group
    if not isinstance(name, str):
        raise HierevalError(f"{where}: item: the name of the item must be text.")
    if group.values and values.keys() != group.values[0].keys():
        raise HierevalError(f"{where}: values: the names must be {', '.join(group.values[0])}.")
    group.ids.append(name)
    group.values.append(values)
    group.details.append(details)


def _samples(group: _Group, path: Path) -> Samples:
    if len(group.ids) != group.identity.n:
        raise HierevalError(
            f"{path}: the record {group.identity.record_id} must have {group.identity.n:,} items, "
            f"found {len(group.ids):,}."
        )
    items = {
        key: _tensor([row[key] for row in group.values], f"{path}: values.{key}")
        for key in group.values[0]
    }
    scores = Scores(
        ids=group.ids,
        items=items,
        undefined=group.identity.undefined,
        details=lambda i: group.details[i],
    )
    return Samples(group.identity, scores, path)


def _tensor(rows: list[Any], where: str) -> Tensor:
    """Return bool, int64 or float64 [n, ...]."""
    import numpy as np
    import torch

    try:
        array = np.array([_number(row) for row in rows])
    except (ValueError, TypeError) as error:
        raise HierevalError(f"{where}: every item must have numbers of the same shape.") from error
    return torch.from_numpy(array)


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(part) for part in value]
    if value is None:
        return math.nan
    return value if isinstance(value, bool | int) else float(value)


def find(source: Path) -> list[Samples]:
    """Return the samples of a file, or of every samples file below a folder, one of each record:
    the newest of those with the same items. Others raise HierevalError, which names both."""
    files: Iterable[Path] = [source]
    if source.is_dir():
        files = sorted(source.rglob(f"*{SUFFIX}"))
        if not files:
            raise HierevalError(
                f"The folder {str(source)!r} must hold samples (*{SUFFIX}): "
                "'hiereval run --log-samples' writes them."
            )
    elif not source.is_file():
        near = [p.name for p in source.parent.glob("*")] if source.parent.is_dir() else []
        raise HierevalError(
            f"The samples {str(source)!r} must be a file or folder that exists."
            f"{nearest(source.name, near)} 'hiereval run --log-samples' writes them."
        )
    newest: dict[str, Samples] = {}
    for samples in (samples for file in files for samples in read(file)):
        old = newest.get(samples.identity.record_id)
        if old is not None and not _same_items(old.scores, samples.scores):
            raise HierevalError(
                f"The samples '{samples.path}' must hold the items that '{old.path}' holds of the "
                f"record {samples.identity.record_id}. Delete the file that is not of it."
            )
        if old is None or old.identity.timestamp <= samples.identity.timestamp:
            newest[samples.identity.record_id] = samples
    return list(newest.values())


def _same_items(a: Scores, b: Scores) -> bool:
    """Whether two samples of one record hold the same items, numbers to 1e-9."""
    if a.ids != b.ids or a.items.keys() != b.items.keys():
        return False
    pairs = [(a.items[key].double(), b.items[key].double()) for key in a.items]
    return all(
        x.shape == y.shape and x.allclose(y, rtol=0.0, atol=AGREE, equal_nan=True) for x, y in pairs
    )


def metrics_of(task: TaskInfo, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
    """Return the metrics of a task for these items.

    Raises HierevalError if the task is unknown here, or measures something else now.
    """
    from hiereval import estimates, registry

    cls = registry.load("tasks", task.name)
    if cls.version != task.version:
        raise HierevalError(
            f"The samples of {task.name} are of its version {task.version}, and this hiereval has "
            f"version {cls.version}: run the model again."
        )
    configured = registry.configure(cls, task.parameters, f"the task {task.name!r}")
    return estimates.metrics_of(configured, items)
