"""RE fine-tuning of a text tower: the released recipe, resumable, over one process or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hiereval.choice import some
from hiereval.errors import HierevalError
from hiereval.finetune.batches import Order, chunks
from hiereval.finetune.distributed import Group
from hiereval.finetune.output import Output
from hiereval.finetune.recipe import Recipe
from hiereval.finetune.tower import TextTower, encode
from hiereval.losses import Losses, Weights, objective
from hiereval.types import Chains

Report = Callable[[int, int, Mapping[str, float]], None]  # step, steps, losses


@dataclass(frozen=True, eq=False)
class Material:
    """What is trained on: chains, their texts' frozen unit vectors, and the two parts."""

    data: Chains
    frozen: Tensor  # [t, d] float32 on the CPU
    train: np.ndarray  # [n] chain numbers
    validation: np.ndarray  # [m]
    negatives: bool

    def index(self, rows: list[int]) -> np.ndarray:
        """Return text numbers [b, 1 or 2, k] of chains and, with negatives, of these."""
        parts = [self.data.chains[rows]]
        if self.negatives and self.data.negatives is not None:
            parts.append(self.data.negatives[rows])
        return np.stack(parts, axis=1)


class Training:
    """One fine-tuning under way: the tower, its optimiser, the losses so far."""

    def __init__(self, tower: TextTower, material: Material, recipe: Recipe, group: Group) -> None:
        self.tower, self.material, self.recipe, self.group = tower, material, recipe, group
        self.device = next(iter(tower.trained().values())).device
        self.order = Order(
            material.train, recipe.batch, recipe.accumulate, recipe.epochs, recipe.seed
        )
        self.weights = Weights(recipe.pullback, recipe.entail, recipe.hard)
        parameters = tower.trained().values()
        self.optimizer = torch.optim.AdamW(
            parameters, lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        half = tower.adapter.id.dtype == "float16" and self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.module: nn.Module = tower if group.size == 1 else DistributedDataParallel(tower)
        self.step = 0
        self.log: list[dict[str, Any]] = []
        self.validations: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on."""
        return {
            "step": self.step,
            "weights": {name: p.detach().clone() for name, p in self.tower.trained().items()},
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "log": self.log,
            "validations": self.validations,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
        with torch.no_grad():
            for name, parameter in self.tower.trained().items():
                parameter.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.log = state["step"], list(state["log"])
        self.validations = list(state["validations"])

    def run(self, output: Output, settings: Mapping[str, Any], report: Report) -> None:
        """Train to the end, saving states; a loss that is not finite stops it on a good state."""
        recipe, steps = self.recipe, self.order.steps
        self.tower.network.train()
        if self.step == 0:
            self._validate()
        for batches in self.order.batches(self.step):
            try:
                losses = self._update(batches)
            except _NotFiniteError as error:
                if self.group.first:
                    output.save_state(self.state(), settings)
                raise HierevalError(
                    f"The loss and its gradient must be finite; {error} at step {self.step + 1}. "
                    f"Training stopped; the state of step {self.step} is kept in "
                    f"{str(output.folder)!r}. Check those rows, lower --lr or set --clip."
                ) from error
            self.step += 1
            self.log.append({"step": self.step, **losses})
            if self.step % recipe.validate_every == 0 or self.step == steps:
                self._validate()
            if self.step % recipe.save_every == 0 or self.step == steps:
                if self.group.first:
                    output.save_state(self.state(), settings)
                    output.write_lines("losses.jsonl", self.log)
                self.group.wait()
            report(self.step, steps, losses)

    def losses(self, rows: list[int], module: nn.Module | None = None) -> Losses:
        """Return the losses of a whole batch, computed by all processes together."""
        material, group = self.material, self.group
        index = material.index(rows)  # [b, m, k]
        own = group.share(index.reshape(len(rows), -1).tolist())
        texts = [[material.data.texts[i] for i in row] for row in own]
        per_row = index[0].size
        vectors = encode(module or self.module, texts, self.tower.adapter.id.root_text)
        vectors = group.gather(vectors, len(rows), per_row)
        chains = vectors[:-1].unflatten(0, index.shape).transpose(0, 1)  # [m, b, k, d]
        frozen = material.frozen[torch.from_numpy(index)].transpose(0, 1).to(vectors.device)
        return objective(
            chains[0],
            chains[1] if len(chains) == 2 else None,
            vectors[-1],
            frozen,
            weights=self.weights,
            pairing=self.recipe.pairing,
        )

    def _update(self, batches: list[list[int]]) -> dict[str, float]:
        """Take one step; the weights are as they were if it raises."""
        recipe = self.recipe
        # dropout, where a tower has any, depends on the step alone, so that a resumed run agrees
        torch.manual_seed((recipe.seed * 1_000_003 + self.step) * 4_099 + self.group.rank)
        lr = recipe.lr_at(self.step, self.order.steps)
        for part in self.optimizer.param_groups:
            part["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for number, rows in enumerate(batches):
            last = number == len(batches) - 1
            hold = self.module.no_sync if self.group.size > 1 and not last else nullcontext
            with hold():  # type: ignore[operator]
                losses = self.losses(rows)
                for name, value in numbers(losses).items():
                    sums[name] = sums.get(name, 0.0) + value / len(batches)
                if not losses.total.isfinite():
                    bad = [rows[i] for i in losses.rows.nonzero()[:, 0].tolist()] or rows
                    raise _NotFiniteError(losses.total.item(), bad)
                scale = self.group.size / len(batches)  # DDP takes the mean over processes
                self.scaler.scale(losses.total * scale).backward()
        self.scaler.unscale_(self.optimizer)
        parameters = list(self.tower.trained().values())
        norm = nn.utils.clip_grad_norm_(parameters, recipe.clip or float("inf"))
        if not norm.isfinite() and not self.scaler.is_enabled():
            raise _NotFiniteError(norm.item(), [row for rows in batches for row in rows])
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return {**sums, "gradient": norm.item(), "lr": lr}

    @torch.no_grad()
    def _validate(self) -> None:
        """Note the mean losses of the validation part."""
        rows = self.material.validation.tolist()
        if not rows:
            return
        sums: dict[str, float] = {}
        self.tower.network.eval()
        for part in chunks(rows, self.recipe.batch):
            for name, value in numbers(self.losses(part, self.tower)).items():
                sums[name] = sums.get(name, 0.0) + value * len(part) / len(rows)
        self.tower.network.train()
        self.validations.append({"step": self.step, **sums})


class _NotFiniteError(Exception):
    def __init__(self, value: float, rows: list[int]) -> None:
        shown = some((str(row + 1) for row in rows), 10)
        super().__init__(f"one is {value} on the training rows {shown}")


def numbers(losses: Losses) -> dict[str, float]:
    """Return the scalars of losses, one transfer from the device."""
    names = ("total", "entail", "pullback", "hard")
    values = torch.stack([getattr(losses, name).detach() for name in names]).tolist()
    return dict(zip(names, values, strict=True))


def settings(recipe: Recipe, fingerprint: str, data: Chains) -> dict[str, Any]:
    """Return what a resumed training must share with the saved one."""
    return {"model": fingerprint, "data": data.sha256, **asdict(recipe)}
