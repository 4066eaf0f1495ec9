"""Export to MTEB's results folder: `results/<org>__<model>/<revision>/<Task>.json`."""

from __future__ import annotations

import json
import re
from typing import Any

from hiereval.leaderboard.board import Board
from hiereval.leaderboard.columns import task_key
from hiereval.leaderboard.hub_results import Names, measurement, scored, slug
from hiereval.leaderboard.rows import USUAL_PROBE, Row
from hiereval.leaderboard.wording import clean, public

_LANGUAGES = ["eng-Latn"]
_NOT_KNOWN = (  # fields that MTEB wants to find, whatever is in them
    "loader", "memory_usage_mb", "license", "open_weights", "public_training_code",
    "public_training_data", "use_instructions", "training_datasets",
)  # fmt: skip


def results(board: Board) -> dict[str, str]:
    """Return each path and its text; `board` holds every metric, the first is the main score.

    Scores with intervals stand as metric, metric_ci_low, metric_ci_high. `mteb_version` is null:
    MTEB did not run them.
    """
    files: dict[str, dict[str, Any]] = {}
    homes, tasks = Names(), Names()
    for section, row, column, cell in scored(board):
        home = homes.of(_home(row), row.model.name, row.model.fingerprint)
        task = _camel(section.name) + _camel(column.group)
        task += "" if row.probe == USUAL_PROBE else _camel(row.probe)
        task = tasks.of(task, *measurement(section, row, column))
        document = files.setdefault(
            f"{home}/{task}.json",
            {
                "dataset_revision": section.revision or section.sha256,
                "task_name": task,
                "mteb_version": None,
                "scores": {section.split: [{"hf_subset": "default", "languages": _LANGUAGES}]},
                "evaluation_time": sum(_seconds(row, column.key)),
                "kg_co2_emissions": None,
            },
        )
        scores = document["scores"][section.split][0]
        metric = clean(column.metric)
        scores.setdefault("main_score", cell.value)
        scores |= {metric: cell.value, f"{metric}_ci_low": cell.low, f"{metric}_ci_high": cell.high}
        files[f"{home}/model_meta.json"] = _meta(row)
    return {path: json.dumps(document, indent=2) + "\n" for path, document in files.items()}


def _seconds(row: Row, key: tuple[str, int, str]) -> list[float]:
    return [
        record.timings.encode_s + record.timings.fit_s + record.timings.score_s
        for record in row.records
        if task_key(record) == key
    ]


def _home(row: Row) -> str:
    checkpoint = public(row.model.checkpoint)
    name = checkpoint if "/" in checkpoint else clean(row.model.name)
    revision = row.model.revision or row.model.weights_sha256 or row.model.fingerprint
    return f"results/{'__'.join(map(slug, name.split('/')))}/{slug(revision)}"


def _camel(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", clean(text)))


def _meta(row: Row) -> dict[str, Any]:
    model = row.model
    return {
        "name": public(model.checkpoint),
        "revision": clean(model.revision) if model.revision else None,
        "release_date": None,
        "languages": _LANGUAGES,
        "n_parameters": model.n_params,
        "embed_dim": model.embed_dim,
        "max_tokens": model.context_length,
        "framework": [],
        "similarity_fn_name": "cosine" if model.geometry == "sphere" else None,
        "modalities": ["image", "text"],
        **dict.fromkeys(_NOT_KNOWN),
    }
