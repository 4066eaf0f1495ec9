"""A board's columns: what was measured differently never shares one."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from math import isfinite
from typing import Any, Literal

from hiereval.leaderboard.wording import clean
from hiereval.records import MetricValue, Record, parameters_text
from hiereval.types import Role

ROOT = "root text"  # stands among a task's parameters where the root is not ""
Ties = Literal["paired draws", "intervals alone"]


@dataclass(frozen=True)
class Column:
    """One metric of one task; `group` tells versions and parameters of a task apart."""

    task: str
    version: int
    parameters: str  # canonical JSON
    metric: str
    group: str  # the task as headed, with what tells it from its namesakes
    help: str
    higher_is_better: bool | None
    range: tuple[float, float] | None
    chance: float | None
    role: Role = "quality"
    ceilings: Mapping[str, float] = field(default_factory=dict)  # what blind scores reach
    levels: tuple[float, ...] = ()  # of the intervals
    unranked: str = ""  # why no best is shown
    ties: Ties | None = None  # what shared ranks were made from

    @property
    def ceiling(self) -> tuple[str, float] | None:
        """The best blind score and its name; None without any."""
        if not self.ceilings:
            return None
        best = min if self.higher_is_better is False else max
        return best(self.ceilings.items(), key=lambda item: item[1])

    @property
    def given_away(self) -> float | None:
        """How much of the way from chance to the best value blind scores reach, in [0, 1].

        None where the ceilings, the chance level or the end of the range are not known.
        """
        if self.ceiling is None or self.chance is None or self.range is None:
            return None
        best = self.range[0 if self.higher_is_better is False else 1]
        if best == self.chance or not isfinite(best):
            return None
        return min(1.0, max(0.0, (self.ceiling[1] - self.chance) / (best - self.chance)))

    def is_any(self, names: Sequence[str]) -> bool:
        """Whether one of these names or globs is its metric, or its task.metric."""
        own = (self.metric, f"{self.task}.{self.metric}")
        return any(fnmatchcase(name, pattern) for pattern in names for name in own)

    @property
    def key(self) -> tuple[str, int, str]:
        """The task as it was run."""
        return self.task, self.version, self.parameters


@cache
def headline() -> dict[str, dict[str, str]]:
    """Return task -> metric -> explanation, in the order of a board."""
    return tomllib.loads((files(__package__) / "headline.toml").read_text("utf-8"))


def columns_of(records: list[Record], every_metric: bool = False) -> list[Column]:
    """Return the headline metrics, or all, of every task, version and set of parameters."""
    order = list(headline())
    tasks: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "ok":
            tasks[task_key(record)].append(record)
    keys = sorted(
        tasks, key=lambda key: (order.index(key[0]) if key[0] in order else len(order), key)
    )
    columns = []
    for key in keys:
        held, heading = _held(tasks[key]), _heading(key, keys)
        columns += [
            _column(key, metric, heading, held[metric])
            for metric in _shown(key[0], held, every_metric)
        ]
    return columns


def task_key(record: Record) -> tuple[str, int, str]:
    """Return what must agree for two records to share a column."""
    task, root = record.task, record.model.root_text
    if not root:
        return task.name, task.version, parameters_text(task)
    parameters = {**task.parameters, ROOT: repr(root)}
    return task.name, task.version, json.dumps(parameters, sort_keys=True)


def dataset_key(record: Record) -> tuple[str, ...]:
    """Return what must agree for two records to share a section."""
    data = record.dataset
    return data.name, data.split, data.sha256, data.image_source


@dataclass
class _Held:
    """What a task's records say of one metric."""

    newest: MetricValue
    made: datetime  # when the newest was
    headline: bool = False  # whether one of them says so
    levels: set[float] = field(default_factory=set)  # of their intervals
    ceilings: dict[int, Mapping[str, float]] = field(default_factory=dict)  # each once, by place


def _held(records: list[Record]) -> dict[str, _Held]:
    """Return what records say of each metric, in the order in which they name them."""
    found: dict[str, _Held] = {}
    for record in records:
        made = record.timestamp
        for name, metric in record.metrics.items():
            held = found.get(name)
            if held is None:
                held = found[name] = _Held(metric, made)
            elif made > held.made:
                held.newest, held.made = metric, made
            held.headline = held.headline or metric.role == "headline"
            held.levels.add(metric.ci_level)
            held.ceilings[id(metric.ceilings)] = metric.ceilings
    return found


def _shown(task: str, there: Mapping[str, _Held], every_metric: bool) -> list[str]:
    first = [name for name, held in there.items() if held.headline]
    wanted = [m for m in dict.fromkeys([*headline().get(task, {}), *first]) if m in there]
    rest = [metric for metric in there if metric not in wanted]
    return wanted + rest if every_metric else wanted or rest[:3]


def _column(key: tuple[str, int, str], metric: str, group: str, held: _Held) -> Column:
    value = held.newest
    return Column(
        *key,
        metric=metric,
        group=group,
        help=headline().get(key[0], {}).get(metric, ""),
        higher_is_better=value.higher_is_better,
        range=value.range,
        chance=value.chance,
        role=value.role,
        ceilings={k: v for own in held.ceilings.values() for k, v in own.items()},
        levels=tuple(sorted(held.levels)),
    )


def _heading(key: tuple[str, int, str], keys: list[tuple[str, int, str]]) -> str:
    """Head a task with its name, and with whatever tells it from its namesakes."""
    name, version, parameters = key
    namesakes = [other for other in keys if other[0] == name]
    parts = [f"v{version}"] if len({other[1] for other in namesakes}) > 1 else []
    if len({other[2] for other in namesakes}) > 1:
        own, *others = (
            {ROOT: "''", **json.loads(p)} for p in (parameters, *(o[2] for o in namesakes))
        )
        parts += _differing(own, others)
    return clean(name) + (f" ({', '.join(parts)})" if parts else "")


def _differing(own: dict[str, Any], others: list[dict[str, Any]]) -> list[str]:
    return [
        clean(f"{name}={plain(own.get(name))}", 40)
        for name in sorted({name for other in others for name in other})
        if len({json.dumps(other.get(name)) for other in others}) > 1
    ]


def plain(value: Any) -> str:
    """Return a parameter's value as people write it."""
    return value if isinstance(value, str) else json.dumps(value)
