"""Numbers computed again from what was submitted; a verification only where all agree."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hiereval import __version__, files, identity
from hiereval.errors import HierevalError
from hiereval.fingerprint import file_sha256
from hiereval.records import DatasetInfo, Record
from hiereval.seen import UNSEEN
from hiereval.vector_shards import INDEX
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

    `folder` is what the adapter `precomputed` reads, or what `write_vectors` wrote of several
    models; a control is counted again. Raises DiffersError for the first number that differs,
    HierevalError for data or vectors that are missing.
    """
    from hiereval.run import RunConfig, measure

    probe, trained = record.probe, record.probe.training
    part = None if _is_counted(record) else _part_of(folder, record)
    made = measure(
        session,
        RunConfig(
            model=f"precomputed:{part}" if part else f"control:{record.model.checkpoint}",
            datasets=(_whole(record.dataset),),
            tasks=record.task.name,
            task_args={f"{record.task.name}.{k}": v for k, v in record.task.parameters.items()},
            probes=(probe.name,),
            probe_args=probe.parameters,
            train_data=f"{trained.dataset}:{trained.split}" if trained else None,
            seed=record.seed,
            resamples=record.bootstrap_resamples,
            null_draws=record.null_draws,
        ),
    )
    for again in made.records:
        if _is_same_thing(again, record):
            values = {f"metrics.{path}": value for path, value in _numbers(again)}
            sources = sorted(part.iterdir()) if part else []
            found = _verified(record, "vectors", sources, values)
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


def write_vectors(session: Session, records: Iterable[Record], folder: Path) -> None:
    """Write the stored vectors of the records' models as the adapter `precomputed` reads them.

    Vectors of one model for one dataset stand in `folder` itself, those of several in a folder
    each. Controls need none. Raises HierevalError for what the store lacks.
    """
    files.check_vacant(folder)
    measured: dict[str, list[Record]] = {}
    for record in records:
        if not _is_counted(record):
            measured.setdefault(_name(record), []).append(record)
    if not measured:
        raise HierevalError("The records must hold a model: controls have no vectors to write.")

    def fill(whole: Path) -> None:
        for name, of_model in measured.items():
            part = whole if len(measured) == 1 else whole / name
            part.mkdir(exist_ok=True)
            _write_vectors(session, of_model, part)

    files.write_folder(folder, fill)


def check_vectors(folder: Path, records: Iterable[Record]) -> None:
    """Raise HierevalError for a folder of one model's vectors beside records of several."""
    models = {record.model.fingerprint for record in records if not _is_counted(record)}
    if len(models) > 1 and (folder / INDEX).exists():
        raise HierevalError(
            f"The vectors {str(folder)!r} must be of the {len(models)} models that the records are "
            "of, in a folder each: 'hiereval verify RECORDS --write-vectors FOLDER' writes them."
        )


def _is_counted(record: Record) -> bool:
    return record.model.adapter == "control"


def _name(record: Record) -> str:
    """Return what tells one model's vectors for one dataset from others."""
    return files.safe_name(f"{record.model.fingerprint[:12]}-{_whole(record.dataset)}")


def _whole(data: DatasetInfo) -> str:
    """Return the dataset that is measured, also where a record is of its unseen strings alone."""
    split = data.split.partition(UNSEEN)[0]
    return f"{data.name}:{split}" if split else data.name


def _part_of(folder: Path, record: Record) -> Path:
    """Return where a record's vectors stand: the folder, or its own one below it."""
    part = folder / _name(record)
    if (folder / INDEX).exists() or not folder.is_dir():
        return folder
    if not part.is_dir():
        raise HierevalError(
            f"The vectors of {record.model.name} must be in {str(part)!r}, where 'hiereval verify "
            "RECORDS --write-vectors FOLDER' puts them."
        )
    return part


def _write_vectors(session: Session, of_model: list[Record], part: Path) -> None:
    """Write what the records of one model and dataset were made from."""
    import torch
    from safetensors.torch import save_file

    model = of_model[0].model
    found, dataset = _stored(session, of_model)
    texts = list(dict.fromkeys([*dataset.texts, *found.anchors]))
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
    save_file(tensors, part / "embeddings.safetensors")
    (part / INDEX).write_text(json.dumps(index, indent=1) + "\n", "utf-8")


def _stored(session: Session, of_model: list[Record]) -> tuple[Embeddings, Dataset]:
    """Return the vectors that the store has of a model, and the data they are of."""
    from hiereval import registry
    from hiereval.stored import stored_only

    model, data = of_model[0].model, of_model[0].dataset
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
    dataset = session.dataset(_whole(data))
    asked = {record.task.name for record in of_model}
    sees = any("image" in registry.load("tasks", name).modalities for name in asked)
    fitted = {(t.dataset, t.split) for r in of_model if (t := r.probe.training) is not None}
    trained_on = [session.dataset(f"{name}:{split}").texts for name, split in sorted(fitted)]
    anchors = list(dict.fromkeys([model.root_text, *chain.from_iterable(trained_on)]))
    found, _ = session.vectors(stored_only(adapter), dataset, images=sees, anchors=anchors)
    return found, dataset
