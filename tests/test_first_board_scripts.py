"""The scripts of a first board, rehearsed: the real thing in small.

A board's repository with a remote, models in layouts of the hub, one that is broken, one that is
slow; killed in the middle, begun again, then given to an imitation of SLURM, with a damaged file.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from support import checkpoints, openclip_checkpoint

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[1] / "examples" / "first-board"
SLUGGISH = """
import time
from fakes import HashAdapter
from hiereval.registry import register

class Sluggish(HashAdapter):
    def encode_texts(self, texts):
        with open("encoding", "a") as log:
            log.write(f"{len(texts)}\\n")
        time.sleep(0.3)
        return super().encode_texts(texts)
register("adapters", "sluggish", Sluggish)
"""
OPTIONS = ["--plugins", "sluggish", "--dataset", "c.csv", "--tasks", "ordering,retrieval"]
OPTIONS += ["--controls", "words", "--resamples", "20", "--batch-size", "2", "--device", "cpu"]
MODELS = """
# in the layout of the hub
hf-clip:clip --name our-clip  # 0.1 M
blip:captioning  # broken: no retrieval checkpoint
sluggish:b
"""
SBATCH = """#!/usr/bin/env bash
# Runs what it is given, of an array the last task, in this folder and with SLURM's variables.
echo "$*" | sed 's/--wrap.*//' >> submitted
export SLURM_JOB_ID=70 SLURM_NTASKS=1 SLURM_PROCID=0
while [ $# -gt 0 ]; do
  case $1 in
    --array) range=${2%\\%*}; export SLURM_ARRAY_TASK_ID=${range#*-} ;;
    --wrap) bash -c "$2" > "told-${SLURM_ARRAY_TASK_ID:-publish}" 2>&1; echo $? >> codes ;;
  esac
  shift
done
echo "70;a-cluster"
"""


class Lab:
    """A folder with models, a board's repository and what it is pushed to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        who = {
            f"GIT_{w}_{k}": "b@example.org"
            for w in ("AUTHOR", "COMMITTER")
            for k in ("NAME", "EMAIL")
        }
        path = os.pathsep.join(
            [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        )
        self.environment = {**os.environ, **who, "PATH": path, "PYTHONPATH": str(folder)}
        self.started: list[subprocess.Popen[str]] = []

    def do(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command as the first of a group, which a kill ends as a reboot would."""
        self.started.append(
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return self.started[-1]

    def encoded(self) -> list[int]:
        log = self.folder / "encoding"
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def vectors(self) -> dict[Path, int]:
        """Return the files of the store and when each was written."""
        store = self.folder / "cache" / "embeddings"
        return {p: p.stat().st_mtime_ns for p in store.rglob("*") if p.is_file()}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("HIEREVAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sluggish.py").write_text(SLUGGISH)
    shutil.copy(Path(__file__).parent / "support" / "fakes.py", tmp_path)
    (tmp_path / "models.txt").write_text(MODELS)
    (tmp_path / "images").mkdir()
    rows = []
    for i in range(12):
        Image.new("RGB", (8, 8), (20 * i, 9, 99)).save(tmp_path / "images" / f"{i}.png")
        rows.append(f"a{i} => b c{i} => d e f{i} => g h i k{i},{i}.png")
    (tmp_path / "c.csv").write_text("captions,image\n" + "\n".join(rows) + "\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sbatch").write_text(SBATCH)
    (tmp_path / "bin" / "sbatch").chmod(0o755)
    lab = Lab(tmp_path)
    lab.do("hiereval", "new-board", "board")
    lab.do("git", "init", "-q", "--bare", "-b", "main", "hub.git")
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["commit", "-q", "-m", "Begin a board"],
        ["remote", "add", "origin", "../hub.git"],
    ):
        lab.do("git", "-C", "board", *command)
    yield lab
    for process in lab.started:
        with process:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_a_board_from_a_kill_to_the_published_page(lab: Lab) -> None:
    checkpoints.clip(lab.folder / "clip")
    checkpoints.blip(lab.folder / "captioning", captioning=True)
    openclip_checkpoint.write(lab.folder / "openclip")
    one_gpu = ["bash", str(SCRIPTS / "one-gpu.sh"), "board", "models.txt", *OPTIONS]
    first = lab.start(*one_gpu)
    deadline = time.monotonic() + 300
    while len(lab.encoded()) < 2:
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    results, logs = lab.folder / "board" / "results", lab.folder / "board" / "logs"
    before, clip = lab.vectors(), (results / "hf-clip-clip" / "our-clip.jsonl").read_bytes()
    assert before
    assert not (lab.folder / "board" / "site").exists()

    told = lab.do(*one_gpu, code=1).splitlines()
    assert [line.split(maxsplit=2)[2] for line in told[:3]] == [
        "1 hf-clip-clip",
        "2 blip-captioning",
        "3 sluggish-b",
    ]
    assert told[-1].startswith(
        "not measured: blip-captioning: error: The weights of 'captioning' must be exactly those "
        "of BlipForImageTextRetrieval;"
    )
    after = lab.vectors()
    assert {path: after.get(path) for path in before} == before
    assert (results / "hf-clip-clip" / "our-clip.jsonl").read_bytes() == clip
    assert "there already" in (logs / "hf-clip-clip.log").read_text()
    assert not (results / "blip-captioning").exists()
    assert "| our-clip |" in shown(lab, "README.md")
    assert "| fake-b |" in shown(lab, "README.md")
    assert shown(lab, "README.md").count("| verified from samples |") == 3  # with control:words
    page = (lab.folder / "board" / "site" / "index.html").read_text("utf-8")
    assert '"our-clip"' in page
    assert '"fake-b"' in page
    assert '"status":{"all":"verified from samples"}' in page

    spoiled = results / "sluggish-b" / "fake-b.jsonl"
    spoiled.write_bytes(spoiled.read_bytes().replace(b'"value":', b'"value": ', 1))
    with (lab.folder / "models.txt").open("a") as file:
        file.write("openclip:local-dir:openclip\n")
    slurm = ["bash", str(SCRIPTS / "slurm.sh"), "board", "models.txt", *OPTIONS]
    assert lab.do(*slurm) == "70;a-cluster\n"
    array, publish = (lab.folder / "submitted").read_text().splitlines()
    assert "--array 1-4%8 " in array
    assert "--dependency afterany:70 " in publish
    assert (lab.folder / "codes").read_text().split() == ["0", "0"]
    assert "not measured: sluggish-b: its records are not valid; they are now in refused/" in (
        (lab.folder / "told-publish").read_text().splitlines()
    )
    (aside,) = (lab.folder / "board" / "refused").iterdir()
    assert (aside / "fake-b.jsonl").is_file()
    assert "| openclip |" in shown(lab, "README.md")
    names = lab.do("git", "-C", "hub.git", "ls-tree", "-r", "--name-only", "main").splitlines()
    assert [n for n in names if n.startswith(("results/", "verified/"))] == [
        "results/.gitkeep",
        "results/hf-clip-clip/control-words.jsonl",
        "results/hf-clip-clip/our-clip.jsonl",
        "results/openclip-local-dir-openclip/control-words.jsonl",
        "results/openclip-local-dir-openclip/openclip.jsonl",
        "verified/.gitkeep",
        "verified/hf-clip-clip.verified.json",
        "verified/openclip-local-dir-openclip.verified.json",
    ]


def shown(lab: Lab, file: str) -> str:
    """Return a file as it was pushed."""
    return lab.do("git", "-C", "hub.git", "show", f"main:{file}")


def test_a_line_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "models.txt").write_text(MODELS)
    measure = ["bash", str(SCRIPTS / "measure.sh"), "board", "models.txt", "9"]
    done = subprocess.run(measure, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "models.txt names no model 9\n")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(
        ["shellcheck", *map(str, sorted(SCRIPTS.glob("*.sh")))], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
