"""Gradient descent on a probe's few parameters, with early stopping on held-out chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from hiereval.errors import HierevalError
from hiereval.losses import Losses

Parameters = Mapping[str, Tensor]
Objective = Callable[[Parameters, Tensor], Losses]  # parameters, chain numbers [b]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a probe is trained."""

    lr: float
    batch: int  # chains a step; 0: all of them
    epochs: int
    patience: int  # epochs without a better development loss before it stops


@dataclass(frozen=True)
class Descent:
    """The parameters of the best epoch, and the losses by step on the way."""

    parameters: dict[str, Tensor]
    log: list[dict[str, Any]]  # step, total, entail, pullback, hard; one line per step
    development: list[dict[str, Any]]  # the same on the development part, one line per epoch
    best_step: int


def descend(
    start: Parameters,
    objective: Objective,
    train: Int[Tensor, " n"],
    development: Int[Tensor, " m"],
    schedule: Schedule,
    generator: Generator,
) -> Descent:
    """Return the parameters with the lowest development loss, `start` being a candidate.

    Adam with a cosine schedule. The same generator state gives the same parameters. A loss that
    is not finite raises HierevalError with the step and the chains.
    """
    parameters = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=schedule.lr)
    batch = min(schedule.batch or len(train), len(train))
    per_epoch = -(-len(train) // batch)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.epochs * per_epoch)
    log: list[dict[str, Any]] = []
    checks = [{"step": 0, **_mean(objective, parameters, development, batch)}]
    best, best_step, waited = _copy(parameters), 0, 0
    for _ in range(schedule.epochs):
        order = torch.randperm(len(train), generator=generator).to(train.device)
        for rows in train[order].tensor_split(per_epoch):
            losses = objective(parameters, rows)
            _stop_unless_finite(losses, rows, len(log) + 1)
            optimizer.zero_grad()
            losses.total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cosine.step()
            log.append({"step": len(log) + 1, **_numbers(losses)})
        checks.append({"step": len(log), **_mean(objective, parameters, development, batch)})
        waited += 1
        if checks[-1]["total"] < min(check["total"] for check in checks[:-1]):
            best, best_step, waited = _copy(parameters), len(log), 0
        if waited == schedule.patience:
            break
    return Descent(best, log, checks, best_step)


def _copy(parameters: Parameters) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in parameters.items()}


def _numbers(losses: Losses) -> dict[str, float]:
    names = ("total", "entail", "pullback", "hard")
    return {name: getattr(losses, name).item() for name in names}


@torch.no_grad()
def _mean(
    objective: Objective, parameters: Parameters, rows: Tensor, batch: int
) -> dict[str, float]:
    """Return the losses of the development part, batches weighted by their size."""
    sums: dict[str, float] = {}
    for part in rows.split(batch):
        for name, value in _numbers(objective(parameters, part)).items():
            sums[name] = sums.get(name, 0.0) + value * len(part) / len(rows)
    return sums


def _stop_unless_finite(losses: Losses, rows: Tensor, step: int) -> None:
    if losses.total.isfinite():
        return
    bad = rows[losses.rows.to(rows.device)].tolist()
    raise HierevalError(
        f"The probe's loss must be finite; it is {losses.total.item()} at step {step} "
        f"(training chains {', '.join(map(str, bad[:10])) or 'unknown'}). "
        "Check these chains' embeddings, or lower lr."
    )
