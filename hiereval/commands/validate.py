"""`hiereval validate`: check results files line by line, and all of them together."""

from __future__ import annotations

import gc
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hiereval.agreement import Agreement
from hiereval.copies import Copies
from hiereval.errors import HierevalError, shorten
from hiereval.reading import results_files
from hiereval.seals import CHECKSUM, lines, unsealed

if TYPE_CHECKING:
    from hiereval.checks import Problem
    from hiereval.records import Record

_SHOWN = 50


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--beside",
    type=click.Path(path_type=Path),
    help="Records that stand already: FILES must not contradict them. They are not checked.",
)
@click.option("--schema", is_flag=True, help="Check only that each line is a record.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(files: tuple[Path, ...], beside: Path | None, schema: bool, form: str) -> None:
    """Check every record of FILES (or of the *.jsonl below a folder).

    Values must lie in their ranges and intervals, tasks, versions and metrics be registered here,
    data and fingerprints be what they say. Two records of the same thing with other numbers are a
    conflict. Each problem is named by file, line and field; any makes the exit code 2. A model that
    looks like another one under a second name, or intervals of few resamples, are a note.
    """
    gc.disable()  # records hold no cycles, and looking for some takes a tenth of the time
    report = _Report()
    given = _files(files)
    for path in _beside(beside, given):
        _know(report, path)
    for path in given:
        _read(report, path, schema)
    _conflicts(report)
    if form == "json":
        click.echo(json.dumps(report.written(), indent=1))
        if report.found:
            raise click.exceptions.Exit(2)
        return
    notes = [f"note: {one['file']}:{one['line']}: {one['note']}" for one in report.notes]
    if notes:
        click.echo(shorten(notes, _SHOWN), err=True)
    if report.found:
        told = [
            f"{p['file']}:{p['line']}: {p['field']}: {p['problem']}; {p['mend']}"
            for p in report.found
        ]
        click.echo(shorten(told, _SHOWN), err=True)
        raise HierevalError(f"{report.refused:,} of {report.records:,} records are refused.")
    click.echo(f"{report.records:,} records are valid.")


@dataclass
class _Report:
    """What was found so far."""

    records: int = 0
    found: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    agreement: Agreement = field(default_factory=Agreement)
    copies: Copies = field(default_factory=Copies)
    places: dict[str, list[tuple[Path, int]]] = field(default_factory=dict)  # of each record_id

    def add(self, path: Path, line: int, problem: Problem) -> None:
        from hiereval.printable import clean

        parts = {name: clean(text, 300) for name, text in asdict(problem).items()}
        self.found.append(
            {"file": str(path), "line": line, "field": parts["field"], "problem": parts["what"],
             "mend": parts["mend"]}
        )  # fmt: skip

    def note(self, path: Path, line: int, text: str) -> None:
        from hiereval.printable import clean

        self.notes.append({"file": str(path), "line": line, "note": clean(text, 500)})

    @property
    def refused(self) -> int:
        """How many lines have a problem."""
        return len({(one["file"], one["line"]) for one in self.found})

    def written(self) -> dict[str, Any]:
        """Return the report for a machine."""
        return {
            "records": self.records,
            "refused": self.refused,
            "problems": self.found,
            "notes": self.notes,
        }


def _read(report: _Report, path: Path, schema: bool) -> None:
    """Check every line of a file, as far as it can be read."""
    from hiereval.checks import LEAVE, Problem

    number = 0
    try:
        for number, line in lines(path):
            report.records += 1
            _check(report, path, number, line, schema)
    except HierevalError as error:
        report.records += 1
        place, what = f"{path}:{number + 1}: ", str(error)
        problem = Problem("the line", what.removeprefix(place), LEAVE)
        if not what.startswith(place):
            problem = Problem("the file", what.rstrip("."), "make it readable, or leave it out")
        report.add(path, number + 1, problem)


def _know(report: _Report, path: Path) -> None:
    """Remember what a file's records say of data and tasks, and where each stands."""
    from hiereval.reading import parsed

    for number, line in lines(path):
        record = parsed(line)
        if record is not None:
            list(report.agreement.add(f"{path}:{number}", record))
            list(report.copies.add(f"{path}:{number}", record))
            report.places.setdefault(record.record_id, []).append((path, number))


def _check(report: _Report, path: Path, number: int, line: bytes, schema: bool) -> None:
    from hiereval import checks

    record = _record(report, path, number, line)
    if record is None or schema:
        return
    found = checks.problems(record)
    told = report.agreement.add(f"{path}:{number}", record)
    found += [checks.Problem(*one, "verify both with 'hiereval verify'") for one in told]
    for problem in found:
        report.add(path, number, problem)
    for note in (checks.note(record), *report.copies.add(f"{path}:{number}", record)):
        if note is not None:
            report.note(path, number, note)
    report.places.setdefault(record.record_id, []).append((path, number))


def _conflicts(report: _Report) -> None:
    """Read once more the records of which there are several, and compare them."""
    from hiereval.checks import Problem
    from hiereval.reading import KEEP_ONE, Standing

    several: dict[Path, set[int]] = {}
    for places in report.places.values():
        for path, number in places if len(places) > 1 else ():
            several.setdefault(path, set()).add(number)
    standing = Standing()
    for path, numbers in several.items():
        for number, line in lines(path):
            record = _record(report, path, number, line) if number in numbers else None
            conflict = record and standing.add(path, number, record)
            if conflict:
                report.add(path, number, Problem("record_id", conflict, KEEP_ONE))


def _record(report: _Report, path: Path, number: int, line: bytes) -> Record | None:
    """Return the record of a line; None, and what is wrong with it in the report."""
    from pydantic import ValidationError

    from hiereval.checks import LEAVE, Problem
    from hiereval.reading import parsed
    from hiereval.records import Record

    record = parsed(line)
    if record is not None:
        return record
    try:
        return Record.model_validate(unsealed(line))
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            where = ".".join(map(str, problem["loc"])) or "the record"
            report.add(path, number, Problem(where, problem["msg"], LEAVE))
    except ValueError as error:
        what, _, mend = str(error).partition("; ")
        field = CHECKSUM if what.startswith(CHECKSUM) else "the line"
        report.add(path, number, Problem(field, what.removeprefix(f"{field}: "), mend or LEAVE))
    return None


def _beside(beside: Path | None, given: list[Path]) -> list[Path]:
    """Return the files of what stands already, without those that are given."""
    own = {path.absolute() for path in given}
    there = results_files([] if beside is None else [beside])
    return [path for path in there if path.absolute() not in own]


def _files(given: tuple[Path, ...]) -> list[Path]:
    found = {path: list(results_files([path])) for path in given}
    for path, files in found.items():
        if not files:
            raise HierevalError(
                f"The results {str(path)!r} must be a file, or a folder with *.jsonl files."
            )
    return [file for files in found.values() for file in files]
