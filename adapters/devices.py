"""Inputs' way to the device: where that is a GPU, nobody waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def to_device(x: Tensor, device: str) -> Tensor:
    """Return a tensor of the CPU on the device; a GPU copies it when it gets to it.

    That takes pinned memory: a copy from any other waits until the GPU has done what is before it.
    What is to be checked is checked before, since looking at what a GPU holds waits as well.
    """
    if not device.startswith("cuda"):
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def stacked(inputs: Sequence[Tensor], device: str) -> Tensor:
    """Return tensors of one shape as one [n, ...] on the device, copied as in `to_device`."""
    import torch

    if not device.startswith("cuda"):
        return torch.stack(list(inputs)).to(device)
    shape = len(inputs), *inputs[0].shape
    whole = torch.empty(shape, dtype=inputs[0].dtype, pin_memory=True)
    return torch.stack(list(inputs), out=whole).to(device, non_blocking=True)
