"""What a run will do: names, globs and arguments turned into configured tasks and probes."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hiereval import registry
from hiereval.errors import HierevalError, nearest
from hiereval.records import TrainingInfo
from hiereval.types import Probe, Task


@dataclass(frozen=True)
class ProbeRun:
    """One configured probe; a trained one appears once for each seed and control."""

    probe: Probe
    parameters: Mapping[str, Any]
    seed: int | None = None
    training: TrainingInfo | None = None

    @property
    def key(self) -> str:
        """What tells it from the other probes of a run."""
        training = self.training.model_dump() if self.training else None
        identity = (self.probe.name, dict(self.parameters), self.seed, training)
        return json.dumps(identity, sort_keys=True, default=str)


def plan_tasks(
    selection: str, arguments: Mapping[str, str], datasets: Sequence[str]
) -> dict[str, list[Task]]:
    """Return the tasks to run over each dataset; without datasets, each task's own.

    `selection` is "all", or comma-separated names and globs. An argument is `parameter=value` for
    every selected task that has the parameter, or `task.parameter=value` for one.
    """
    tasks = [_configured(name, arguments) for name in select("tasks", selection)]
    used = {key for task in tasks for key in _arguments_of(task.name, type(task), arguments)}
    for key in arguments:
        if key not in used:
            known = sorted({f.name for task in tasks for f in dataclasses.fields(task)})  # type: ignore[arg-type]
            raise HierevalError(
                f"The task argument {key!r} must be a parameter of a selected task "
                f"({', '.join(known) or 'they have none'}).{nearest(key, known)}"
            )
    planned: dict[str, list[Task]] = {}
    for task in tasks:
        for dataset in datasets or task.datasets:
            planned.setdefault(dataset, []).append(task)
    return planned


def select(kind: registry.Kind, selection: str) -> list[str]:
    """Return the names that "all" or comma-separated names and globs stand for, each once."""
    known = registry.names(kind)
    chosen: list[str] = []
    for part in filter(None, (part.strip() for part in selection.split(","))):
        matches = known if part == "all" else fnmatch.filter(known, part) or [part]
        chosen += matches
    if not chosen:
        raise HierevalError(
            f"The {kind} {selection!r} must name at least one of {', '.join(known)}."
        )
    return list(dict.fromkeys(chosen))


def _configured(name: str, arguments: Mapping[str, str]) -> Task:
    cls = registry.load("tasks", name)
    own = _arguments_of(name, cls, arguments)
    task: Task = registry.configure(
        cls, {key.rpartition(".")[2]: arguments[key] for key in own}, f"the task {name!r}"
    )
    return task


def _arguments_of(name: str, cls: type, arguments: Mapping[str, str]) -> list[str]:
    """Return the arguments that are this task's, the general ones before its own."""
    fields = {f.name for f in dataclasses.fields(cls)}
    general = [key for key in arguments if key in fields]
    return general + [key for key in arguments if key.startswith(f"{name}.")]


def parameters(configured: Any) -> dict[str, Any]:
    """Return a configured task's or probe's parameters as JSON values."""
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(configured), default=str))
    return fields


def plan_probes(
    names: Sequence[str], arguments: Mapping[str, str], seed: int
) -> list[ProbeRun]:
    """Return the configured probes of a run, trained ones once for each seed and control."""
    planned = []
    for name in names:
        cls = registry.load("probes", name)
        probe = registry.configure(cls, arguments, f"the probe {name!r}")
        planned.append(ProbeRun(probe, parameters(probe)))
    return planned
