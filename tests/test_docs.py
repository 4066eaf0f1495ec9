"""Every command in README and docs is run, page by page, as a reader would type it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELSEWHERE = ("pip ", "tox", "git ", "cd ", "export ", "python benchmarks/", "torchrun ")
MIXED = {"closed-models.md"}  # run by test_snippets, with the Python between the commands
NEEDS_HUB = "HF_HUB_OFFLINE"  # what the message of a model that is not here names


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    return [line[2:].strip() for line in joined.splitlines() if line.startswith("$ ")]


def test_the_first_two_commands_install_run_and_check() -> None:
    first, second = commands(PAGES[0])[:2]
    assert first.startswith("pip install . && hiereval run --model toy --dataset shapes")
    assert second == "pip install tox && tox"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if commands(page) and page.name not in MIXED],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_commands(page: Path, tmp_path: Path) -> None:
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"HIEREVAL_CACHE": str(tmp_path / "cache"), "COLUMNS": "120", "PATH": scripts}
    environment = {**os.environ, **own}
    for command in commands(page):
        command = command.removeprefix("pip install . && ")
        if command.startswith(ELSEWHERE):
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode == 2 and needs_what_is_not_here(command, done.stderr):
            continue
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def needs_what_is_not_here(command: str, stderr: str) -> bool:
    """Return whether the one thing missing is the hub or the data, said in the expected words."""
    words = shlex.split(command)
    offline = NEEDS_HUB in stderr or "--offline" in stderr or "offline" in stderr
    return words[0] == "hiereval" and stderr.startswith("error: ") and offline
