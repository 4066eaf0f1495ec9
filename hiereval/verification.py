"""Numbers computed again from what was submitted; a verification only where all agree."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hiereval import __version__, files, identity
from hiereval.errors import HierevalError
from hiereval.fingerprint import file_sha256
from hiereval.records import ModelInfo, Record
from hiereval.verified import Evidence, Source, Verification, content_hash

if TYPE_CHECKING:
    from hiereval.session import Session
    from hiereval.types import Dataset, Embeddings


class DiffersError(HierevalError):
    """A number that did not come out as the record says."""


def from_samples(record: Record, folder: Path) -> Verification:
    """Compute a record's values and intervals again from its samples.

    Nulls and blind scores are no function of samples: only vectors give them again. Raises
    DiffersError for the first number that differs, HierevalError where samples are missing.
    """
    from hiereval import samples
    from hiereval.estimates import bootstrap

    path = samples.path_of(folder, record)
    found = [s for s in samples.find(path) if s.identity.record_id == record.record_id]
    if not found:
        raise HierevalError(f"The samples {str(path)!r} must hold the record {record.record_id}.")
    scores = found[0].scores
    metrics = samples.metrics_of(record.task, scores.items)
    estimates = bootstrap(metrics, scores, seed=record.seed, resamples=record.bootstrap_resamples)
    values = {
        f"metrics.{name}.{part}": getattr(estimate, own)
        for name, estimate in estimates.items()
        for part, own in (("value", "value"), ("ci_low", "low"), ("ci_high", "high"), ("n", "n"))
    }
    return _verified(record, "samples", [path], values)


def from_vectors(session: Session, record: Record, folder: Path) -> Verification:
    """Compute every number of a record again, nulls and blind scores included, from vectors.

    `folder` is what the adapter `precomputed` reads. Raises DiffersError for the first number that
    differs, HierevalError for data or vectors that are missing.
    """
    from hiereval.run import RunConfig, measure

    probe, data = record.probe, record.dataset
    made = measure(
        session,
        RunConfig(
            model=f"precomputed:{folder}",
            datasets=(f"{data.name}:{data.split}" if data.split else data.name,),
            tasks=record.task.name,
            task_args={f"{record.task.name}.{k}": v for k, v in record.task.parameters.items()},
            probes=(probe.name,),
            probe_args=probe.parameters,
            train_data=probe.training.dataset if probe.training else None,
            seed=record.seed,
            resamples=record.bootstrap_resamples,
            null_draws=record.null_draws,
        ),
    )
    for again in made.records:
        if _is_same_thing(again, record):
            values = {f"metrics.{path}": value for path, value in _numbers(again)}
            found = _verified(record, "vectors", sorted(folder.iterdir()), values)
            _refuse_other_words(record, again)
            return found
    raise DiffersError(f"{record.record_id}: dataset.sha256: other data than those that are here")


def _refuse_other_words(record: Record, again: Record) -> None:
    """Raise DiffersError for what a record says of its metrics besides, or for the plots."""
    for part in ("metrics", "summary"):
        place = identity.first_difference(
            part, *(one.model_dump(include={part})[part] for one in (record, again))
        )
        if place is not None:
            raise DiffersError(f"{record.record_id}: {place}: its vectors say something else")


def _is_same_thing(a: Record, b: Record) -> bool:
    return (
        a.dataset.sha256 == b.dataset.sha256
        and a.probe.seed == b.probe.seed
        and a.probe.shuffled == b.probe.shuffled
    )


def _numbers(record: Record) -> Iterator[tuple[str, float | None]]:
    """Yield every number of a record's metrics with its place."""
    for name, metric in record.metrics.items():
        for part in ("value", "ci_low", "ci_high", "n"):
            yield f"{name}.{part}", getattr(metric, part)
        for blind, value in metric.ceilings.items():
            yield f"{name}.ceilings.{blind}", value
        for kind, null in metric.nulls.items():
            for part in ("mean", "sd", "low", "high", "p", "draws"):
                yield f"{name}.nulls.{kind}.{part}", getattr(null, part)


def _verified(
    record: Record, of: Evidence, sources: Iterable[Path], values: Mapping[str, float | None]
) -> Verification:
    """Compare a record with what was computed again."""
    largest, numbers = 0.0, 0
    told = {f"metrics.{path}": given for path, given in _numbers(record)}
    lacks = next((place for place in values if place not in told), None)
    if lacks is not None:
        raise DiffersError(
            f"{record.record_id}: {lacks}: the record lacks it, its {of} say {values[lacks]}"
        )
    for place, given in told.items():
        if place not in values and of == "samples":
            continue
        again = values.get(place)
        numbers += 1
        apart = 0.0 if given is None and again is None else _apart(given, again)
        if not apart <= identity.AGREE:
            raise DiffersError(
                f"{record.record_id}: {place}: the record says {given}, its {of} say {again}"
            )
        largest = max(largest, apart)
    return Verification(
        record_id=record.record_id,
        record_sha256=content_hash(record),
        by=__version__,
        of=of,
        sources=[Source(name=p.name, sha256=file_sha256(p)) for p in sources if p.is_file()],
        numbers=numbers,
        largest_difference=largest,
        date=datetime.now(UTC).date().isoformat(),
    )


def _apart(a: float | None, b: float | None) -> float:
    return math.inf if a is None or b is None else abs(a - b)


# --- vectors to submit ---------------------------------------------------------------------------


def write_vectors(session: Session, record: Record, folder: Path) -> None:
    """Write the stored vectors of a record's model and data as the adapter `precomputed` reads
    them; raises HierevalError for those that the store lacks."""
    from hiereval.stored import stored_only

    files.check_vacant(folder)
    model, data = record.model, record.dataset
    adapter = session.adapter(
        f"{model.adapter}:{model.checkpoint}",
        revision=model.revision,
        random_init=model.random_init,
    )
    if adapter.id.fingerprint() != model.fingerprint:
        raise HierevalError(
            f"The model {model.checkpoint!r} must be the one that was measured: its fingerprint "
            f"is {adapter.id.fingerprint()[:12]}, the record's {model.fingerprint[:12]}."
        )
    dataset = session.dataset(f"{data.name}:{data.split}" if data.split else data.name)
    seen = "image" in adapter.modalities and bool(dataset.images)
    found, _ = session.vectors(
        stored_only(adapter), dataset, images=seen, anchors=[model.root_text]
    )
    _write_vectors(folder, model, dataset, found)


def _write_vectors(folder: Path, model: ModelInfo, dataset: Dataset, found: Embeddings) -> None:
    import torch
    from safetensors.torch import save_file

    texts = list(dict.fromkeys([*dataset.texts, model.root_text]))
    place = dict(zip(dataset.texts, found.text, strict=True))
    rows = [place.get(text, found.anchors.get(text)) for text in texts]
    tensors = {"text": torch.stack([row for row in rows if row is not None])}
    index = {
        "name": model.name,
        "geometry": model.geometry,
        "curvature": model.curvature,
        "root_text": model.root_text,
        "texts": texts,
    }
    if found.image is not None:
        tensors["image"] = found.image.contiguous()
        index["images"] = [image.name for image in dataset.images]
    index = {key: value for key, value in index.items() if value is not None}

    def fill(part: Path) -> None:
        save_file(tensors, part / "embeddings.safetensors")
        (part / "index.json").write_text(json.dumps(index, indent=1) + "\n", "utf-8")

    files.write_folder(folder, fill)
