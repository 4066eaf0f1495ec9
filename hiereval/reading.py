"""Records read from files: each line checked, and all of them together.

Boards, exports, verification and comparison read records through here, so that no record takes
another's place in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hiereval import identity, seals
from hiereval.errors import HierevalError
from hiereval.records import Record

KEEP_ONE = "keep the one that 'hiereval verify' computes again, and delete the other"


def results_files(given: Iterable[Path]) -> Iterator[Path]:
    """Yield files of records: those given, and every *.jsonl below folders but samples."""
    for path in given:
        if not path.exists():
            raise HierevalError(f"The results {str(path)!r} must be a file or folder that exists.")
        for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]:
            if not file.name.endswith(".samples.jsonl"):
                yield file


def read_all(paths: Iterable[Path]) -> list[Record]:
    """Read files, and every *.jsonl below folders; one record of each `record_id` stands.

    Of records that say the same the newest stands, and one with numbers before one without. Two
    that do not say the same raise HierevalError, which names both.
    """
    standing = Standing()
    for file in results_files(paths):
        for number, record in numbered(file):
            problem = standing.add(file, number, record)
            if problem is not None:
                raise HierevalError(f"{file}:{number}: record_id: {problem}; {KEEP_ONE}")
    return list(standing.records.values())


class Standing:
    """The records that stand, by `record_id`, and where each was read."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._places: dict[str, tuple[Path, int]] = {}

    def add(self, file: Path, number: int, record: Record) -> str | None:
        """Let a record stand; return what is wrong where another says something else."""
        old = self.records.get(record.record_id)
        if old is not None:
            differs = identity.difference(old, record)
            if differs is not None:
                first, line = self._places[record.record_id]
                return f"{record.record_id} has another {differs} at {first}:{line}"
            if stands(old, record) is old:
                return None
        self.records[record.record_id] = record
        self._places[record.record_id] = (file, number)
        return None


def stands(old: Record, new: Record) -> Record:
    """Return which of two records of one thing stands: one with numbers, then the newest."""
    if (old.status == "ok") != (new.status == "ok"):
        return old if old.status == "ok" else new
    return old if old.timestamp > new.timestamp else new


# --- lines ---------------------------------------------------------------------------------------


def read(path: Path) -> Iterator[Record]:
    """Yield the records of one file; a bad line raises, naming file, line and field."""
    return (record for _, record in numbered(path))


def numbered(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield the records of one file as `read` does, each with the number of its line."""
    for number, text in seals.lines(path):
        record = parsed(text)
        if record is None:
            value = seals.opened(path, number, text)
            if value is None:
                return
            record = _validated(path, number, value)
        _named_once(record)
        yield number, record


def _validated(path: Path, number: int, value: dict[str, Any]) -> Record:
    try:
        return Record.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the record"
        raise HierevalError(f"{path}:{number}: {where}: {first['msg']}") from error


_DIGITS = bytes(48 if 48 <= c <= 57 else 32 for c in range(256))  # every digit is 0, else blank
_RUN = b"0" * 19
_BEFORE = frozenset(b" \t\r\n:,[-")  # what stands before a number, and not before its decimals


def parsed(text: bytes) -> Record | None:
    """Return the record of a sealed line at once; None where anything about it must be looked at.

    The same as `seals.unsealed` and validation, in a fifth of the time: a line that might hold
    halves of surrogate pairs, numbers beyond 64 bits or deep nesting is left to them.
    """
    head = seals.head_of(text)
    escapes = b"\\" in text and b"\\u" in text  # one byte is found much sooner than two
    if head is None or escapes or _has_long_number(text):
        return None
    try:
        record = Record.model_validate_json(head)
    except ValidationError:
        return None
    free = (record.task.parameters, record.probe.parameters, record.summary)
    if any(part and seals.deeper(part, seals.DEEPEST - 2) for part in free):
        return None
    return _shared(record)


def _has_long_number(text: bytes) -> bool:
    """Whether a number may have more than 18 digits before its decimals."""
    digits = text.translate(_DIGITS)
    at = digits.find(_RUN)
    while at >= 0:
        if text[at - 1] in _BEFORE:
            return True
        at = digits.find(_RUN, digits.find(b" ", at))  # an object's line ends in no digit
    return False


def _shared(record: Record) -> Record:
    """Let records that follow one another share the parts that would be written alike."""
    own = record.__dict__
    for name, (free, told) in _IN_COMMON.items():
        part = own[name]
        key = name if name in _ONE else (name, part.name)
        known = _SHARED.get(key)
        if known is not None and _alike(known.__dict__, part.__dict__, free, told):
            own[name] = known
        else:
            _SHARED[key] = part
    task = record.task.name
    for name, metric in record.metrics.items():
        fields = metric.__dict__
        ceilings = _CEILINGS.get((task, name))  # they are of the data, not of the model
        if ceilings is not None and _same_scores(ceilings, fields["ceilings"]):
            fields["ceilings"] = ceilings
        else:
            _CEILINGS[task, name] = fields["ceilings"]
    return record


def _alike(
    known: dict[str, Any], part: dict[str, Any], free: str, told: Callable[[Any], Any]
) -> bool:
    """Whether two parts are written alike: equal, and so what is told of their free field."""
    return known == part and told(known[free]) == told(part[free])


def _same_scores(a: dict[str, float], b: dict[str, float]) -> bool:
    return a == b and list(a) == list(b) and 0.0 not in a.values()  # which may be -0.0


def _named_once(record: Record) -> None:
    """Let parts whose fields were all given have one set of their names: with the parts that are
    shared, half of the memory of records that are kept."""
    metrics = record.metrics.values()
    parts = (record.model, record.task, record.dataset, record.probe, record.environment)
    nulls = [null for metric in metrics for null in metric.nulls.values()]
    for part in (record, record.timings, *parts, *metrics, *nulls):
        given, kind = part.__pydantic_fields_set__, type(part)
        names = _NAMES.get(kind)
        if names is None:
            names = _NAMES[kind] = set(kind.__pydantic_fields__)
        if given is not names and len(given) == len(names):
            _set(part, "__pydantic_fields_set__", names)


_IN_COMMON: dict[str, tuple[str, Callable[[Any], Any]]] = {
    # part -> the field that equality does not fix, and what does: 1 is not True, 0.0 not -0.0, and
    # keys have an order
    "model": ("curvature", repr),
    "task": ("parameters", repr),
    "dataset": ("split", str),
    "probe": ("parameters", repr),
    "environment": ("packages", list),
}
_ONE = frozenset({"model", "environment"})  # of these the last is kept, of the others the last of
_SHARED: dict[str | tuple[str, str], BaseModel] = {}  # each name
_CEILINGS: dict[tuple[str, str], dict[str, float]] = {}
_NAMES: dict[type[BaseModel], set[str]] = {}
_set = object.__setattr__
