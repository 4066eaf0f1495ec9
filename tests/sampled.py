"""A task of two means, its records and its samples, for whatever reads samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from hiereval import samples
from hiereval.records import Record
from hiereval.statistics import Mean
from hiereval.types import Metric, Scores


@dataclass(frozen=True)
class Coin:
    """Heads and tails of items, as two means."""

    bias: float = 0.5

    name: ClassVar[str] = "coin"
    version: ClassVar[int] = 1
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("heads", "share of heads", Mean("heads")),
        Metric("tails", "share of tails", Mean("tails"), higher_is_better=False),
    )


def coin(heads: list[float], ids: list[str] | None = None, **fields: Any) -> Scores:
    values = torch.tensor(heads, dtype=torch.float64)
    names = ids or [f"flip {i}" for i in range(len(heads))]
    return Scores(ids=names, items={"heads": values, "tails": 1.0 - values}, **fields)


def record(model: str = "a", task: str = "coin", seconds: int = 0, **changes: Any) -> Record:
    """A record without metrics; `changes` may name a part's field ("dataset__sha256")."""
    fields: dict[str, Any] = {
        "run_id": "run", "record_id": f"{model}-{task}",
        "timestamp": datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=seconds),
        "status": "ok", "reason": None,
        "model": {
            "name": model, "adapter": "hf-clip", "adapter_version": 1, "checkpoint": model,
            "revision": None, "fingerprint": f"fingerprint of {model}", "weights_sha256": None,
            "config_sha256": None, "preprocess_fingerprint": None, "tokenizer_fingerprint": None,
            "embed_dim": 2, "n_params": 1, "dtype": "float32", "context_length": 77,
            "geometry": "sphere", "curvature": None, "root_text": "", "random_init": None,
            "trust_remote_code": False,
        },
        "task": {"name": task, "version": 1, "parameters": {"bias": 0.5} if task == "coin" else {}},
        "dataset": {
            "name": "flips", "split": "test", "revision": None, "sha256": "e" * 64,
            "image_source": "", "n_texts": 1, "n_images": 0, "n_truncated": 0,
        },
        "probe": {"name": "empty-root", "parameters": {}, "seed": None, "training": None},
        "metrics": {},
        "environment": {
            "hiereval": "0.1.0", "python": "3.11", "packages": {}, "device": "cpu", "driver": None,
            "git_commit": None, "git_dirty": None, "plugins": [],
        },
        "timings": {"encode_s": 0.0, "fit_s": 0.0, "score_s": 0.0, "images_per_s": None,
                    "texts_per_s": None},
        "batch_size": None, "bootstrap_resamples": 1000, "seed": 0, "limit": None,
    }  # fmt: skip
    for name, value in changes.items():
        part, _, field = name.partition("__")
        if field:
            fields[part][field] = value
        else:
            fields[part] = value
    return Record.model_validate(fields)


def write(folder: Path, scores: Scores, model: str = "a", **changes: Any) -> Path:
    """Write samples as a run does; return the file."""
    of = record(model, **changes)
    path = samples.path_of(folder, of)
    samples.write(path, of, scores)
    return path


def as_lists(items: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    return {key: values.tolist() for key, values in items.items()}
