"""Rows of chain files (CSV, gzipped CSV, JSONL): reading them and naming what is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hiereval.errors import HierevalError, nearest, shorten
from hiereval.seals import parsed

# what a row may hold, and the other spelling that published files use
COLUMNS = {"captions": "positive", "negatives": "negative", "image": "image_url", "id": "id"}
SPELLINGS = tuple(dict.fromkeys([*COLUMNS, *COLUMNS.values()]))


class Place(NamedTuple):
    """Where in a file, for sorting and in words."""

    number: int
    words: str  # "row 3 (line 4)"


@dataclass(frozen=True)
class Row:
    """One chain as it stands in the file; captions stripped, general to specific."""

    place: Place
    captions: tuple[str, ...]
    negatives: tuple[str, ...] | None
    image: str | None  # file name: of an address, its last part
    id: str | None


HEADER = Place(0, "the header")


@dataclass
class Problems:
    """Everything wrong with one file, raised at once."""

    path: Path
    found: list[tuple[Place, str]] = field(default_factory=list)

    def add(self, place: Place, problem: str) -> None:
        """Note a problem at a row."""
        self.found.append((place, problem))

    def fail(self, problem: str) -> HierevalError:
        """Return the error for a problem of the file as a whole."""
        return HierevalError(f"The data file {str(self.path)!r} {problem}")

    def done(self) -> None:
        """Raise one HierevalError if there was a problem."""
        if self.found:
            count = "1 problem" if len(self.found) == 1 else f"{len(self.found):,} problems"
            in_order = sorted(self.found, key=lambda found: found[0].number)
            lines = [f"  {place.words}: {problem}" for place, problem in in_order]
            raise self.fail(f"has {count}:\n{shorten(lines)}")


def read_rows(path: Path, problems: Problems) -> list[Row]:
    """Return the rows that could be read; what could not is in `problems`."""
    text = _text(path, problems)
    read = _json_records if path.name.lower().endswith(".jsonl") else _csv_records
    rows = []
    for place, record in read(text, problems):
        row = _row(place, record, problems)
        if row is not None:
            rows.append(row)
    if not rows and not problems.found:
        raise problems.fail("must hold at least one chain.")
    return rows


def _text(path: Path, problems: Problems) -> str:
    try:
        data = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            data = gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise problems.fail(f"must be a complete gzip file: {error}.") from error
    except OSError as error:
        raise problems.fail(f"cannot be read: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise problems.fail(f"must be UTF-8; line {line} is not.") from error


def _csv_records(text: str, problems: Problems) -> Iterator[tuple[Place, dict[str, object]]]:
    csv.field_size_limit(max(len(text), csv.field_size_limit()))  # a caption may be a whole book
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number, line, header = 0, 0, None
    while True:
        start = line + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            place = Place(number + 1, f"row {number + 1} (line {start})")
            problems.add(HEADER if header is None else place, f"{reason}; nothing more was read")
            return
        line = reader.line_num
        if not values:
            continue
        if header is None:
            header = [name.strip() for name in values]
            _check_columns(header, problems)
            continue
        number += 1
        place = Place(number, f"row {number} (line {start})")
        if len(values) != len(header):
            quoted = " (a comma in a caption needs quotes)" if len(values) > len(header) else ""
            problems.add(place, f"{len(values)} fields where the header has {len(header)}{quoted}")
            continue
        yield place, dict(zip(header, values, strict=True))


def _check_columns(header: list[str], problems: Problems) -> None:
    named = ", ".join(map(repr, header))
    mark = next((mark for mark in ";\t|" if header and mark in header[0]), None)
    if mark and len(header) == 1 and ("captions" in header[0] or "positive" in header[0]):
        raise problems.fail(
            f"must have commas between its columns, not {mark!r}; a caption that holds a comma "
            "then needs quotes."
        )
    if "captions" not in header and "positive" not in header:
        hints = [hint for hint in (nearest(h, ("captions", "positive")) for h in header) if hint]
        raise problems.fail(
            f"must have a column 'captions' or 'positive'; it has {named}.{''.join(hints[:1])}"
        )
    if len(set(header)) < len(header):
        raise problems.fail(f"must have each column once; it has {named}.")
    for name in header:
        _check_spelling(name, header, HEADER, problems)


def _check_spelling(name: str, present: Sequence[str], place: Place, problems: Problems) -> None:
    hint = nearest(name, [c for c in SPELLINGS if c not in present])
    if name not in SPELLINGS and hint:
        problems.add(place, f"{name!r} is unknown.{hint}")


def _json_records(text: str, problems: Problems) -> Iterator[tuple[Place, dict[str, object]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = Place(number, f"line {number}")
        try:
            record = parsed(line)
        except ValueError as error:
            problems.add(place, f"not JSON: {error}")
            continue
        if not isinstance(record, dict):
            problems.add(place, f'must be an object like {{"captions": [...]}}, not {line[:40]}')
            continue
        for name in record:
            _check_spelling(name, list(record), place, problems)
        yield place, record


def _row(place: Place, record: dict[str, object], problems: Problems) -> Row | None:
    def get(name: str) -> object:
        return record.get(name, record.get(COLUMNS[name]))

    before = len(problems.found)
    captions = _captions("captions", get("captions"), place, problems)
    negatives = None
    if get("negatives") is not None:
        negatives = _captions("negatives", get("negatives"), place, problems)
    image, identity = get("image"), get("id")
    if image is not None and (not isinstance(image, str) or not image.strip()):
        problems.add(place, f"the image must be a file name, not {image!r}")
    if isinstance(image, str) and "://" in image:
        image = image.rsplit("/", 1)[1]
    if len(problems.found) > before:
        return None
    return Row(
        place,
        captions,
        negatives,
        None if image is None else str(image).strip(),
        None if identity is None else str(identity).strip(),
    )


def _captions(what: str, value: object, place: Place, problems: Problems) -> tuple[str, ...]:
    """Split 'a => b => c' (or take a list) and strip, as the released code does."""
    parts = value.split("=>") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        problems.add(place, f"the {what} must be a list of texts, not {json.dumps(value)[:40]}")
        return ()
    captions = tuple(part.strip() for part in parts)
    empty = [str(tier) for tier, caption in enumerate(captions, 1) if not caption]
    if empty or not captions:
        problems.add(place, f"the {what} are empty at tier {', '.join(empty) or '1'}")
    return captions


def check(rows: Sequence[Row], problems: Problems, tiers: int | None = None) -> None:
    """Note every row whose form differs from the others' (or from `tiers`), and repeated ids."""
    if not rows:
        return
    k = tiers or Counter(len(row.captions) for row in rows).most_common(1)[0][0]
    must = f"every chain must have {k}" if tiers else f"most chains have {k}"
    if k < 2:
        raise problems.fail(
            "must hold chains of two or more captions, general to specific, separated by '=>'."
        )
    with_negatives = any(row.negatives is not None for row in rows)
    with_images = any(row.image is not None for row in rows)
    ids: dict[str, Place] = {}
    for row in rows:
        if len(row.captions) != k:
            problems.add(row.place, f"{_count(row.captions)}; {must}")
        if row.negatives is not None and len(row.negatives) != len(row.captions):
            problems.add(row.place, f"{len(row.negatives)} negatives for {_count(row.captions)}")
        if with_negatives and row.negatives is None:
            problems.add(row.place, "no negatives, though other chains have them")
        if with_images and row.image is None:
            problems.add(row.place, "no image, though other chains have one")
        if row.id is not None and ids.setdefault(row.id, row.place) != row.place:
            problems.add(row.place, f"the id {row.id!r} stands already at {ids[row.id].words}")


def _count(captions: Sequence[str]) -> str:
    return f"{len(captions)} caption{'s' if len(captions) > 1 else ''}"
