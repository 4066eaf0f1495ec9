"""Numbers computed again from what was submitted, and the record of it.

A verification record says which record it is of, to the byte, from which files the numbers were
computed again, by which version, and how far they lay apart. It is written only where all agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from hiereval import seals
from hiereval.errors import HierevalError
from hiereval.records import Name, Record, Strict

SUFFIX = ".verified.json"
TOLERANCE = 1e-9


class Source(Strict):
    """A file that the numbers were computed from."""

    name: Name
    sha256: str


class Verification(Strict):
    """One record whose every number was computed again."""

    record_id: Name
    record_sha256: str
    by: str  # version of hiereval
    of: str  # "vectors" or "samples"
    sources: list[Source]
    numbers: int  # how many were compared
    largest_difference: float
    date: str  # ISO 8601


def content_hash(record: Record) -> str:
    """Return the sha256 of what a record says."""
    return hashlib.sha256(record.model_dump_json().encode()).hexdigest()


def write(path: Path, found: Iterable[Verification]) -> None:
    """Write verification records, whole. Raises OSError."""
    seals.write_json(path, {"verified": [one.model_dump() for one in found]})


def read(path: Path) -> list[Verification]:
    """Return the verification records of a file; what is none raises HierevalError."""
    content = seals.read_json(path)
    try:
        return [Verification.model_validate(one) for one in content["verified"]]
    except (KeyError, TypeError, ValidationError) as error:
        raise HierevalError(f"The file '{path}' must be what 'hiereval verify' wrote.") from error


def verified(given: Iterable[Path], records: Iterable[Record]) -> frozenset[str]:
    """Return the `record_id` of the records that verification records are of, to the byte."""
    known = {(one.record_id, one.record_sha256) for path in _files(given) for one in read(path)}
    if not known:
        return frozenset()
    named = {record_id for record_id, _ in known}
    return frozenset(
        record.record_id
        for record in records
        if record.record_id in named and (record.record_id, content_hash(record)) in known
    )


def _files(given: Iterable[Path]) -> Iterator[Path]:
    for path in given:
        if not path.exists():
            raise HierevalError(
                f"The verification {str(path)!r} must be a file or folder that exists."
            )
        yield from sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]
