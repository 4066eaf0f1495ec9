"""What hiereval survives, counted: kills, flipped bits, crowds of processes, mutated inputs.

    python benchmarks/reliability.py [kills|flips|crowds|inputs]… [--seed 0] [--scale 1.0]

Needs no network. The tests do a little of the same (tests/campaign); the figures of a whole run
stand in docs/reliability.md. Exits with 1 if anything was lost, doubled, half written, changed
without a word, or not answered in one line.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
os.environ["HF_HUB_OFFLINE"] = "1"

KILLS, FLIPS, CROWDS, INPUTS = 100, 300, 15, 10_000  # of each command or kind; inputs in all
Line = tuple[str, str, list[str]]  # what, the figures, the problems


def kills(n: int, seed: int, base: Path) -> Iterator[Line]:
    from campaign import downloads
    from campaign.kills import kill
    from campaign.scenes import SCENES

    for name, scene in SCENES.items():
        found = kill(scene, n, seed, base / name)
        yield name, f"{found.killed} killed, {found.rounds} ended and compared", found.problems
    found = downloads.kill(n, seed, base / "download")
    yield "download", f"{found.killed} killed, {found.rounds} ended and compared", found.problems


def flips(n: int, seed: int, base: Path) -> Iterator[Line]:
    from campaign.flips import KINDS, flip
    from campaign.scenes import fresh

    for name, kind in KINDS.items():
        found = flip(kind, n, seed, fresh(base / name))
        yield name, f"{found.refused} noticed, {found.harmless} without effect", found.problems


def crowds(n: int, seed: int, base: Path) -> Iterator[Line]:
    from campaign.crowds import crowd
    from campaign.scenes import SCENES

    for name in ("run", "fit"):
        found = crowd(SCENES[name], n, seed, base / name)
        yield name, f"{found.processes} processes in {found.rounds} rounds", found.problems


def inputs(n: int, seed: int, base: Path) -> Iterator[Line]:
    import open_clip
    import torch
    from campaign import mutations

    import hiereval.commands.run
    import hiereval.leaderboard.mteb_results
    import hiereval.leaderboard.page
    import hiereval.run  # noqa: F401

    assert open_clip.__version__  # imported here, so that no input is charged with it
    torch.set_num_threads(1)
    for name, share in mutations.SHARES.items():
        found = mutations.mutate(name, max(1, round(n * share)), seed, base / "inputs")
        figures = f"{found.tried} tried: {found.accepted} read, {found.refused} refused in a line; "
        figures += f"slowest {found.seconds:.1f} s, most memory {found.megabytes:,.0f} MB"
        yield name, figures, found.problems


PARTS = {
    "kills": (kills, KILLS), "flips": (flips, FLIPS),
    "crowds": (crowds, CROWDS), "inputs": (inputs, INPUTS),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="Of the numbers tried.")
    given = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for part in given.parts or PARTS:
            work, number = PARTS[part]
            started = time.monotonic()
            lines = work(max(1, round(number * given.scale)), given.seed, Path(folder) / part)
            for name, figures, problems in lines:
                print(f"{part}, {name}: {figures}; {len(problems)} problems", flush=True)
                print("".join(f"    {problem}\n" for problem in problems[:5]), end="", flush=True)
                wrong += len(problems)
            print(f"{part}: seed {given.seed}, {time.monotonic() - started:,.0f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
