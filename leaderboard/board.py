"""Records -> Board: which rows and columns there are, apart from how they are drawn.

A section is one dataset, to the byte. A row is one model under one probe; controls are rows of
their own and figures from papers a table of their own. A column is one metric of one task at one
version with one set of parameters: what was measured differently never shares a column.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from hiereval.errors import HierevalError
from hiereval.findings import COVERS
from hiereval.leaderboard import notes
from hiereval.leaderboard.columns import Column, columns_of, dataset_key
from hiereval.leaderboard.repeats import REPEATED, Repeat, one_of_each
from hiereval.leaderboard.rows import Row, rows_of
from hiereval.leaderboard.selection import ordered
from hiereval.leaderboard.standing import Paired, ranked
from hiereval.leaderboard.wording import clean, plural
from hiereval.records import DatasetInfo, Record
from hiereval.verified import Evidence

_VERIFIED = "Verified: every number was computed again from the vectors that were submitted."
_FROM_SAMPLES = (
    "Verified from samples: values and intervals alone, from the scores of single items that the "
    "submitter sent."
)
_UNRANKED = "not ranked: the radius sweep depends on the geometry's scale"


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
    left_out: tuple[Repeat, ...] = ()  # runs of measurements of which another stands

    @property
    def rows(self) -> tuple[Row, ...]:
        """Measured rows, then controls."""
        return self.measured + self.controls

    @property
    def filled(self) -> list[int]:
        """Columns in which a measured row has a value."""
        return [
            i
            for i in range(len(self.columns))
            if any((c := row.cells[i]) and c.value is not None for row in self.measured)
        ]

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
    title: str = ""  # its own, where it has one
    lead: str = ""  # the line below
    wanted: tuple[str, ...] = ()  # columns that were asked for: metric or task.metric, globs

    @property
    def interval(self) -> str:
        """The intervals in words: "95 % intervals"."""
        return " and ".join(f"{level * 100:g} %" for level in self.levels) + " intervals"

    @property
    def legend(self) -> str:
        """What the marks mean and what the intervals cover, below every table."""
        shown = {bar for s in self.sections for row in s.measured for c in row.cells if c
                 for bar in c.failed}  # fmt: skip
        marks = [f"{mark} not beyond {notes.BARS[bar]}." for bar, mark in notes.MARKS.items()
                 if bar in shown]  # fmt: skip
        bold = "Bold: findings that no other is above; only findings have a rank."
        evidence = {row.verified for s in self.sections for row in s.rows}
        standing = [_VERIFIED] * ("vectors" in evidence) + [_FROM_SAMPLES] * ("samples" in evidence)
        number = sum(len(section.left_out) for section in self.sections)
        left_out = [f"Left out: {plural(number, 'run')} {REPEATED}."] if number else []
        return " ".join([f"{self.interval}.", bold, *marks, *standing, *left_out, COVERS])


@cache
def reported_figures() -> tuple[Reported, ...]:
    """Return the figures from papers that stand in reported.toml."""
    text = (files(__package__) / "reported.toml").read_text("utf-8")
    return tuple(Reported(**figure) for figure in tomllib.loads(text)["figure"])


def build(
    records: Iterable[Record],
    *,
    sort: str | None = None,
    every_metric: bool = False,
    reported: Sequence[Reported] | None = None,
    paired: Paired | None = None,
    wanted: Sequence[str] = (),
    verified: Mapping[str, Evidence] | None = None,
    limited: bool = False,
) -> Board:
    """Arrange records, one of each measurement; `--limit` runs are counted and left off, unless
    they are asked for (`limited`).

    `sort` is "model", "date", a metric or "task.metric"; by default the column of which blind
    scores reach least. An unknown one raises HierevalError with the nearest. Columns are the
    headline metrics, those that are `wanted` (metric or task.metric, names or globs), or every
    one. `paired` finds the draws that ties are made from; `verified` holds, by `record_id`, what
    the numbers of records were computed again from.
    """
    given = list(records)
    full = [record for record in given if limited or record.limit is None]
    grouped: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in full:
        grouped[dataset_key(record)].append(record)
    figures = reported_figures() if reported is None else reported
    asked = () if every_metric else tuple(wanted)
    sections = [
        _section(grouped[key], figures, every_metric or bool(wanted), paired, asked, verified or {})
        for key in sorted(grouped)
    ]
    if wanted and not any(section.columns for section in sections):
        raise HierevalError(
            f"The columns {', '.join(map(repr, wanted))} must name a metric, or task.metric, of "
            "the results. 'hiereval ls tasks' describes them."
        )
    return Board(
        sections=tuple(ordered(_titled(sections), sort)),
        limited=len(given) - len(full),
        levels=tuple(
            sorted({level for s in sections for c in s.columns for level in c.levels})[::-1]
        ),
        wanted=tuple(wanted),
    )


def _section(
    records: list[Record],
    figures: Sequence[Reported],
    every_metric: bool,
    paired: Paired | None,
    wanted: Sequence[str],
    verified: Mapping[str, Evidence],
) -> Section:
    data = records[0].dataset
    records, left_out = one_of_each(records)
    columns = [c for c in columns_of(records, every_metric) if not wanted or c.is_any(wanted)]
    rows = [
        replace(row, verified=_evidence(row, verified)) if verified else row
        for row in rows_of(records, columns)
    ]
    measured = [row for row in rows if row.kind == "measured"]
    controls = [row for row in rows if row.kind == "control"]
    if len({row.model.geometry for row in measured}) > 1:
        columns = [replace(c, unranked=_UNRANKED) if _depends_on_scale(c) else c for c in columns]
    measured, columns = ranked(measured, columns, paired)
    return Section(
        title=_title(records[0]),
        name=data.name,
        split=data.split,
        revision=data.revision,
        sha256=data.sha256,
        image_source=data.image_source,
        columns=tuple(columns),
        measured=tuple(measured),
        controls=tuple(controls),
        reported=tuple(f for f in figures if _belongs(f, data, columns)),
        notes=tuple(notes.notes(records, measured, controls, columns, left_out)),
        left_out=tuple(left_out),
    )


def _title(record: Record) -> str:
    """Name a section's data, and say how little of them a `--limit` run saw."""
    split = f" {clean(record.dataset.split)}" if record.dataset.split else ""
    part = "" if record.limit is None else f", the first {record.limit:,}"
    return clean(record.dataset.name) + split + part


def _evidence(row: Row, verified: Mapping[str, Evidence]) -> Evidence | None:
    """Return what all numbers of a row were computed again from, the weaker where there are both;
    None where some were not."""
    found = {verified.get(record.record_id) for record in row.records if record.status == "ok"}
    if not found or None in found:
        return None
    return "samples" if "samples" in found else "vectors"


def _belongs(figure: Reported, data: DatasetInfo, columns: Sequence[Column]) -> bool:
    """Whether a figure is of this dataset (a name alone: the split `test`) and a task shown."""
    name, _, split = figure.dataset.partition(":")
    tasks = {column.task for column in columns}
    shown = any(key.partition(" ")[0] in tasks for key in figure.metrics)
    return shown and (name, split or "test") == (data.name, data.split)


def _titled(sections: list[Section]) -> list[Section]:
    """Tell sections of one name apart by their hash and their images."""
    titles = [section.title for section in sections]
    return [
        s
        if titles.count(s.title) == 1
        else replace(s, title=f"{s.title} ({clean(s.sha256)[:8]}, {clean(s.image_source, 40)})")
        for s in sections
    ]


def _depends_on_scale(column: Column) -> bool:
    """Only the rank sweep compares geometries: precision changes when radii are rescaled."""
    return column.task == "retrieval" and not column.metric.startswith("rank")
