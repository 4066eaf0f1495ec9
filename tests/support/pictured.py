"""Records with samples of the shapes, as a run with --log-samples leaves them, at no cost."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from hiereval import samples
from hiereval.datasets import open_dataset
from hiereval.records import Record
from hiereval.types import Chains, DataOptions, Scores
from support.made_records import judged, make_record

RISING, FALLING = [0.5, 0.6, 0.7, 0.8], [0.9, 0.8, 0.7, 0.6]
TIERS = [
    {"tier": k, "mean": 0.4 + k / 10, "low_quartile": 0.35 + k / 10, "high_quartile": 0.45 + k / 10}
    for k in range(1, 5)
]


@cache
def data() -> Chains:
    dataset = open_dataset("shapes", DataOptions())
    assert isinstance(dataset, Chains)
    return dataset


def measured(
    folder: Path | None, model: str = "toy", *, captions: list[str] | None = None,
    dataset: Chains | None = None, far: dict[int, list[float]] | None = None, **changes: Any,
) -> list[Record]:  # fmt: skip
    """Records of ordering and retrieval, with samples in a folder: every fourth chain falls.

    `captions` stand for those of the data, in turn; `far` are the radii of chains by number.
    """
    dataset = dataset or data()
    own = {
        "dataset__name": dataset.name,
        "dataset__split": dataset.split,
        "dataset__sha256": dataset.sha256,
        **changes,
    }
    records = []
    for task, scores in (("ordering", ordering(dataset, captions, far or {})),
                         ("retrieval", retrieval(dataset, captions))):  # fmt: skip
        metrics = {"tau_d": judged(0.5)} if task == "ordering" else {"recall": judged(0.5)}
        summary = {"radius_by_tier": TIERS} if task == "ordering" else {}
        record = make_record(model, task, metrics, summary=summary, **own)
        if folder is not None:
            samples.write(samples.path_of(folder, record), record, scores)
        records.append(record)
    return records


def ordering(dataset: Chains, captions: list[str] | None, far: dict[int, list[float]]) -> Scores:
    n, k = dataset.chains.shape
    falls = [i % 4 == 3 for i in range(n)]

    def details(i: int) -> dict[str, Any]:
        own = [dataset.texts[t] for t in dataset.chains[i].tolist()]
        said = [captions[(i + j) % len(captions)] for j in range(k)] if captions else own
        return {"captions": said, "radii": far.get(i, FALLING if falls[i] else RISING)[:k]}

    tau = torch.tensor([-1.0 if fall else 1.0 for fall in falls], dtype=torch.float64)
    return Scores(ids=[f"chain {i}" for i in range(n)], items={"tau": tau}, details=details)


def retrieval(dataset: Chains, captions: list[str] | None) -> Scores:
    n = len(dataset.images)

    def details(i: int) -> dict[str, Any]:
        said = captions or ["something", "a thing", "a red thing"]
        path = [{"caption": said[(i + j) % len(said)], "level": 0.1 * j, "tier": j or None}
                for j in range(3)]  # fmt: skip
        return {"predictions": path}

    recall = torch.arange(n, dtype=torch.float64) / n
    names = [image.name for image in dataset.images]
    items = {"recall": recall, "precision": recall / 4}
    return Scores(ids=names, items=items, details=details)
