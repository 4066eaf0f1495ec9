"""The board as JSON: what the other formats draw, and every record it is made from."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite
from typing import Any

from hiereval.findings import COVERS
from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.rows import Row


def written(board: Board) -> str:
    """Return the board as one JSON object; numbers are exact, strings as the records hold them."""
    document = {
        "title": board.title,
        "limited": board.limited,
        "levels": board.levels,
        "covers": COVERS,
        "sections": [_section(section) for section in board.sections],
    }
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _section(section: Section) -> dict[str, Any]:
    return {
        "dataset": section.name,
        "split": section.split,
        "revision": section.revision,
        "sha256": section.sha256,
        "image_source": section.image_source,
        "columns": [_column(column) for column in section.columns],
        "measured": [_row(row) for row in section.measured],
        "controls": [_row(row) for row in section.controls],
        "reported": [asdict(figure) for figure in section.reported],
        "notes": section.notes,
    }


def _column(column: Column) -> dict[str, Any]:
    """An unbounded range is "Infinity", as in a record: JSON has no other way."""
    bounds = column.range and [
        bound if isfinite(bound) else "Infinity" if bound > 0 else "-Infinity"
        for bound in column.range
    ]
    return {**asdict(column), "range": bounds}


def _row(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "probe": row.probe,
        "twins": row.twins,
        "verified": row.verified,
        "cells": [cell and asdict(cell) for cell in row.cells],
        "radius_by_tier": [asdict(tier) for tier in row.curve],
        "records": [json.loads(record.model_dump_json()) for record in row.records],
    }
