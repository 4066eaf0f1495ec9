"""Export to Every Eval Ever 0.3.0: one JSON file for each model and dataset, every metric."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from typing import Any

from hiereval import __version__
from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.hub_results import HubDataset, Names, identifier, scored, slug
from hiereval.leaderboard.rows import Row
from hiereval.leaderboard.wording import clean, public

SCHEMA = "0.3.0"
HIERARCAPS = "https://github.com/TAU-VAILab/hierarcaps"


def logs(
    board: Board,
    organization: str,
    relationship: str = "third_party",
    datasets: dict[str, HubDataset] | None = None,
) -> dict[str, str]:
    """Return `data/<collection>/<developer>/<model>/<uuid>.json` and its text for each row.

    The identifier depends on the records alone, so exporting again writes the same files.
    Metrics without a direction are left out: the format has no place for them.
    """
    files: dict[str, dict[str, Any]] = {}
    names: dict[str, Names] = {}
    for section, row, column, cell in scored(board):
        if column.higher_is_better is None:
            continue
        developer, model = _identity(row)
        identity = "/".join(sorted(record.record_id for record in row.records))
        name = uuid.UUID(bytes=hashlib.sha256(identity.encode()).digest()[:16], version=4)
        path = f"data/{slug(section.name)}/{slug(developer)}/{slug(model)}/{name}.json"
        if path not in files:
            files[path] = _log(section, row, organization, relationship)
        hub = (datasets or {}).get(section.name)
        metric_id = names.setdefault(path, Names()).of(
            f"hiereval.{identifier(column, row)}", *column.key, column.metric
        )
        files[path]["evaluation_results"].append(
            _result(section, row, column, cell, hub, metric_id)
        )
    return {path: json.dumps(log, indent=2) + "\n" for path, log in files.items()}


def _identity(row: Row) -> tuple[str, str]:
    developer, slash, model = public(row.model.checkpoint).partition("/")
    return (
        (developer, model) if slash and developer and model else ("unknown", clean(row.model.name))
    )


def _log(section: Section, row: Row, organization: str, relationship: str) -> dict[str, Any]:
    record, model = row.newest, row.model
    developer, name = _identity(row)
    measured = int(record.timestamp.timestamp())
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{slug(section.name)}/{slug(developer)}_{slug(name)}"
        f"_{slug(row.probe)}_{clean(model.fingerprint)[:12]}_{clean(section.sha256)[:12]}"
        f"/{measured}",
        "evaluation_timestamp": str(measured),
        "retrieved_timestamp": str(measured),
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_name": "hiereval",
            "source_organization_name": organization,
            "evaluator_relationship": relationship,
        },
        "eval_library": {"name": "hiereval", "version": clean(record.environment.hiereval)},
        "model_info": {
            "name": clean(model.name),
            "id": f"{developer}/{name}",
            "developer": developer,
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "adapter": clean(model.adapter),
                "revision": clean(model.revision or ""),
                "weights_sha256": clean(model.weights_sha256 or ""),
                "fingerprint": clean(model.fingerprint),
                "dtype": clean(model.dtype),
                "probe": row.probe,
                "exported_by": f"hiereval {__version__}",
            },
        },
        "evaluation_results": [],
    }


def _result(
    section: Section, row: Row, column: Column, cell: Cell, hub: HubDataset | None, metric_id: str
) -> dict[str, Any]:
    data: dict[str, Any] = {"dataset_name": clean(section.name), "source_type": "other"}
    if hub is not None:
        data |= {"source_type": "hf_dataset", "hf_repo": hub.id, "samples_number": cell.n}
    elif section.name.startswith("hierarcaps"):
        data |= {"source_type": "url", "url": [HIERARCAPS]}
    data["additional_details"] = {
        "sha256": clean(section.sha256),
        "revision": clean(section.revision or ""),
        "split": clean(section.split),
    }
    low, high = column.range or (-math.inf, math.inf)
    details: dict[str, Any] = {"score": cell.value, "uncertainty": {"num_samples": cell.n}}
    if cell.low is not None and cell.high is not None:
        details["uncertainty"] |= {
            "confidence_interval": {
                "lower": cell.low,
                "upper": cell.high,
                "confidence_level": cell.level,
                "method": "bootstrap",
            },
            "num_bootstrap_samples": row.newest.bootstrap_resamples,
        }
    return {
        "evaluation_name": f"hiereval.{slug(column.group)}",
        "source_data": data,
        "metric_config": {
            "metric_id": metric_id,
            "metric_name": clean(column.metric),
            "metric_kind": slug(column.metric),
            "lower_is_better": not column.higher_is_better,
            "score_type": "continuous",
            "min_score": _bound(low),
            "max_score": _bound(high),
        },
        "score_details": details,
    }


def _bound(value: float) -> float | str:
    """Return a bound as the format writes it: JSON has no infinity."""
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
