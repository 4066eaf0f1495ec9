"""`hiereval verify`: compute a submission's numbers again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hiereval.commands import options
from hiereval.errors import HierevalError
from hiereval.printable import clean

if TYPE_CHECKING:
    from hiereval.records import Record
    from hiereval.session import Session
    from hiereval.verified import Evidence, Verification


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
    "--write-vectors", type=click.Path(path_type=Path), help="Write the models' stored vectors."
)
@click.option("--out", type=click.Path(path_type=Path), help="The verification record.")
@click.option(
    "--once", is_flag=True, help="Compute nothing where --out is of these records already."
)
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
    once: bool,
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

        write(session(), there, write_vectors)
        click.echo(f"wrote {write_vectors}", err=True)
        return None
    if once and out is not None and _is_known(out, there, "vectors" if vectors else "samples"):
        click.echo(f"{out} is of these records already", err=True)
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


def _is_known(out: Path, records: list[Record], of: Evidence) -> bool:
    """Whether every record stands in the file, to the byte, from evidence as good as is given."""
    from hiereval import verified

    if not out.is_file():
        return False
    known = verified.standing([out], records)
    return all(known.get(record.record_id) in ("vectors", of) for record in records)


def _outcomes(
    session: Callable[..., Session],
    records: list[Record],
    vectors: Path | None,
    samples: Path | None,
) -> Iterator[dict[str, Any]]:
    """Yield for each record its verification, or the problem."""
    from hiereval import verification

    own = session() if vectors is not None else None
    if vectors is not None:
        verification.check_vectors(vectors, records)
    for record in records:
        named = {"record_id": record.record_id, "model": _model(record)}
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


def _model(record: Record) -> str:
    """Return the model's name, and which seed's untrained twin it is."""
    seed = record.model.random_init
    return clean(record.model.name) + ("" if seed is None else f" (random init, seed {seed})")


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
