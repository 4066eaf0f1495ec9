"""What a run will do: names, globs and arguments turned into configured tasks and probes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hiereval import registry
from hiereval.choice import listed, matches
from hiereval.errors import HierevalError, nearest
from hiereval.identity import probe_key
from hiereval.records import TrainingInfo
from hiereval.registry import parameters
from hiereval.types import ModelId, Probe, Task

FITTED = "path:"  # a probe fitted earlier, in a folder
SEEDS = 3  # of every trained probe
Overwrite = Literal["never", "missing", "always"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One model's run; the fields are the flags of `hiereval run`."""

    model: str
    model_args: Mapping[str, str] = field(default_factory=dict)
    revision: str | None = None
    random_init: int | None = None  # seed: the architecture without its trained weights
    name: str | None = None  # what to call the model; None: its alias or its checkpoint
    datasets: Sequence[str] = ()  # empty: each task's own
    tasks: str = "all"
    task_args: Mapping[str, str] = field(default_factory=dict)
    probes: Sequence[str] = ("empty-root",)
    probe_args: Mapping[str, str] = field(default_factory=dict)
    train_data: str | None = None  # None: what the dataset says trains for it
    controls: Sequence[str] = ()  # rows beside the model
    twins: int | None = None  # random-init seeds of every task; None: 5 of text, 1 of image tasks
    text_only: bool = False  # leave out the tasks that look at images
    seed: int = 0
    resamples: int = 1000
    null_draws: int | None = None  # at most so many of each null; None: its own, 0: no bars
    limit: int | None = None
    batch_size: int | None = None
    output: Path | None = None  # folder of records; None keeps them in memory
    log_samples: bool = False
    stored_only: bool = False  # never load the network
    overwrite: Overwrite = "missing"


@dataclass(frozen=True)
class ProbeRun:
    """One configured probe; a trained one appears twice for each seed, once on shuffled tiers."""

    probe: Probe
    parameters: Mapping[str, Any]
    seed: int | None = None
    training: TrainingInfo | None = None
    images: frozenset[str] | None = None  # what a probe that was fitted earlier has seen
    texts: frozenset[str] = frozenset()  # hashes of what it was, or is to be, fitted on

    @property
    def to_fit(self) -> bool:
        """Whether the run has to fit it before it gives a space."""
        return self.probe.trained and self.images is None

    @property
    def key(self) -> str:
        """What tells it from the other probes of a run."""
        return probe_key(self.probe.name, self.parameters, self.seed, self.training)


def plan_tasks(
    selection: str, arguments: Mapping[str, str], datasets: Sequence[str], notes: list[str]
) -> dict[str, list[Task]]:
    """Return the tasks to run over each dataset; without datasets, each task's own.

    `selection` is "all", or comma-separated names and globs. An argument is `parameter=value` for
    every selected task that has the parameter, or `task.parameter=value` for one. A plugin that
    cannot be loaded is an error if it is named, and a line in `notes` if "all" or a glob meant it.
    """
    names = [name for name in select("tasks", selection) if _loads("tasks", name, selection, notes)]
    tasks: list[Task] = _configured("tasks", names, arguments)
    planned: dict[str, list[Task]] = {}
    for task in tasks:
        for dataset in datasets or task.datasets:
            planned.setdefault(dataset, []).append(task)
    return planned


def plan_probes(names: Sequence[str], arguments: Mapping[str, str], seed: int) -> list[ProbeRun]:
    """Return the configured probes of a run.

    A trained one appears for three seeds from `seed` on (or the one in `arguments`), each with
    once more on shuffled tiers: what the probe's capacity alone buys.
    """
    planned: list[ProbeRun] = []
    fresh = [name for name in names if not name.startswith(FITTED)]
    for probe in _configured(
        "probes", select("probes", ",".join(fresh)) if fresh else [], arguments
    ):
        if not probe.trained:
            planned.append(ProbeRun(probe, parameters(probe)))
            continue
        seeds = [probe.seed] if "seed" in arguments else range(seed, seed + SEEDS)
        orders = [probe.shuffled] if "shuffled" in arguments else [False, True]
        trained = [replace(probe, seed=s, shuffled=o) for o in orders for s in seeds]
        planned += [ProbeRun(one, parameters(one), seed=one.seed) for one in trained]
    return planned


def fitted_probes(names: Sequence[str], model: ModelId) -> list[ProbeRun]:
    """Return the probes of `path:FOLDER`, refused if they were fitted on another model."""
    from hiereval.probes import artefacts

    return [
        ProbeRun(
            found.probe, found.parameters, found.seed, found.training, found.images, found.texts
        )
        for name in names
        if name.startswith(FITTED)
        for found in artefacts.load(Path(name.removeprefix(FITTED)), model)
    ]


def select(kind: registry.Kind, selection: str) -> list[str]:
    """Return the names that "all" or comma-separated names and globs stand for, each once."""
    known = registry.names(kind)
    chosen: list[str] = []
    for part in listed(selection):
        chosen += known if part == "all" else [n for n in known if matches(n, [part])] or [part]
    if not chosen:
        raise HierevalError(
            f"The {kind} {selection!r} must name at least one of {', '.join(known)}."
        )
    return list(dict.fromkeys(chosen))


def _loads(kind: registry.Kind, name: str, selection: str, notes: list[str]) -> bool:
    try:
        registry.load(kind, name)
    except HierevalError as error:
        if name in listed(selection) or name not in registry.names(kind):
            raise
        notes.append(str(error))
        return False
    return True


def _configured(
    kind: registry.Kind, names: Sequence[str], arguments: Mapping[str, str]
) -> list[Any]:
    """Build the plugins, each from the arguments that are its; an argument of none is an error."""
    what = kind[:-1]
    built, used, known = [], set(), set()
    for name in names:
        cls = registry.load(kind, name)
        fields = [field.name for field in dataclasses.fields(cls) if field.init]
        own = [key for key in arguments if key in fields]  # general ones give way to its own
        own += [key for key in arguments if key.startswith(f"{name}.")]
        given = {key.removeprefix(f"{name}."): arguments[key] for key in own}
        built.append(registry.configure(cls, given, f"the {what} {name!r}"))
        used.update(own)
        known.update(fields)
    for key in arguments:
        if key not in used:
            raise HierevalError(
                f"The {what} argument {key!r} must be a parameter of a selected {what} "
                f"({', '.join(sorted(known)) or 'they have none'}).{nearest(key, known)}"
            )
    return built
