"""`hiereval verify`: compute a submission's numbers again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hiereval.commands import options
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from hiereval.records import Record
    from hiereval.session import Session
    from hiereval.verified import Verification


@click.command(
    epilog="""\b
Examples:
  hiereval verify results --write-vectors vectors          # out of the store, to submit
  hiereval verify results --vectors vectors --out results/mine.verified.json
  hiereval verify results --samples results                # values and intervals alone
"""
)
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--vectors", type=click.Path(path_type=Path), help="A folder of stored vectors.")
@click.option("--samples", type=click.Path(path_type=Path), help="A results folder with samples.")
@click.option(
    "--write-vectors", type=click.Path(path_type=Path), help="Write the model's stored vectors."
)
@click.option("--out", type=click.Path(path_type=Path), help="The verification record.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@options.session_options
@options.plugins_option
def command(
    session: Callable[..., Session],
    records: tuple[Path, ...],
    vectors: Path | None,
    samples: Path | None,
    write_vectors: Path | None,
    out: Path | None,
    form: str,
) -> int | None:
    """Compute every number of RECORDS again from vectors or samples, and compare to 1e-9.

    Where all agree, --out is a verification record: which records, from which files, by which
    version. A number that differs is named, nothing is written, and the exit code is 1.
    """
    from hiereval import reading

    if sum(given is not None for given in (vectors, samples, write_vectors)) != 1:
        raise HierevalError(
            "The command must have one of --vectors FOLDER, --samples FOLDER, --write-vectors "
            "FOLDER."
        )
    there = [record for record in reading.read_all(records) if record.status == "ok"]
    if not there:
        raise HierevalError(f"The results {str(records[0])!r} must hold a record with numbers.")
    if write_vectors is not None:
        from hiereval.verification import write_vectors as write

        write(session(), there[0], write_vectors)
        click.echo(f"wrote {write_vectors}", err=True)
        return None
    outcomes = list(_outcomes(session, there, vectors, samples))
    wrong = [outcome for outcome in outcomes if "problem" in outcome]
    _tell(outcomes, form)
    if wrong:
        return 1
    if out is not None:
        from hiereval import verified
        from hiereval.leaderboard.marked import failing_in_one_line

        with failing_in_one_line(out):
            verified.write(out, [outcome["verification"] for outcome in outcomes])
        click.echo(f"wrote {out}", err=True)
    return None


def _outcomes(
    session: Callable[..., Session],
    records: list[Record],
    vectors: Path | None,
    samples: Path | None,
) -> Iterator[dict[str, Any]]:
    """Yield for each record its verification, or the problem."""
    from hiereval import verification

    own = session() if vectors is not None else None
    for record in records:
        named = {"record_id": record.record_id, "model": record.model.name}
        named |= {"task": record.task.name, "probe": record.probe.name}
        try:
            found: Verification
            if own is not None and vectors is not None:
                found = verification.from_vectors(own, record, vectors)
            else:
                assert samples is not None
                found = verification.from_samples(record, samples)
            yield {**named, "verification": found}
        except HierevalError as error:
            yield {**named, "problem": str(error)}


def _tell(outcomes: list[dict[str, Any]], form: str) -> None:
    from hiereval.verified import STANDINGS

    if form == "json":
        plain = [
            {**one, "verification": one["verification"].model_dump()}
            if "verification" in one
            else one
            for one in outcomes
        ]
        click.echo(json.dumps(plain, indent=1))
        return
    for one in outcomes:
        what = f"{one['model']} {one['task']} / {one['probe']}"
        if "problem" in one:
            click.echo(f"{what}: not verified: {one['problem']}", err=True)
        else:
            found = one["verification"]
            apart = f"{found.largest_difference:.0e} apart"
            click.echo(f"{what}: {STANDINGS[found.of]}: {found.numbers:,} numbers, {apart}")
