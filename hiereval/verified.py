"""Verification records: what was computed again, from what, and the standing that it gives a row.

One says which record it is of, to the byte, from which files the numbers were computed again, by
which version, and how far they lay apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from hiereval import seals
from hiereval.errors import HierevalError
from hiereval.records import Name, Record, Strict

SUFFIX = ".verified.json"
Evidence = Literal["vectors", "samples"]  # what the numbers were computed again from
STANDINGS: Mapping[Evidence | None, str] = {
    "vectors": "verified",
    "samples": "verified from samples",  # weaker: the scores of single items are the submitter's
    None: "measured",
}


class Source(Strict):
    """A file that the numbers were computed from."""

    name: Name
    sha256: str


class Verification(Strict):
    """One record whose every number was computed again."""

    record_id: Name
    record_sha256: str
    by: str  # version of hiereval
    of: Evidence
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


def standing(given: Iterable[Path], records: Iterable[Record]) -> dict[str, Evidence]:
    """Return, by `record_id`, what the records were verified from that verification records are
    of, to the byte: vectors where there are both."""
    known: dict[str, dict[str, Evidence]] = {}  # record_id -> hash of the content -> evidence
    for one in (one for path in _files(given) for one in read(path)):
        contents = known.setdefault(one.record_id, {})
        if contents.get(one.record_sha256) != "vectors":
            contents[one.record_sha256] = one.of
    there = ((r, known[r.record_id]) for r in records if r.record_id in known)
    found = ((r.record_id, contents.get(content_hash(r))) for r, contents in there)
    return {record_id: evidence for record_id, evidence in found if evidence is not None}


def _files(given: Iterable[Path]) -> Iterator[Path]:
    for path in given:
        if not path.exists():
            raise HierevalError(
                f"The verification {str(path)!r} must be a file or folder that exists."
            )
        yield from sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]
