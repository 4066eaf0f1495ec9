"""A task of two means, its records and its samples, for whatever reads samples."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import torch

from hiereval import samples
from hiereval.item_statistics import Mean
from hiereval.records import Record
from hiereval.types import Metric, Scores
from support.made_records import make_record


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
    own: dict[str, Any] = {
        "record_id": f"{model}-{task}",
        "timestamp": datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=seconds),
        "model__fingerprint": f"fingerprint of {model}",
        "task__parameters": {"bias": 0.5} if task == "coin" else {},
        "dataset__name": "flips",
    }
    return make_record(model, task, **{"metrics": {}, **own, **changes})


def write(folder: Path, scores: Scores, model: str = "a", **changes: Any) -> Path:
    """Write samples as a run does; return the file."""
    of = record(model, **changes)
    path = samples.path_of(folder, of)
    samples.write(path, of, scores)
    return path
