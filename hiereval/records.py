"""Results: one JSON line per model, dataset, task and probe, complete on its own.

The schema is the only thing that a board, an export or a comparison reads. Lines are appended,
flushed and synced as soon as they are known, each with a checksum that is checked when it is
read. A line that a killed run left half written is told from a bad one, and mended.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Annotated, Any, Literal

from filelock import FileLock
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from hiereval import files, seals
from hiereval.errors import HierevalError

SCHEMA_VERSION = 1
Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """Fields are fixed: an unknown one is an error that names it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        ser_json_inf_nan="strings",  # an unbounded range is "Infinity": JSON has no other way
    )


class ModelInfo(Strict):
    """Which model was measured; `fingerprint` identifies its vectors."""

    name: Name
    adapter: Name
    adapter_version: int
    checkpoint: str
    revision: str | None
    fingerprint: str
    weights_sha256: str | None
    config_sha256: str | None
    preprocess_fingerprint: str | None
    tokenizer_fingerprint: str | None
    embed_dim: int | None
    n_params: int | None
    dtype: str
    context_length: int | None
    geometry: str
    curvature: Finite | None
    root_text: str
    random_init: int | None
    trust_remote_code: bool
    output_dtype: str | None = None  # of what a library gave back that chooses it
    conformance: str | None = None  # what became of the checks when it first encoded


class TaskInfo(Strict):
    """Which task, with every parameter's value."""

    name: Name
    version: int
    parameters: dict[str, Any]


class DatasetInfo(Strict):
    """Which data: `n` items were scored, `n_truncated` texts exceeded the context length."""

    name: Name
    split: str
    revision: str | None
    sha256: str
    images_sha256: str | None = None  # of the images' names and content; None without images
    image_source: str
    n_texts: int
    n_images: int
    n_truncated: int | None


class TrainingInfo(Strict):
    """What a trained probe was fitted on, and whether each chain's tiers were shuffled."""

    dataset: str
    split: str
    sha256: str
    n: int
    shuffled: bool = False
    probe_sha256: str | None = None


class SeenInfo(Strict):
    """How much of the scored text the probe or the model was trained on, string by string."""

    texts: list[int]  # distinct strings of each tier
    seen: list[int]  # of them trained on
    chains: int
    unseen_chains: int  # none of whose strings, negatives included, was trained on


class ProbeInfo(Strict):
    """Which probe; `seed` and `training` are null for a learning-free one."""

    name: Name
    parameters: dict[str, Any]
    seed: int | None = None
    training: TrainingInfo | None = None

    @property
    def shuffled(self) -> bool:
        """Whether it was fitted on shuffled tiers; False for a probe proper, trained or not."""
        return self.training is not None and self.training.shuffled


class NullValue(Strict):
    """What the metric reached when vectors or images were dealt out at random: its mean, standard
    deviation and 95 % range over `draws`, and p = (1 + draws at least as good) / (draws + 1)."""

    mean: Finite
    sd: Finite
    low: Finite
    high: Finite
    p: Finite
    draws: int  # in which it was defined


class MetricValue(Strict):
    """A value with its bootstrap interval, or null with the reason.

    Beside it the bars that a finding is beyond: `nulls` by what was dealt out, and `ceilings`, the
    values of scores that see no image and no model.
    """

    value: Finite | None
    ci_low: Finite | None
    ci_high: Finite | None
    ci_level: Finite
    n: int  # items with a defined value
    undefined_reason: str | None
    higher_is_better: bool | None
    range: tuple[float, float] | None = None
    chance: Finite | None = None
    role: Literal["headline", "quality", "descriptive", "retention"] = "quality"
    nulls: dict[str, NullValue] = Field(default_factory=dict)
    ceilings: dict[str, Finite] = Field(default_factory=dict)
    caution: str | None = None  # why the interval promises more than it holds

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> MetricValue:
        if (self.value is None) != (self.undefined_reason is not None):
            raise ValueError("a value is null exactly when undefined_reason is given")
        return self


class Timings(Strict):
    """Seconds spent in this run; null images a second: all came from the store."""

    encode_s: Finite
    first_s: Finite | None = None  # of encode_s, the first batches: imports and weights load there
    forward_share: Finite | None = None  # of the rest of encode_s, in the network
    fit_s: Finite
    score_s: Finite
    images_per_s: Finite | None
    texts_per_s: Finite | None


class Environment(Strict):
    """What else the numbers may depend on."""

    hiereval: str
    python: str
    packages: dict[str, str]
    device: str
    driver: str | None
    git_commit: str | None
    git_dirty: bool | None
    plugins: list[str]


class Record(Strict):
    """One line of a results file. `record_id` is the same whenever the same thing is measured."""

    schema_version: Literal[1] = 1
    run_id: Name
    record_id: Name
    timestamp: AwareDatetime
    status: Literal["ok", "skipped", "failed"]
    reason: str | None
    model: ModelInfo
    task: TaskInfo
    dataset: DatasetInfo
    probe: ProbeInfo
    metrics: dict[str, MetricValue]
    environment: Environment
    timings: Timings
    batch_size: int | None
    bootstrap_resamples: int
    seed: int
    limit: int | None
    seen: SeenInfo | None = None  # null: nothing was trained here
    summary: dict[str, Any] = Field(default_factory=dict)  # small extras for plots, task-defined

    @model_validator(mode="after")
    def _not_ok_has_a_reason(self) -> Record:
        if (self.status == "ok") == (self.reason is not None):
            raise ValueError("reason is given exactly when status is skipped or failed")
        return self


def line(record: Record) -> bytes:
    """Return a record as it stands in a file: JSON, its checksum, a line break."""
    return seals.sealed(record.model_dump_json())


def read(path: Path) -> Iterator[Record]:
    """Yield the records of one file; a bad line raises, naming file, line and field."""
    for number, text in seals.lines(path):
        record = parsed(text)
        if record is None:
            value = seals.opened(path, number, text)
            if value is None:
                return
            record = _validated(path, number, value)
        yield record


def _validated(path: Path, number: int, value: dict[str, Any]) -> Record:
    try:
        return Record.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the record"
        raise HierevalError(f"{path}:{number}: {where}: {first['msg']}") from error


_DIGITS = bytes(48 if 48 <= c <= 57 else 32 for c in range(256))  # every digit is 0, else blank
_NUMBER = re.compile(rb"[\s:,\[-][0-9]{19}")
_ESCAPE = b"\\u"


def parsed(text: bytes) -> Record | None:
    """Return the record of a sealed line at once; None where anything about it must be looked at.

    The same as `seals.unsealed` and validation, in a fifth of the time: a line that might hold
    halves of surrogate pairs, numbers beyond 64 bits or deep nesting is left to them.
    """
    head = seals.head_of(text)
    if head is None or _ESCAPE in text or _has_long_number(text):
        return None
    try:
        record = Record.model_validate_json(head)
    except ValidationError:
        return None
    free = (record.task.parameters, record.probe.parameters, record.summary)
    return None if any(seals.deeper(part, seals.DEEPEST - 2) for part in free) else _light(record)


def _has_long_number(text: bytes) -> bool:
    """Whether a number may have more than 18 digits; looked for closely only where one might."""
    return b"0" * 19 in text.translate(_DIGITS) and _NUMBER.search(text) is not None


def _light(record: Record) -> Record:
    """Let parts whose fields were all given share one set of their names: half of the memory."""
    parts: list[BaseModel] = [record, record.model, record.task, record.dataset, record.probe,
                              record.environment, record.timings]  # fmt: skip
    for metric in record.metrics.values():
        parts.append(metric)
        parts.extend(metric.nulls.values())
    for part in parts:
        given = part.__pydantic_fields_set__
        object.__setattr__(
            part, "__pydantic_fields_set__", _NAMES.setdefault(frozenset(given), given)
        )
    return record


_NAMES: dict[frozenset[str], set[str]] = {}


def read_all(paths: Iterable[Path]) -> list[Record]:
    """Read files, and every *.jsonl below folders, keeping the newest of each `record_id`."""
    newest: dict[str, Record] = {}
    for path in paths:
        if not path.exists():
            raise HierevalError(f"The results {str(path)!r} must be a file or folder that exists.")
        for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]:
            if file.name.endswith(".samples.jsonl"):
                continue
            for record in read(file):
                old = newest.get(record.record_id)
                if old is None or old.timestamp <= record.timestamp:
                    newest[record.record_id] = record
    return list(newest.values())


def check_writable(path: Path) -> None:
    """Raise now, before anything is computed, if records could not be appended later."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise HierevalError(
            f"The output folder {str(path.parent)!r} must be writable: {error}. "
            "Another can be given with --output-path."
        ) from error


def append(path: Path, record: Record, *, since: int | None = None) -> Record:
    """Append one line and sync it to disk; on any failure the file is as it was before.

    With `since` (a number of bytes) a record of the same thing that another run has appended
    after them, and that did not fail, stays the only one, and is returned.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{files.safe_name(path.name)}.lock"))
        with lock, path.open("a+b", buffering=0) as file:
            _mend(file, path)
            there = None if since is None else _appended(file, since, record.record_id)
            if there is None:
                _append(file, line(record))
    except OSError as error:
        raise HierevalError(f"The results file {str(path)!r} cannot be written: {error}") from error
    return there or record


def _append(file: FileIO, content: bytes) -> None:
    size = file.seek(0, os.SEEK_END)
    try:
        if file.write(content) != len(content):
            raise OSError(f"only part of the {len(content):,} bytes could be written")
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), size)
        raise


def _mend(file: FileIO, path: Path) -> None:
    """Make the file end with a line break; the half of a record goes into `<name>.torn`."""
    start = _last_line(file)
    file.seek(start)
    last = file.read()
    if not last or last.endswith(b"\n"):
        return
    if not seals.torn(last):
        _append(file, b"\n")
        return
    with path.with_name(f"{path.name}.torn").open("ab", buffering=0) as aside:
        _append(aside, last + b"\n")
    os.ftruncate(file.fileno(), start)


def _last_line(file: FileIO) -> int:
    """Return where the last line begins that has no line break at its end; else the file's size."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _appended(file: FileIO, since: int, record_id: str) -> Record | None:
    file.seek(since)
    for one in file.read().splitlines():
        if record_id.encode() in one:
            with suppress(ValueError):  # a bad line is for `read` to name
                record = Record.model_validate(seals.unsealed(one))
                if record.record_id == record_id and record.status != "failed":
                    return record
    return None


class ResultsFile:
    """A results file under way: what it held when it was opened, and what is appended since.

    Several processes may hold one file: what another has measured meanwhile is not added again.
    """

    def __init__(self, path: Path) -> None:
        check_writable(path)
        self.path = path
        self._seen = 0
        self.there: dict[str, Record] = {}
        if path.exists():
            with path.open("rb", buffering=0) as file:
                self._seen = _last_line(file)
            self.there = {record.record_id: record for record in read(path)}

    def append(self, record: Record) -> Record:
        """Append a record and return it, or the one that another run has appended meanwhile."""
        return append(self.path, record, since=self._seen)
