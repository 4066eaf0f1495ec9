"""Records -> Board: which rows and columns there are, apart from how they are drawn.

A section is one dataset, to the byte. A row is one model under one probe; controls are rows of
their own and figures from papers a table of their own. A column is one metric of one task at one
version with one set of parameters: what was measured differently never shares a column.
"""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from hiereval.leaderboard import cells, notes
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.text import clean, number
from hiereval.records import ModelInfo, ProbeInfo, Record

Kind = Literal["measured", "control"]
USUAL_PROBE = "empty-root"  # the paper's; rows that use it are named by their model alone
_UNRANKED = "not ranked: the radius sweep depends on the geometry's scale"


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
    unranked: str = ""  # why no best is shown

    @property
    def key(self) -> tuple[str, int, str]:
        """The task as it was run."""
        return self.task, self.version, self.parameters


@dataclass(frozen=True)
class Tier:
    """Radii of one tier's captions."""

    tier: int
    mean: float
    low: float  # lower quartile
    high: float


@dataclass(frozen=True)
class Row:
    """One model under one probe: a cell for each column, None where it was not run."""

    id: str
    label: str
    kind: Kind
    model: ModelInfo
    probe: str
    cells: tuple[Cell | None, ...]
    curve: tuple[Tier, ...]
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """The label, with the probe where it is not the usual one."""
        return self.label if self.probe == USUAL_PROBE else f"{self.label} / {self.probe}"

    @property
    def newest(self) -> Record:
        """The record that was made last."""
        return max(self.records, key=lambda record: record.timestamp.timestamp())

    @property
    def date(self) -> str:
        """Day of the newest record, ISO 8601."""
        return self.newest.timestamp.date().isoformat()

    @property
    def revision(self) -> str:
        """Commit of the checkpoint, else the weights' hash, shortened; "" for what has neither."""
        revision, weights = self.model.revision, self.model.weights_sha256
        return (
            clean(revision)[:8] if revision else f"sha256:{clean(weights)[:8]}" if weights else ""
        )


@dataclass(frozen=True)
class Reported:
    """A figure that a paper gives; nobody measured it here."""

    model: str
    dataset: str
    metrics: Mapping[str, float]
    source: str
    url: str
    note: str


@dataclass(frozen=True)
class Section:
    """One dataset, to the byte."""

    title: str
    name: str
    split: str
    revision: str | None
    sha256: str
    image_source: str
    columns: tuple[Column, ...]
    measured: tuple[Row, ...]
    controls: tuple[Row, ...]
    reported: tuple[Reported, ...]
    notes: tuple[str, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Measured rows, then controls."""
        return self.measured + self.controls

    @property
    def groups(self) -> list[tuple[str, list[int]]]:
        """Columns by task, in order: (heading, column numbers)."""
        grouped: dict[str, list[int]] = {}
        for index, column in enumerate(self.columns):
            grouped.setdefault(column.group, []).append(index)
        return list(grouped.items())


@dataclass(frozen=True)
class Board:
    """What every format draws."""

    sections: tuple[Section, ...]
    limited: int  # records left off because they come from a --limit run
    levels: tuple[float, ...]  # of the intervals shown

    @property
    def interval(self) -> str:
        """The intervals in words: "95 % intervals"."""
        return " and ".join(f"{level * 100:g} %" for level in self.levels) + " intervals"


@cache
def headline() -> dict[str, dict[str, str]]:
    """Return task -> metric -> explanation, in the order of a board."""
    return tomllib.loads((files(__package__) / "headline.toml").read_text("utf-8"))


@cache
def reported_figures() -> tuple[Reported, ...]:
    """Return the figures from papers that stand in reported.toml."""
    text = (files(__package__) / "reported.toml").read_text("utf-8")
    return tuple(Reported(**figure) for figure in tomllib.loads(text)["figure"])


def build(
    records: Iterable[Record],
    *,
    sort: str | None = None,
    reported: Sequence[Reported] | None = None,
) -> Board:
    """Arrange records, the newest of each `record_id`; `--limit` runs are counted and left off.

    `sort` is "model", "date", a metric or "task.metric"; by default the first ranked column. An
    unknown one raises HierevalError with the nearest.
    """
    given = list(records)
    full = [record for record in given if record.limit is None]
    grouped: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in full:
        grouped[_dataset_key(record)].append(record)
    figures = reported_figures() if reported is None else reported
    sections = [_section(grouped[key], figures) for key in sorted(grouped)]
    from hiereval.leaderboard.order import ordered

    return Board(
        sections=tuple(ordered(_titled(sections), sort)),
        limited=len(given) - len(full),
        levels=tuple(sorted({m.ci_level for r in full for m in r.metrics.values()}, reverse=True)),
    )


def _dataset_key(record: Record) -> tuple[str, ...]:
    data = record.dataset
    return data.name, data.split, data.sha256, data.image_source


def _section(records: list[Record], figures: Sequence[Reported]) -> Section:
    data = records[0].dataset
    columns = _columns(records)
    rows = _rows(records, columns)
    measured = [row for row in rows if row.kind == "measured"]
    controls = [row for row in rows if row.kind == "control"]
    if len({row.model.geometry for row in measured}) > 1:
        columns = [replace(c, unranked=_UNRANKED) if _depends_on_scale(c) else c for c in columns]
    measured = _ranked(notes.compared(measured, controls, columns), columns)
    return Section(
        title=clean(data.name) + (f" {clean(data.split)}" if data.split else ""),
        name=data.name,
        split=data.split,
        revision=data.revision,
        sha256=data.sha256,
        image_source=data.image_source,
        columns=tuple(columns),
        measured=tuple(measured),
        controls=tuple(controls),
        reported=tuple(f for f in figures if f.dataset == data.name and data.split == "test"),
        notes=tuple(notes.notes(records, measured, controls, columns)),
    )


def _titled(sections: list[Section]) -> list[Section]:
    """Tell sections of one name apart by their hash and their images."""
    titles = [section.title for section in sections]
    return [
        s
        if titles.count(s.title) == 1
        else replace(s, title=f"{s.title} ({clean(s.sha256)[:8]}, {clean(s.image_source, 40)})")
        for s in sections
    ]


# --- columns -------------------------------------------------------------------------------------


def _columns(records: list[Record]) -> list[Column]:
    order = list(headline())
    tasks: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "ok":
            tasks[_task_key(record)].append(record)
    keys = sorted(
        tasks, key=lambda key: (order.index(key[0]) if key[0] in order else len(order), key)
    )
    return [
        _column(tasks[key], metric, _heading(key, keys))
        for key in keys
        for metric in _shown(key[0], tasks[key])
    ]


def _task_key(record: Record) -> tuple[str, int, str]:
    task = record.task
    return task.name, task.version, json.dumps(task.parameters, sort_keys=True)


def _shown(task: str, records: list[Record]) -> list[str]:
    there = list(dict.fromkeys(metric for record in records for metric in record.metrics))
    wanted = [metric for metric in headline().get(task, {}) if metric in there]
    return wanted or there[:3]


def _column(records: list[Record], metric: str, group: str) -> Column:
    holders = [record for record in records if metric in record.metrics]
    newest = max(holders, key=lambda record: record.timestamp.timestamp())
    task, value = newest.task.name, newest.metrics[metric]
    return Column(
        *_task_key(newest),
        metric=metric,
        group=group,
        help=headline().get(task, {}).get(metric, ""),
        higher_is_better=value.higher_is_better,
        range=value.range,
        chance=value.chance,
    )


def _heading(key: tuple[str, int, str], keys: list[tuple[str, int, str]]) -> str:
    """Head a task with its name, and with whatever tells it from its namesakes."""
    name, version, parameters = key
    namesakes = [other for other in keys if other[0] == name]
    parts = [f"v{version}"] if len({other[1] for other in namesakes}) > 1 else []
    if len({other[2] for other in namesakes}) > 1:
        parts += _differing(json.loads(parameters), [json.loads(o[2]) for o in namesakes])
    return clean(name) + (f" ({', '.join(parts)})" if parts else "")


def _differing(own: dict[str, Any], others: list[dict[str, Any]]) -> list[str]:
    return [
        clean(f"{name}={_plain(own.get(name))}", 40)
        for name in sorted({name for other in others for name in other})
        if len({json.dumps(other.get(name)) for other in others}) > 1
    ]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# --- rows ----------------------------------------------------------------------------------------


def is_control(record: Record) -> bool:
    """Whether a row is there to compare with: a control encoder or random weights."""
    return record.model.adapter == "control" or record.model.random_init is not None


def _row_key(record: Record) -> tuple[str, ...]:
    """Model and probe; seeds and shuffled controls of a trained probe share a row."""
    probe, training = record.probe, record.probe.training
    fitted_on = (training.dataset, training.split, training.sha256) if training else ()
    parameters = json.dumps(probe.parameters, sort_keys=True)
    return record.model.name, record.model.fingerprint, probe.name, parameters, *fitted_on


def _rows(records: list[Record], columns: list[Column]) -> list[Row]:
    grouped: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        grouped[_row_key(record)].append(record)
    rows = [_row(f"r{i}", grouped[key], columns) for i, key in enumerate(sorted(grouped))]
    return _distinguished(rows)


def _row(id: str, records: list[Record], columns: list[Column]) -> Row:
    first = records[0]
    by_task: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in records:
        by_task[_task_key(record)].append(record)
    name = clean(first.model.name, 60)
    if first.model.random_init is not None and "random" not in name:
        name += " (random init)"
    return Row(
        id=id,
        label=name,
        kind="control" if is_control(first) else "measured",
        model=first.model,
        probe=clean(first.probe.name, 40),
        cells=tuple(cells.cell(by_task.get(c.key, []), c.metric) for c in columns),
        curve=_curve(records),
        records=tuple(records),
    )


def _distinguished(rows: list[Row]) -> list[Row]:
    """Add to equal labels the first fact that tells the rows apart."""
    same: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        same[row.label, row.probe, row.kind].append(row)
    return [_told_apart(row, same[row.label, row.probe, row.kind]) for row in rows]


def _told_apart(row: Row, namesakes: list[Row]) -> Row:
    if len(namesakes) == 1:
        return row
    for fact in _FACTS:
        if len({fact(other) for other in namesakes}) == len(namesakes):
            return replace(row, label=f"{row.label} · {fact(row)}")
    number = [other.id for other in namesakes].index(row.id) + 1
    return replace(row, label=f"{row.label} · {clean(row.model.fingerprint)[:8]} {number}")


_FACTS = (
    lambda row: clean(row.model.dtype, 12),
    lambda row: row.revision,
    lambda row: clean(row.model.checkpoint, 30),
    lambda row: clean(_probe_parameters(row.records[0].probe), 40),
    lambda row: clean(row.model.fingerprint)[:8],
)


def _probe_parameters(probe: ProbeInfo) -> str:
    return " ".join(f"{name}={_plain(value)}" for name, value in sorted(probe.parameters.items()))


def _curve(records: list[Record]) -> tuple[Tier, ...]:
    """Radii by tier from the newest record that has them; a malformed summary gives none."""
    for record in sorted(records, key=lambda record: -record.timestamp.timestamp()):
        try:
            tiers = [
                Tier(
                    int(t["tier"]),
                    *(float(t[k]) for k in ("mean", "low_quartile", "high_quartile")),
                )
                for t in record.summary["radius_by_tier"]
            ]
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if all(number(v) != "n/a" for t in tiers for v in (t.mean, t.low, t.high)):
            return tuple(tiers[:12])
    return ()


# --- ranks ---------------------------------------------------------------------------------------


def _depends_on_scale(column: Column) -> bool:
    """Only the rank sweep compares geometries: precision changes when radii are rescaled."""
    return column.task == "retrieval" and not column.metric.startswith("rank")


def _ranked(rows: list[Row], columns: list[Column]) -> list[Row]:
    """Give each cell its rank in its column: 1 + how many are strictly better; ties share."""
    ranks = [_ranks([row.cells[i] for row in rows], column) for i, column in enumerate(columns)]
    return [
        replace(
            row,
            cells=tuple(
                cell and replace(cell, rank=ranks[i][j]) for i, cell in enumerate(row.cells)
            ),
        )
        for j, row in enumerate(rows)
    ]


def _ranks(column_cells: list[Cell | None], column: Column) -> list[int | None]:
    if column.higher_is_better is None or column.unranked:
        return [None] * len(column_cells)
    sign = 1 if column.higher_is_better else -1
    values = [None if c is None or c.value is None else sign * c.value for c in column_cells]
    known = [value for value in values if value is not None]
    return [None if v is None else 1 + sum(other > v for other in known) for v in values]
