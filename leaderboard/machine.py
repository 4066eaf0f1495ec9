"""The board as JSON: what the other formats draw, and every record it is made from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from math import isfinite
from typing import Any

from hiereval.findings import COVERS
from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.rows import Row


def written(board: Board) -> str:
    """Return the board as one JSON object, a row on each line; numbers are exact, strings as the
    records hold them."""
    document = {
        "title": board.title,
        "limited": board.limited,
        "levels": board.levels,
        "covers": COVERS,
    }
    begun = json.dumps(document, indent=1, allow_nan=False).removesuffix("\n}")
    return f'{begun},\n "sections": [{_listed(map(_section, board.sections))}]\n}}\n'


def _section(section: Section) -> str:
    document = {
        "dataset": section.name,
        "split": section.split,
        "revision": section.revision,
        "sha256": section.sha256,
        "image_source": section.image_source,
        "columns": [_column(column) for column in section.columns],
        "reported": [asdict(figure) for figure in section.reported],
        "notes": section.notes,
    }
    begun = _with(document, "measured", map(_row, section.measured))
    return f'{begun[:-1]}, "controls": [{_listed(map(_row, section.controls))}]}}'


def _with(document: dict[str, Any], last: str, texts: Iterable[str]) -> str:
    """Return an object as JSON, with a last member that is a list of what is JSON already."""
    return f'{json.dumps(document, allow_nan=False)[:-1]}, "{last}": [{_listed(texts)}]}}'


def _listed(texts: Iterable[str]) -> str:
    return ",".join(f"\n{text}" for text in texts)


def _column(column: Column) -> dict[str, Any]:
    """An unbounded range is "Infinity", as in a record: JSON has no other way."""
    bounds = column.range and [
        bound if isfinite(bound) else "Infinity" if bound > 0 else "-Infinity"
        for bound in column.range
    ]
    return {**asdict(column), "range": bounds}


def _row(row: Row) -> str:
    document = {
        "label": row.label,
        "probe": row.probe,
        "twins": row.twins,
        "verified": row.verified,
        "cells": [cell and {name: getattr(cell, name) for name in _CELL} for cell in row.cells],
        "radius_by_tier": [asdict(tier) for tier in row.curve],
    }
    return _with(
        document, "records", (record.model_dump_json(ensure_ascii=True) for record in row.records)
    )


_CELL = [field.name for field in fields(Cell)]  # all of them plain values
