"""A little of what benchmarks/reliability.py does a lot of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from campaign import downloads, mutations
from campaign.flips import KINDS, flip

# in a process of its own: a fork keeps one thread only, and these tests' process has many
ALONE = """
import os, sys
from pathlib import Path
os.environ["HF_HUB_OFFLINE"] = "1"
from campaign import crowds, kills, mutations
from campaign.scenes import SCENES
what, name, n, folder = sys.argv[1:]
if what == "kill":
    found = kills.kill(SCENES[name], int(n), 1, Path(folder))
else:
    found = crowds.crowd(SCENES[name], int(n), 1, Path(folder))
print("\\n".join(found.problems))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_changes_what_is_read(kind: str, tmp_path: Path) -> None:
    found = flip(KINDS[kind], 20, 1, tmp_path)
    assert found.problems == []
    assert found.refused + found.harmless == 20


def test_killed_downloads_are_gone_on_with(tmp_path: Path) -> None:
    found = downloads.kill(5, 1, tmp_path)
    assert found.problems == []
    assert found.rounds >= 1


@pytest.mark.parametrize(
    ("what", "name", "n"),
    [
        ("kill", "encode", 3),
        ("kill", "leaderboard", 5),
        ("kill", "export", 5),
        pytest.param("kill", "run", 5, marks=pytest.mark.slow),
        pytest.param("kill", "fit", 5, marks=pytest.mark.slow),
        pytest.param("kill", "finetune", 5, marks=pytest.mark.slow),
        pytest.param("crowd", "run", 1, marks=pytest.mark.slow),
        pytest.param("crowd", "fit", 1, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_doubled_or_half(what: str, name: str, n: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ALONE, what, name, str(n), str(tmp_path)]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stderr[-2000:]


@pytest.mark.parametrize("kind", ["records, validate", "models.toml", "options"])
def test_broken_inputs_are_refused_in_a_line(kind: str, tmp_path: Path) -> None:
    found = mutations.mutate(kind, 20, 1, tmp_path)
    assert found.problems == []
    assert found.accepted + found.refused == 20
