"""Fit a trained probe for several seeds, also on shuffled tiers, from stored embeddings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hiereval import files, registry, seals, training
from hiereval.degenerate import not_finite
from hiereval.errors import HierevalError
from hiereval.plan import ProbeRun, plan_probes
from hiereval.probes import artefacts
from hiereval.session import Session
from hiereval.types import Chains, Embeddings, Probe

Report = Callable[[Path, Mapping[str, Any]], None]  # folder, facts of one fitted probe


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """One fitting; the fields are the flags of `hiereval fit`."""

    model: str
    probe: str
    train_data: str
    out: Path
    revision: str | None = None
    model_args: Mapping[str, str] = field(default_factory=dict)
    probe_args: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


def fit(session: Session, config: FitConfig, report: Report) -> list[Path]:
    """Fit the probe's seeds, tiers as they are and shuffled, each into its own folder below `out`.

    Raises HierevalError for whatever was given wrongly before anything is encoded.
    """
    planned = _planned(config)
    files.check_vacant(config.out)
    adapter = session.adapter(config.model, config.model_args, revision=config.revision)
    progress = session.progress(adapter.id.name)
    data = training.checked(session.dataset(config.train_data))
    training.refuse_test_images(data, session.at_hand)
    anchors = planned[0].probe.anchors(adapter.id)
    vectors, _ = session.vectors(adapter, data, images=False, anchors=anchors)
    reason = not_finite(vectors, data)
    if reason is not None:
        raise HierevalError(f"The model {adapter.id.name!r} must give finite vectors: {reason}.")
    shared = {
        "model": adapter.id.fingerprint(),
        "data": data.sha256,
        "probes": {_name(one): one.parameters for one in planned},
    }
    try:
        with files.unfinished(config.out) as work:
            _same(work, shared)
            for number, one in enumerate(planned):
                progress("fitting", number, len(planned))
                fitted = _fitted(one, work / _name(one), vectors, data)
                report(config.out / _name(one), _facts(fitted))
                progress("fitting", number + 1, len(planned))
    except OSError as error:
        raise HierevalError(
            f"The output folder {str(config.out)!r} cannot be written: {error.strerror}."
        ) from error
    return [config.out / _name(one) for one in planned]


def _name(one: ProbeRun) -> str:
    return f"seed-{one.seed}{'-shuffled' if one.parameters['shuffled'] else ''}"


def _same(work: Path, shared: Mapping[str, Any]) -> None:
    """Refuse to go on in a folder of another fitting."""
    path = work / artefacts.FIT
    if not path.exists():
        seals.write_json(path, shared)
        return
    there = seals.read_json(path)
    for name, value in json.loads(json.dumps(shared)).items():
        if there.get(name) != value:
            raise HierevalError(
                f"The unfinished fitting {str(work)!r} must be of the same {name} to be gone on "
                "with. Delete it to start again, or name another --out."
            )


def _fitted(one: ProbeRun, folder: Path, vectors: Embeddings, data: Chains) -> Probe:
    """Fit a probe into its folder, or return the one that an earlier process has left there."""
    if folder.is_dir():
        return artefacts.load(folder, vectors.model)[0].probe
    probe: Any = one.probe
    probe.fit(vectors, data, torch.Generator().manual_seed(one.seed or 0))
    artefacts.save(probe, folder, vectors.model, data)
    return one.probe


def _planned(config: FitConfig) -> Sequence[ProbeRun]:
    planned = plan_probes([config.probe], config.probe_args, config.seed)
    if len({one.probe.name for one in planned}) != 1 or not planned[0].probe.trained:
        trained = [n for n in registry.names("probes") if registry.load("probes", n).trained]
        raise HierevalError(
            f"The probe {config.probe!r} must be one that is trained: {', '.join(trained)}. "
            "The others need no fitting: give them to 'hiereval run --probes'."
        )
    return planned


def _facts(probe: Any) -> dict[str, Any]:
    descent = probe.descent_
    best = min(descent.development, key=lambda line: line["total"])
    return {
        "before": descent.development[0]["total"],
        "after": best["total"],
        "steps": len(descent.log),
        "best_step": descent.best_step,
    }
