"""The benchmarks that need nothing but the package run through, small; no time is asserted."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A script as it is when it runs: beside the others."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module(request.param)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.mark.parametrize("script", ["cost"], indirect=True)
def test_cost(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    points = [script.measured(task, 12, {}) for task in script.TASKS]
    for point in points:
        assert list(point.seconds) == list(script.PARTS), point.task
    one = points[0]
    one.seconds = dict.fromkeys(script.PARTS, 1.0)
    later = script.Point(one.task, 120, dict.fromkeys(script.PARTS, 100.0), held_gb=0.5)
    assert script.expected([one, later], one.task, 1_200)["nulls"] == pytest.approx(10_000.0)
    log = tmp_path / "cost.jsonl"
    log.write_text("".join(json.dumps(asdict(point)) + "\n" for point in [*points, later]))
    picture = tmp_path / "cost.svg"
    given = ["cost.py", "--sizes", "12,120,1200", "--tasks", one.task, "--log", str(log)]
    monkeypatch.setattr(sys, "argv", [*given, "--plot", str(picture)])
    script.main()  # the third size is expected to take too long
    shown = capsys.readouterr().out.splitlines()
    assert "| ordering | 1,200 |" + " (about 10,000) |" * 5 + " 0.00 | 0.00 |" in shown
    assert "| ordering |" + " 2.00 |" * 5 in shown
    assert "ordering" in picture.read_text()


@pytest.mark.parametrize("script", ["gpu"], indirect=True)
def test_gpu_without_one(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    script.main()
    assert capsys.readouterr().out == f"{script.UNMEASURED}\n"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["gpu"], indirect=True)
def test_gpu_goes_the_same_ways_on_a_cpu(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--device", "cpu", "--models", "tiny", "--precision", "fp32,bf16"]
    given += ["--dataset", "shapes", "--images", "6", "--what", "encoding,probes"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *given])
    script.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "|" in line]
    cells = {tuple(cell.strip() for cell in row[:2]): row[2:] for row in rows}
    for precision in ("fp32", "bf16"):
        speeds = cells["CLIP of two layers", precision]
        assert all(float(cell) > 0 for cell in speeds[:4]), speeds
    names = {row[0].strip() for row in rows}
    assert names >= {"ordering/tau_d", "retrieval/rank_f1", "learned-root", "radial-linear"}


@pytest.mark.parametrize("script", ["streaming"], indirect=True)
def test_streaming(script: ModuleType, tmp_path: Path) -> None:
    tar, files = script.made(tmp_path, 5, 16)
    assert [file.name for file in files] == [f"{i:06d}.jpg" for i in range(5)]
    script.streamed(tar)
    script.plain(tar)
    memory = tmp_path / "memory"
    memory.mkdir()
    script.hashed(files, memory)
    script.digested(files)
