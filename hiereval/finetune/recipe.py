"""The recipe of a fine-tuning; the defaults are those of the released training code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hiereval.errors import HierevalError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyper-parameters of RE fine-tuning. Texts are cut at the model's own context length."""

    epochs: int = 1
    batch: int = 8  # chains a forward pass, over all processes; the hard term is a batch's worst
    accumulate: int = 1  # forward passes a step
    lr: float = 1e-7  # of AdamW
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = 0.01
    clip: float = 0.0  # largest norm of a step's gradient; 0: any
    pullback: float = 10.0
    entail: float = 1.0
    hard: float = 1.0
    pairing: Literal["released", "documented"] = "released"
    negatives: bool = True
    validation: float = 0.0  # share of the images (chains, where there are none) held out
    validate_every: int = 500  # steps
    save_every: int = 500  # steps
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulate", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise _bad(name, getattr(self, name), "at least 1")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise _bad("lr", self.lr, "above 0 and finite")
        for name in ("weight_decay", "clip", "pullback", "entail", "hard"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise _bad(name, getattr(self, name), "at least 0 and finite")
        if not 0 <= self.validation < 1:
            raise _bad("validation", self.validation, "at least 0 and below 1")

    def lr_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step counted from 0."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * step / steps))


def _bad(name: str, value: float, constraint: str) -> HierevalError:
    return HierevalError(f"The --{name.replace('_', '-')} {value!r} must be {constraint}.")
