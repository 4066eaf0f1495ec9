from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.tuning import finetune

from hiereval.finetune.distributed import Group
from hiereval.finetune.finetuning import FinetuneConfig


@pytest.mark.slow
@pytest.mark.parametrize("family", ["hf-clip", "blip", "openclip"])
def test_two_processes_have_the_losses_of_one(
    family: str, configure: Callable[..., FinetuneConfig], tmp_path: Path
) -> None:
    # 21 chains in batches of 5: an odd split, and a last batch that leaves one process nothing
    config = configure(family, batch=5, accumulate=2, validation=0.2, validate_every=1, lr=1e-5)
    finetune(config)
    two = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", "--no-python", str(Path(sys.executable).parent / "hiereval")]
    command += ["finetune", "--model", config.model, "--data", config.train_data, "--offline"]
    command += ["--out", str(two), "--cache-dir", str(tmp_path / "other"), "--device", "cpu"]
    command += ["--batch", "5", "--accumulate", "2", "--validation", "0.2", "--lr", "1e-5"]
    command += ["--validate-every", "1"]
    subprocess.run(command, check=True, timeout=300)
    for name in ("losses", "validation"):
        one, other = (
            [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
            for folder in (config.out, two)
        )
        assert len(one) == (3 if name == "losses" else 4)
        for a, b in zip(one, other, strict=True):
            for term in ("total", "entail", "pullback", "hard"):
                assert b[term] == pytest.approx(a[term], abs=1e-5)
    assert json.loads((two / "card.json").read_text())["processes"] == 2


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
def test_a_batch_is_shared_out_whole_and_in_order(n: int) -> None:
    rows = list(range(n))
    parts = [Group(rank, 3).share(rows) for rank in range(3)]
    assert [row for part in parts for row in part] == rows
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_gathers_its_own() -> None:
    own = torch.randn(9, 4)
    assert Group().gather(own, 2, 4) is own
