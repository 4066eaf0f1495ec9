"""The board as JSON: what the other formats draw, and every record it is made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from typing import Any

from hiereval.findings import COVERS
from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.repeats import Repeat
from hiereval.leaderboard.rows import Row


def written(board: Board) -> str:
    """Return the board as one JSON object, a row on each line; numbers are exact, strings as the
    records hold them."""
    return "".join(parts(board))


def parts(board: Board) -> Iterator[str]:
    """Yield what `written` returns, piece by piece: it holds every record."""
    document = {
        "title": board.title,
        "limited": board.limited,
        "levels": board.levels,
        "covers": COVERS,
    }
    yield json.dumps(document, indent=1, allow_nan=False).removesuffix("\n}")
    yield ',\n "sections": ['
    for place, section in enumerate(board.sections):
        yield ",\n" if place else "\n"
        yield from _section(section)
    yield "]\n}\n"


def _section(section: Section) -> Iterator[str]:
    document = {
        "dataset": section.name,
        "split": section.split,
        "revision": section.revision,
        "sha256": section.sha256,
        "image_source": section.image_source,
        "columns": [_column(column) for column in section.columns],
        "reported": [asdict(figure) for figure in section.reported],
        "notes": section.notes,
        "left_out": [_repeat(repeat) for repeat in section.left_out],
    }
    yield json.dumps(document, allow_nan=False)[:-1]
    for name, rows in (("measured", section.measured), ("controls", section.controls)):
        yield f', "{name}": ['
        for place, row in enumerate(rows):
            yield ",\n" if place else "\n"
            yield _row(row)
        yield "]"
    yield "}"


def _column(column: Column) -> dict[str, Any]:
    """An unbounded range is "Infinity", as in a record: JSON has no other way."""
    bounds = column.range and [
        bound if isfinite(bound) else "Infinity" if bound > 0 else "-Infinity"
        for bound in column.range
    ]
    return {**asdict(column), "range": bounds}


def _repeat(repeat: Repeat) -> dict[str, Any]:
    """Say which run is left out, which stands in its place, and how far their values lie apart."""
    record = repeat.record
    return {
        "record_id": record.record_id,
        "stands": repeat.stands.record_id,
        "status": record.status,
        "seed": record.seed,
        "bootstrap_resamples": record.bootstrap_resamples,
        "null_draws": record.null_draws,
        "timestamp": record.timestamp.isoformat(),
        "values_apart": repeat.apart,
    }


def _row(row: Row) -> str:
    document = {
        "label": row.label,
        "probe": row.probe,
        "twins": row.twins,
        "verified": row.verified,
        "cells": [cell and cell._asdict() for cell in row.cells],
        "radius_by_tier": [asdict(tier) for tier in row.curve],
    }
    records = ",".join(record.model_dump_json(ensure_ascii=True) for record in row.records)
    return f'{json.dumps(document, allow_nan=False)[:-1]}, "records": [{records}]}}'
