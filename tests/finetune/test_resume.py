"""A training that is killed outright goes on to the same weights, bit for bit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.tuning import finetune

from hiereval.errors import HierevalError
from hiereval.finetune.finetuning import FinetuneConfig
from hiereval.finetune.output import Output

KILLED = """
import os, signal, sys, torch
torch.set_num_threads(1)
from pathlib import Path
from hiereval.cli import main
from hiereval.finetune import loop, output

when, *arguments = sys.argv[1:]
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
if when == "between saves":
    update = loop.Training._update
    def dying(self, batches):
        return update(self, batches) if self.step < 5 else kill()
    loop.Training._update = dying
else:  # in the middle of the second save
    save, saves = torch.save, []
    def dying(content, file):
        saves.append(1)
        if len(saves) < 2:
            return save(content, file)
        file.write(b"half a state")
        file.flush()
        kill()
    torch.save = dying
main(arguments)
"""
FLAGS = {"lr": "1e-3", "epochs": "2", "save-every": "2", "schedule": "cosine", "seed": "7"}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["between saves", "in a save"])
@pytest.mark.parametrize("family", ["hf-clip", "chinese-clip"])
def test_a_killed_training_resumes_to_the_same_weights(
    family: str, when: str, configure: Callable[..., FinetuneConfig], tmp_path: Path
) -> None:
    config = configure(family, epochs=2, save_every=2, schedule="cosine", seed=7)
    finetune(replace(config, out=tmp_path / "whole"))
    arguments = ["finetune", "--model", config.model, "--data", config.train_data]
    arguments += ["--out", str(config.out), "--cache-dir", str(tmp_path / "cache"), "--offline"]
    arguments += [part for flag, value in FLAGS.items() for part in (f"--{flag}", value)]
    died = subprocess.run([sys.executable, "-c", KILLED, when, *arguments], check=False)
    assert died.returncode == -9
    assert not (config.out / "model").exists()
    assert any(config.out.glob(".state.pt.*.part")) == (when == "in a save")
    finetune(replace(config, resume=True))
    for name in ("model/model.safetensors", "losses.jsonl"):
        assert (config.out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(config.out.glob(".*"))


def stopped(config: FinetuneConfig) -> None:
    """Leave a state of step 2 behind."""

    def stop(step: int, steps: int, losses: Any) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(config, stop)


@pytest.mark.parametrize(("accumulate", "validation"), [(1, 0.2), (2, 0.0)])
def test_an_interrupted_training_resumes_to_the_same_weights(
    configure: Callable[..., FinetuneConfig], tmp_path: Path, accumulate: int, validation: float
) -> None:
    config = configure(
        epochs=3, save_every=2, validate_every=3, accumulate=accumulate, validation=validation
    )
    finetune(replace(config, out=tmp_path / "whole"))
    stopped(config)
    finetune(replace(config, resume=True))
    for name in ("model/model.safetensors", "losses.jsonl", "validation.jsonl"):
        assert (config.out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_other_settings_are_refused(configure: Callable[..., FinetuneConfig]) -> None:
    config = configure(epochs=2, save_every=2)
    stopped(config)
    other = replace(config, resume=True, recipe=replace(config.recipe, lr=1e-4))
    message = (
        f"The lr of a resumed training must be 0.001, as in {str(config.out)!r}; it is 0.0001."
    )
    with pytest.raises(HierevalError, match=f"^{re.escape(message)}$"):
        finetune(other)


def test_a_damaged_state_is_refused(configure: Callable[..., FinetuneConfig]) -> None:
    config = configure(epochs=2, save_every=2)
    stopped(config)
    state = config.out / "state.pt"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 4
    state.write_bytes(content)
    with pytest.raises(
        HierevalError,
        match=rf"^The state {re.escape(repr(str(state)))} must be readable: it is not what was "
        r"written\. Delete the folder to start again\.$",
    ):
        finetune(replace(config, resume=True))


def test_what_a_process_killed_before_its_first_state_leaves_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".state.pt.0123456789ab.part").write_bytes(b"half a state")
    (tmp_path / ".model.0123456789ab.part").mkdir()
    Output(tmp_path).open(resume=False)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_training_is_left_alone(configure: Callable[..., FinetuneConfig]) -> None:
    config = configure()
    finetune(config)
    file = config.out / "model" / "model.safetensors"
    before = file.stat().st_mtime_ns
    finetune(replace(config, resume=True))
    assert file.stat().st_mtime_ns == before
