"""A board's own settings: title, columns, figures that papers report. One small TOML file.

title = "Our board"
lead = "One line below it."
tasks = ["ordering", "*retrieval"]
columns = ["ordering.length_matched_auroc", "rank_f1"]
sort = "rank_f1"

[[figure]]
model = "Ours, large"
dataset = "hierarcaps"
metrics = { "ordering tau_d" = 0.93 }
source = "Our paper, Table 2"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hiereval.errors import HierevalError, nearest
from hiereval.leaderboard.board import Reported

_LISTS = ("datasets", "tasks", "columns")
_FIGURE = {"model": str, "dataset": str, "metrics": dict, "source": str, "url": str, "note": str}
_OPTIONAL = ("url", "note")


@dataclass(frozen=True)
class Configuration:
    """What board.toml may say; everything has a default."""

    title: str = ""
    lead: str = ""
    datasets: tuple[str, ...] = ()  # names or globs
    tasks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()  # metric or task.metric, names or globs; none: the headline ones
    sort: str | None = None
    papers: bool = True  # whether hiereval's own reported figures stand on the board
    figure: tuple[Reported, ...] = ()


def read(path: Path) -> Configuration:
    """Return the settings of a file; whatever is not one of them raises HierevalError, named."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise HierevalError(
            f"The configuration {str(path)!r} must be a file that can be read: {error.strerror}."
        ) from error
    except ValueError as error:
        raise HierevalError(f"The configuration {str(path)!r} must be TOML: {error}.") from error
    known = [field.name for field in fields(Configuration)]
    for key in given:
        if key not in known:
            raise HierevalError(
                f"The key {key!r} in {str(path)!r} must be one of {', '.join(known)}."
                f"{nearest(key, known)}"
            )
    return Configuration(**{key: _value(path, key, value) for key, value in given.items()})


def _value(path: Path, key: str, value: Any) -> Any:
    if key == "figure":
        tables = value if isinstance(value, list) else [None]
        return tuple(_figure(path, i, table) for i, table in enumerate(tables, 1))
    if key in _LISTS:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        raise HierevalError(f"The key {key!r} in {str(path)!r} must be a list of names.")
    wanted = bool if key == "papers" else str
    if not isinstance(value, wanted):
        what = "true or false" if wanted is bool else "text"
        raise HierevalError(f"The key {key!r} in {str(path)!r} must be {what}.")
    return value


def _figure(path: Path, number: int, table: Any) -> Reported:
    where = f"The figure {number} in {str(path)!r}"
    if not isinstance(table, Mapping):
        raise HierevalError(f"{where} must be a table [[figure]].")
    for key in table:
        if key not in _FIGURE:
            raise HierevalError(
                f"{where} must not have {key!r}, only {', '.join(_FIGURE)}.{nearest(key, _FIGURE)}"
            )
    for key, kind in _FIGURE.items():
        if not isinstance(table.get(key, "" if key in _OPTIONAL else None), kind):
            raise HierevalError(f"{where} must have {key!r} as {_NAMED[kind]}.")
    for name, value in table["metrics"].items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise HierevalError(f"{where} must have a number for the metric {name!r}.")
    return Reported(**{"url": "", "note": "", **table})


_NAMED = {str: "text", dict: "a table of numbers"}
