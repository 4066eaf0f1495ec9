"""The command that makes a row again."""

from __future__ import annotations

import json
import shlex

from hiereval.leaderboard.columns import ROOT, plain
from hiereval.leaderboard.wording import clean, public
from hiereval.records import Record

_PRECISION = {"bfloat16": "bf16", "float16": "fp16"}


def of_model(record: Record) -> str:
    """Return the command's part that all of a row's tasks share: model, probe, seed.

    A checkpoint in a folder of somebody's machine is named by its last part.
    """
    model = record.model
    revision = f" --revision {quoted(model.revision)}" if model.revision is not None else ""
    name = quoted(f"{model.adapter}:{public(model.checkpoint)}")
    return f"hiereval run --model {name}{revision} {options_of(record)}"


def options_of(record: Record) -> str:
    """Return the options that rows of many models have in common."""
    model, probe = record.model, record.probe
    parts = []
    if model.random_init is not None:
        parts += ["--random-init", str(model.random_init)]
    if model.dtype in _PRECISION:
        parts += ["--precision", _PRECISION[model.dtype]]
    if model.root_text:
        parts += ["--root-text", quoted(model.root_text)]
    parts += ["--probes", quoted(probe.name)]
    own = {k: v for k, v in probe.parameters.items() if k not in ("seed", "shuffled", "device")}
    if own:
        parts += ["--probe-args", _pairs(own)]
    if probe.training is not None:
        parts += ["--train-data", quoted(probe.training.dataset)]
    if record.seed:
        parts += ["--seed", str(record.seed)]
    return " ".join(parts)


def of_task(task: str, parameters: str) -> str:
    """Return the options that ask for one task; `parameters` is canonical JSON."""
    own = {name: value for name, value in json.loads(parameters).items() if name != ROOT}
    arguments = f" --task-args {_pairs(own)}" if own else ""
    return f"--tasks {quoted(task)}{arguments}"


def _pairs(values: dict[str, object]) -> str:
    return quoted(",".join(f"{name}={plain(value)}" for name, value in sorted(values.items())))


def quoted(text: str) -> str:
    """Return one word of a shell's command line, printable."""
    return shlex.quote(clean(text, 200))
