"""Many records: how long `hiereval validate` and `hiereval leaderboard` take, and their memory.

    python benchmarks/records.py [--records 10000 30000 100000] [--longest 4750] [--keep FOLDER]

The records are the published ones of at most so many bytes, each under the names and weights of
many models, fingerprints and identities computed anew: all of them are valid. Each command runs
in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clocks import command

from hiereval.fingerprint import of_model
from hiereval.identity import of_record
from hiereval.reading import read_all
from hiereval.records import Record, line

PUBLISHED = Path(__file__).parent.parent / "leaderboard" / "results"
FILES = 20  # that the records stand in
ARCHITECTURES = 200
ENDINGS = ("html", "csv", "json", "md", "txt")


def main() -> None:
    """Measure and print a row for each number of records and command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--longest", type=int, default=4_750, help="bytes of a record")
    parser.add_argument("--keep", type=Path, help="write the results here")
    chosen = parser.parse_args()
    print("| records | MB | command | seconds | of processors | peak memory, MB |")
    print("|--:|--:|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as scratch:
        for number in chosen.records:
            folder = (chosen.keep or Path(scratch)) / f"{number}"
            size = write(folder, number, chosen.longest)
            boards = [f"leaderboard --out board.{ending}" for ending in ENDINGS]
            for asked in ["validate", *boards]:
                name, *rest = asked.replace("board.", f"{scratch}/board.").split()
                clock, processors, memory = command(name, folder, *rest)
                print(
                    f"| {number:,} | {size / 1e6:.0f} | `{asked}` | {clock:.1f} "
                    f"| {processors:.1f} | {memory / 1e6:,.0f} |",
                    flush=True,
                )


def write(folder: Path, number: int, longest: int) -> int:
    """Write so many valid records into a folder, and return their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    records, size = _records(number, longest), 0
    for i in range(FILES):
        with (folder / f"{i}.jsonl").open("wb") as file:
            for _ in range(number * i // FILES, number * (i + 1) // FILES):
                size += file.write(next(records))
    return size


def _records(number: int, longest: int) -> Iterator[bytes]:
    """Yield records of one model after another, each with whatever was published of any."""
    short = [one for one in read_all([PUBLISHED]) if len(line(one)) <= longest]
    published = list({_of_model(one, 0).record_id: one for one in short}.values())
    for i in range(number):
        again, model = published[i % len(published)], i // len(published)
        yield line(_of_model(again, model))


def _of_model(record: Record, number: int) -> Record:
    """Return the same numbers measured with another model: 200 architectures, five
    twins of each, the rest trained."""
    architecture = number % ARCHITECTURES
    changes = {
        "name": f"org-{number % 97}/clip-{number}",
        "checkpoint": f"org/architecture-{architecture}",
        "config_sha256": _sha256(f"architecture {architecture}"),
        "weights_sha256": _sha256(f"weights {number}"),
        "random_init": number // ARCHITECTURES if number < 5 * ARCHITECTURES else None,
    }
    model = record.model.model_copy(update=changes)
    model = model.model_copy(update={"fingerprint": of_model(vars(model))})
    changed = record.model_copy(update={"model": model})
    return changed.model_copy(update={"record_id": of_record(changed)})


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
