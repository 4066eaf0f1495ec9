"""A board's rows: one model under one probe, told apart from its namesakes."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from hiereval.beside import Beside
from hiereval.leaderboard import cells
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.columns import Column, plain, task_key
from hiereval.leaderboard.wording import clean, public
from hiereval.records import ModelInfo, ProbeInfo, Record, parameters_text
from hiereval.verified import STANDINGS, Evidence

Kind = Literal["measured", "control"]
Asked = tuple[tuple[str, int, str], str]  # a task's key, and a metric
_OF_ONE_FIT = {"seed", "shuffled", "device"}  # parameters that do not make another row
USUAL_PROBE = "empty-root"  # the paper's; rows that use it are named by their model alone


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
    twins: int  # seeds of random weights that its scores are compared with
    verified: Evidence | None = None  # what all its numbers were computed again from

    @property
    def name(self) -> str:
        """The label, with the probe where it is not the usual one; answers have none."""
        usual = self.probe in (USUAL_PROBE, "none")
        return self.label if usual else f"{self.label} / {self.probe}"

    @property
    def standing(self) -> str:
        """Measured, verified, or verified from samples."""
        return STANDINGS[self.verified]

    @cached_property
    def newest(self) -> Record:
        """The record that was made last."""
        return max(self.records, key=lambda record: record.timestamp)

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


def row_key(record: Record) -> tuple[str, ...]:
    """Model and probe; seeds and shuffled tiers of a trained probe share a row."""
    probe, training = record.probe, record.probe.training
    model = record.model.name, record.model.fingerprint, probe.name
    if training is None:
        return *model, parameters_text(probe)
    own = {name: value for name, value in probe.parameters.items() if name not in _OF_ONE_FIT}
    fitted_on = training.dataset, training.split, training.sha256
    return *model, json.dumps(own, sort_keys=True), *fitted_on


def rows_of(records: list[Record], columns: list[Column]) -> list[Row]:
    """Return a row for each model and probe, controls among them, labels all different."""
    grouped: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        grouped[row_key(record)].append(record)
    beside = Beside(records)
    asked = [(column.key, column.metric) for column in columns]
    rows = {  # in the order in which they were read: what lies together is quick to get at
        key: _row(f"r{i}", own, asked, beside) for i, (key, own) in enumerate(grouped.items())
    }
    return _distinguished([rows[key] for key in sorted(rows)])


def _row(id: str, records: list[Record], asked: Sequence[Asked], beside: Beside) -> Row:
    """Make a row with a cell for each task and metric that is asked for."""
    first = records[0]
    by_task: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in records:
        by_task[task_key(record)].append(record)
    fits = {key: cells.fits(own) for key, own in by_task.items()}
    name = clean(first.model.name, 60)
    if first.model.random_init is not None and "random" not in name:
        name += " (random init)"
    return Row(
        id=id,
        label=name,
        kind="control" if first.model.is_control else "measured",
        model=first.model,
        probe=clean(first.probe.name, 40),
        cells=tuple(
            cells.cell(fits[key], metric, beside) if key in fits else None for key, metric in asked
        ),
        curve=_curve(records),
        records=tuple(records),
        twins=max(len(beside.twins(record)) for record in records),
    )


def _distinguished(rows: list[Row]) -> list[Row]:
    """Add to equal labels the first fact that tells the rows apart."""
    same: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        same[row.label, row.probe, row.kind].append(row)
    named = {
        row.id: replace(row, label=f"{row.label} · {words}")
        for namesakes in same.values()
        if len(namesakes) > 1
        for row, words in zip(namesakes, _apart(namesakes), strict=True)
    }
    return [named.get(row.id, row) for row in rows]


def _apart(namesakes: list[Row]) -> list[str]:
    """Return the words that tell each row from the others."""
    for fact in _FACTS:
        words = [fact(row) for row in namesakes]
        if len(set(words)) == len(words):
            return words
    return [f"{clean(row.model.fingerprint)[:8]} {i}" for i, row in enumerate(namesakes, 1)]


_FACTS: tuple[Callable[[Row], str], ...] = (
    lambda row: "" if row.model.random_init is None else f"seed {row.model.random_init}",
    lambda row: clean(row.model.dtype, 12),
    lambda row: row.revision,
    lambda row: public(row.model.checkpoint)[:30],
    lambda row: clean(_probe_parameters(row.records[0].probe), 40),
    lambda row: clean(row.model.fingerprint)[:4],
    lambda row: clean(row.model.fingerprint)[:8],
)


def _probe_parameters(probe: ProbeInfo) -> str:
    return " ".join(f"{name}={plain(value)}" for name, value in sorted(probe.parameters.items()))


def _curve(records: list[Record]) -> tuple[Tier, ...]:
    """Radii by tier from the newest record that has them; a malformed summary gives none."""
    own = [r for r in records if not r.probe.shuffled]
    for record in sorted(own, key=lambda record: record.timestamp, reverse=True):
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
        if all(math.isfinite(v) for t in tiers for v in (t.mean, t.low, t.high)):
            return tuple(tiers[:12])
    return ()
