"""Frozen chains: what a trained probe sees of a model, unit vectors on the device it trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from hiereval import training
from hiereval.errors import HierevalError, Skipped
from hiereval.geometry import normalise
from hiereval.probes.descent import Descent, Objective, Parameters, Schedule, descend
from hiereval.types import Chains, Embeddings


class Trained(Protocol):
    """The parameters that trained probes share."""

    seed: int
    shuffled: bool
    negatives: bool
    lr: float
    batch: int
    epochs: int
    patience: int
    development: float
    device: str


@dataclass(frozen=True, eq=False)
class FrozenChains:
    """Chains of unit vectors, split into training and development chains by image."""

    text: Float[Tensor, "t d"]
    root: Float[Tensor, " d"]
    positive: Int[Tensor, "c k"]
    negative: Int[Tensor, "c k"] | None
    train: Int[Tensor, " n"]
    development: Int[Tensor, " m"]


def frozen_chains(
    name: str, probe: Trained, train: Embeddings, data: Chains, generator: Generator
) -> FrozenChains:
    """Return what `probe` is trained on: checked, split by image, tiers shuffled if asked.

    Float32 whatever the default type or autocast. A model that is no sphere is refused.
    """
    model = train.model
    if model.geometry != "sphere":
        raise Skipped(
            f"The probe {name!r} must be used with a sphere model, not with {model.name!r} "
            f"({model.geometry}). Use --probes empty-root or origin."
        )
    training.checked(data, negatives=probe.negatives)
    rows, held = training.hold_out(data, probe.development, generator)
    if probe.shuffled:
        data = training.shuffle_tiers(data, generator)
    device = probe.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    negatives = data.negatives if probe.negatives else None
    return FrozenChains(
        normalise(train.text.float()).to(device),
        normalise(train.anchors[model.root_text].float()).to(device),
        torch.from_numpy(data.chains).to(device),
        None if negatives is None else torch.from_numpy(negatives).to(device),
        torch.from_numpy(rows).to(device),
        torch.from_numpy(held).to(device),
    )


def fit_on(
    chains: FrozenChains, start: Parameters, loss: Objective, probe: Trained, generator: Generator
) -> Descent:
    """Train by the probe's own schedule, in float32 whatever autocast is on."""
    schedule = Schedule(probe.lr, probe.batch, probe.epochs, probe.patience)
    with torch.autocast(chains.text.device.type, enabled=False), torch.enable_grad():
        return descend(start, loss, chains.train, chains.development, schedule, generator)


def fitted(name: str, descent: Descent | None) -> Parameters:
    """Return a probe's parameters; raises HierevalError before `fit`."""
    if descent is None:
        raise HierevalError(
            f"The probe {name!r} must be fitted before it gives a space. "
            "'hiereval fit' makes a fitted probe, '--probes path:FOLDER' uses it."
        )
    return descent.parameters
