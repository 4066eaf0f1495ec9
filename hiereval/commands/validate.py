"""`hiereval validate`: check results files line by line against the schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from hiereval.errors import HierevalError, shorten
from hiereval.seals import lines, unsealed

_SHOWN = 50


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(files: tuple[Path, ...]) -> None:
    """Check every record of FILES (or of the *.jsonl below a folder).

    Each problem is named by file, line and field; any problem makes the exit code 2.
    """
    problems: list[str] = []
    records = 0
    for path in _files(files):
        for number, line in lines(path):
            records += 1
            problems += [f"{path}:{number}: {found}" for found in _problems(line)]
    if problems:
        lines_at_fault = len({problem.split(": ")[0] for problem in problems})
        click.echo(shorten(problems, _SHOWN), err=True)
        raise HierevalError(f"{lines_at_fault:,} of {records:,} records are refused.")
    click.echo(f"{records:,} records are valid.")


def _files(given: tuple[Path, ...]) -> Iterator[Path]:
    for path in given:
        found = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
        found = [file for file in found if not file.name.endswith(".samples.jsonl")]
        if not path.exists() or not found:
            raise HierevalError(
                f"The results {str(path)!r} must be a file, or a folder with *.jsonl files."
            )
        yield from found


def _problems(line: bytes) -> Iterator[str]:
    """Yield what is wrong with one line, each with its field."""
    from pydantic import ValidationError

    from hiereval.leaderboard.wording import clean
    from hiereval.records import Record

    try:
        record = Record.model_validate(unsealed(line))
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            where = ".".join(map(str, problem["loc"])) or "the record"
            yield f"{clean(where)}: {clean(problem['msg'])}"
        return
    except ValueError as error:
        yield clean(error)
        return
    for name, metric in record.metrics.items():
        bounds = [bound for bound in (metric.ci_low, metric.ci_high) if bound is not None]
        if bounds != sorted(bounds):
            yield f"metrics.{clean(name)}.ci_low: {metric.ci_low} is above ci_high"
        if metric.range and metric.value is not None:
            low, high = metric.range
            if not low - 1e-6 <= metric.value <= high + 1e-6:
                yield f"metrics.{clean(name)}.value: {metric.value} is outside [{low}, {high}]"
