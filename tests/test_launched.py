"""Real processes that share a cache: one is killed, one slow, one full; all are interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hiereval.store import Store

pytestmark = pytest.mark.slow

SLUGGISH = """
import os, time
from fakes import HashAdapter
from hiereval.registry import register

RANK = os.environ.get("RANK", "0")
class Sluggish(HashAdapter):
    def encode_texts(self, texts):
        with open(f"encoding-{RANK}", "a") as log:
            log.write(f"{len(texts)}\\n")
        time.sleep(float(os.environ.get("SECONDS_" + RANK, "0.1")))
        return super().encode_texts(texts)
register("adapters", "sluggish", Sluggish)
"""
TEXTS, BATCH = 401, 16  # with the root's
RUN = ["run", "--plugins", "sluggish", "--model", "sluggish:a", "--dataset", "c.csv"]
RUN += ["--tasks", "ordering", "--controls", "none", "--batch-size", str(BATCH // 4)]
RUN += ["--resamples", "20", "--cache-dir", "cache", "--device", "cpu"]
COMMAND = [sys.executable, "-P", "-c", "from hiereval.cli import main; main()"]


@dataclass
class Place:
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self, rank: int = 0, size: int = 1, *, largest_file: int | None = None, **seconds: float
    ) -> subprocess.Popen[str]:
        """Start one process as srun would."""
        import resource

        environment = {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # Python keeps half a .pyc on a full disk
        environment |= {f"SECONDS_{number[1:]}": str(value) for number, value in seconds.items()}

        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if largest_file is not None:  # what a full disk answers, of this process alone
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        self.started.append(
            subprocess.Popen(
                [*COMMAND, *RUN],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=prepare,
            )
        )
        return self.started[-1]

    def encoded(self, rank: int = 0) -> list[int]:
        log = self.folder / f"encoding-{rank}"
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def until(self, rank: int, batches: int) -> None:
        deadline = time.monotonic() + 120
        while len(self.encoded(rank)) < batches:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stored(self) -> int:
        return sum(map(len, Store(self.folder / "cache").shelves()))

    def metrics(self) -> dict[str, Any]:
        """What the records say, without times."""
        lines = (self.folder / "results" / "fake-a.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return {record["record_id"]: record["metrics"] for record in records}


def prepared(folder: Path) -> Place:
    (folder / "sluggish.py").write_text(SLUGGISH)
    shutil.copy(Path(__file__).parent / "support" / "fakes.py", folder)
    rows = [f"a{i} => b{i} => c{i} => d{i}" for i in range(100)]
    (folder / "c.csv").write_text("captions\n" + "\n".join(rows) + "\n")
    return Place(folder)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = prepared(tmp_path)
    yield place
    for process in place.started:  # those that a failed test left
        with process:
            process.kill()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process measures."""
    place = prepared(tmp_path_factory.mktemp("alone"))
    assert ended(place.start(_0=0.0))[0] == 0
    return place.metrics()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_one_of_four_is_killed_and_another_is_slow(place: Place, alone: dict[str, Any]) -> None:
    seconds = {"_0": 0.4, "_1": 0.4, "_2": 0.4, "_3": 12.0}  # one batch of the last takes as long
    processes = [place.start(rank, 4, **seconds) for rank in range(4)]
    place.until(2, 3)
    processes[2].send_signal(signal.SIGKILL)
    code, out, err = ended(processes[0])
    assert code == 0, err
    assert "tau_d" in out
    assert "texts that fell to other processes were encoded by the first one" in err
    assert place.metrics() == alone
    assert ended(processes[1]) == (0, "", "")
    assert ended(processes[3]) == (0, "", "")
    assert place.stored() == TEXTS  # nothing twice
    encoded = sum(sum(place.encoded(rank)) for rank in range(4))
    assert encoded <= TEXTS + 8 * BATCH  # each did a batch or two in vain at the end


def test_a_full_disk_ends_one_process_with_its_line(place: Place, alone: dict[str, Any]) -> None:
    full = place.start(1, 2, largest_file=1024)
    code, out, err = ended(full)
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: process 2 of 2: sluggish:a: The embeddings cannot be stored in 'cache/embeddings/"
    )
    assert err.count("\n") == 1
    code, _, err = ended(place.start(0, 2))
    assert code == 0, err
    assert place.metrics() == alone


def test_ctrl_c_on_torchrun_is_one_line_and_loses_nothing(
    place: Place, alone: dict[str, Any]
) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launcher += ["--standalone", "--no-python", *COMMAND, *RUN]
    process = subprocess.Popen(
        launcher,
        cwd=place.folder,
        env={**os.environ, "SECONDS_0": "0.5", "SECONDS_1": "0.5"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    place.until(0, 3)
    place.until(1, 3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the launcher and both at once
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert err.count("interrupted; everything finished so far is kept") == 1
    before = place.stored()
    assert before >= sum(place.encoded(0)) + sum(place.encoded(1)) - 2 * BATCH
    for rank in range(2):
        (place.folder / f"encoding-{rank}").unlink()
    assert ended(place.start(_0=0.0))[0] == 0
    assert sum(place.encoded()) == TEXTS - before
    assert place.metrics() == alone
