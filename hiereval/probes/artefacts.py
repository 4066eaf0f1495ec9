"""Fitted probes on disk: safetensors, and a JSON card that says what they were fitted on.

A folder holds one probe (`probe.safetensors`, `card.json`), or folders that do: seeds,
tiers as they are and shuffled. A probe is of one model, by fingerprint, and of no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hiereval import __version__, files, registry, seals
from hiereval.errors import HierevalError
from hiereval.lineage import text_hashes
from hiereval.probes.descent import Descent
from hiereval.records import Name, Strict, TrainingInfo
from hiereval.registry import parameters
from hiereval.training import image_names
from hiereval.types import Chains, ModelId, Probe

CARD, WEIGHTS = "card.json", "probe.safetensors"
FIT = "fit.json"  # which probes belong to one fitting, and what they share
HASH = "probe_sha256"


class Card(Strict):
    """What stands in card.json, beside its checksum."""

    hiereval: str
    probe: Name
    parameters: dict[str, Any]
    seed: int
    shuffled: bool
    model: dict[str, Any]
    training: dict[str, Any]
    images: list[str]
    texts: list[str]
    best_step: int
    losses: list[dict[str, float]]
    development: list[dict[str, float]]
    probe_sha256: str


@dataclass(frozen=True)
class Artefact:
    """A fitted probe, what it was fitted on, and the images and strings that it has seen."""

    probe: Probe
    parameters: Mapping[str, Any]
    seed: int
    training: TrainingInfo
    images: frozenset[str]
    texts: frozenset[str]  # hashes


def save(probe: Any, folder: Path, model: ModelId, data: Chains) -> None:
    """Write a fitted probe into a new folder, whole or not at all."""
    from safetensors.torch import save as packed

    descent: Descent = probe.descent_
    weights = packed({name: value.contiguous() for name, value in descent.parameters.items()})
    card = {
        "hiereval": __version__,
        "probe": probe.name,
        "parameters": parameters(probe),
        "seed": probe.seed,
        "shuffled": probe.shuffled,
        "model": {**asdict(model), "fingerprint": model.fingerprint()},
        "training": training_info(probe, data).model_dump(exclude={"probe_sha256"}),
        "images": sorted(image_names(data)),
        "texts": text_hashes(data.texts),
        "best_step": descent.best_step,
        "losses": descent.log,
        "development": descent.development,
    }
    card[HASH] = hashlib.sha256(weights).hexdigest()

    def fill(part: Path) -> None:
        (part / WEIGHTS).write_bytes(weights)
        seals.write_json(part / CARD, card)

    try:
        files.write_folder(folder, fill)
    except OSError as error:
        raise HierevalError(
            f"The probe cannot be written to {str(folder)!r}: {error.strerror or error}."
        ) from error


def training_info(probe: Any, data: Chains) -> TrainingInfo:
    """Return what a record says of a trained probe's data."""
    return TrainingInfo(
        dataset=data.name,
        split=data.split,
        sha256=data.sha256,
        n=len(data.chains),
        shuffled=probe.shuffled,
    )


def load(folder: Path, model: ModelId) -> list[Artefact]:
    """Return the probes in a folder, or in the folders directly below it, sorted by name.

    Raises HierevalError if there is none, if one is damaged, or was fitted on another model.
    """
    cards = [folder / CARD] if (folder / CARD).is_file() else sorted(folder.glob(f"*/{CARD}"))
    if not cards:
        raise HierevalError(
            f"The probe folder {str(folder)!r} must hold {CARD} and {WEIGHTS}, or folders that "
            "do. 'hiereval fit' makes one."
        )
    if (folder / FIT).is_file():
        lacking = set(seals.read_json(folder / FIT)["probes"]) - {
            card.parent.name for card in cards
        }
        if lacking:
            raise HierevalError(
                f"The probe folder {str(folder)!r} must hold every probe of its fitting; "
                f"{', '.join(sorted(lacking))} is not there."
            )
    return [_load(card.parent, model) for card in cards]


def _load(folder: Path, model: ModelId) -> Artefact:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        card = Card.model_validate(seals.read_json(folder / CARD))
        fitted_on = {name: str(card.model.get(name)) for name in ("name", "fingerprint")}
        if fitted_on["fingerprint"] != model.fingerprint():
            raise HierevalError(
                f"The probe {str(folder)!r} must be used with the model it was fitted on, "
                f"{fitted_on['name']!r} ({_short(fitted_on['fingerprint'])}); {model.name!r} is "
                f"another ({_short(model.fingerprint())}). 'hiereval fit' fits one on it."
            )
        content = (folder / WEIGHTS).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != card.probe_sha256:
            raise ValueError(f"{WEIGHTS} is not what was written: its hash is another")
        weights = load(content)
        probe = registry.load("probes", card.probe)(**card.parameters)
        probe.descent_ = Descent(weights, card.losses, card.development, card.best_step)
        info = TrainingInfo.model_validate({**card.training, "probe_sha256": digest})
        saw = frozenset(card.images), frozenset(card.texts)
        return Artefact(probe, card.parameters, card.seed, info, *saw)
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
        raise HierevalError(f"The probe in {str(folder)!r} must be whole: {said}.") from error


def _short(fingerprint: str) -> str:
    return f"fingerprint {fingerprint[:12]}"
