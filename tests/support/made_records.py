"""A small builder of records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hiereval.records import Record

_count = 0


def metric(value: float | None, half: float = 0.01, **fields: Any) -> dict[str, Any]:
    """A metric's value with an interval of `half` to each side; None is undefined."""
    return {
        "value": value,
        "ci_low": None if value is None else value - half,
        "ci_high": None if value is None else value + half,
        "ci_level": 0.95,
        "n": 1000 if value is not None else 0,
        "undefined_reason": "all radii are equal" if value is None else None,
        "higher_is_better": True,
        "range": (0.0, 1.0),
        **fields,
    }


def judged(
    value: float | None, p: float = 0.001, *, half: float = 0.01, sd: float = 0.02, **fields: Any
) -> dict[str, Any]:
    """A metric's value with a free null of p-value `p`, and other bars in `fields`."""
    null = {"mean": 0.5, "sd": sd, "low": 0.5 - 2 * sd, "high": 0.5 + 2 * sd, "p": p, "draws": 999}
    return metric(value, half, **{"nulls": {"free": null}, **fields})


def make_twins(*values: float, metric: str = "tau_d", **changes: Any) -> list[Record]:
    """Records of a model's random initialisations, one a seed."""
    return [
        make_record(
            metrics={metric: value},
            **{"model__random_init": seed, "model__fingerprint": f"{seed}" * 64, **changes},
        )
        for seed, value in enumerate(values)
    ]


def make_record(
    model: str = "toy",
    task: str = "ordering",
    metrics: Mapping[str, float | dict[str, Any] | None] | None = None,
    **changes: Any,
) -> Record:
    """A valid record; `changes` may name a part ("model__revision") or the record's own field."""
    global _count
    _count += 1
    values = {"tau_d": 0.9} if metrics is None else metrics
    fields: dict[str, Any] = {
        "run_id": "run",
        "record_id": f"id-{_count}",
        "timestamp": datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=_count),
        "status": "ok",
        "reason": None,
        "model": {
            "name": model,
            "adapter": "hf-clip",
            "adapter_version": 1,
            "checkpoint": f"org/{model}"[:100],
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "fingerprint": (model.encode().hex() + "f" * 64)[:64],
            "weights_sha256": "a" * 64,
            "config_sha256": "b" * 64,
            "preprocess_fingerprint": "c" * 64,
            "tokenizer_fingerprint": "d" * 64,
            "embed_dim": 512,
            "n_params": 151_000_000,
            "dtype": "float32",
            "context_length": 77,
            "geometry": "sphere",
            "curvature": None,
            "root_text": "",
            "random_init": None,
            "trust_remote_code": False,
        },
        "task": {"name": task, "version": 1, "parameters": {}},
        "dataset": {
            "name": "hierarcaps",
            "split": "test",
            "revision": "ba22b891",
            "sha256": "e" * 64,
            "image_source": "bundled",
            "n_texts": 3132,
            "n_images": 1000,
            "n_truncated": 0,
        },
        "probe": {"name": "empty-root", "parameters": {}, "seed": None, "training": None},
        "metrics": {
            name: value if isinstance(value, dict) else metric(value)
            for name, value in values.items()
        },
        "environment": {
            "hiereval": "0.1.0",
            "python": "3.11.2",
            "packages": {"torch": "2.15"},
            "device": "cpu",
            "driver": None,
            "git_commit": None,
            "git_dirty": None,
            "plugins": [],
        },
        "timings": {
            "encode_s": 1.0, "fit_s": 0.0, "score_s": 0.1, "images_per_s": 90.0,
            "texts_per_s": 900.0,
        },
        "batch_size": 32,
        "bootstrap_resamples": 1000,
        "seed": 0,
        "limit": None,
        "summary": {},
    }  # fmt: skip
    for name, value in changes.items():
        part, _, field = name.partition("__")
        if field:
            fields[part][field] = value
        else:
            fields[part] = value
    return Record.model_validate(fields)


def make_control(kind: str = "words", **changes: Any) -> Record:
    """A record of a control encoder."""
    return make_record(
        kind, **{"model__adapter": "control", "model__checkpoint": kind, "model__revision": None,
                 "model__geometry": "euclidean", **changes},
    )  # fmt: skip


def make_trained(
    value: float | dict[str, Any], seed: int, shuffled: bool = False, **changes: Any
) -> Record:
    """A record of a trained probe."""
    training = {
        "dataset": "hierarcaps-train",
        "split": "train",
        "sha256": "9" * 64,
        "n": 18770,
        "shuffled": shuffled,
        "probe_sha256": None,
    }
    probe = {
        "name": "radial-linear",
        "parameters": {"rank": 16, "seed": seed, "shuffled": shuffled, "device": "auto"},
        "seed": seed,
        "training": training,
    }
    return make_record(metrics={"tau_d": value}, probe=probe, **changes)
