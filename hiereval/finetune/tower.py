"""Text towers: the part of a model that RE fine-tuning trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hiereval import registry
from hiereval.errors import HierevalError
from hiereval.gradients import gradients
from hiereval.hooks import HasTextTower, Trainable
from hiereval.types import Adapter


class TextTower(nn.Module):
    """The text side of a model as a module: texts in, joint-space vectors out.

    Loads the weights. Build it before anything is encoded: what loads inside an evaluation's
    inference mode cannot be trained.
    """

    def __init__(self, adapter: Trainable) -> None:
        super().__init__()
        self.adapter = adapter
        self.network, prefixes = adapter.text_tower()
        self.network.requires_grad_(False)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name.startswith(prefixes))
        self._freeze_unused()

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 vectors, not normalised, with gradients."""
        with gradients():
            return self.adapter.encode_texts(texts)

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that are trained, by name."""
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def _freeze_unused(self) -> None:
        """Freeze what the vectors do not depend on (BLIP's cross-attention, a pooler)."""
        self([self.adapter.id.root_text]).sum().backward()
        for parameter in self.trained().values():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None
        if not self.trained():
            raise ValueError(f"{self.adapter.id.adapter}: no parameter of the text tower is used")


def trainable(adapter: Adapter) -> Trainable:
    """Return the adapter if its text tower can be trained; raises HierevalError if it cannot."""
    if not isinstance(adapter, Trainable):
        known = [name for name in registry.names("adapters") if _offers_text_tower(name)]
        raise HierevalError(
            f"The adapter {adapter.id.adapter!r} of {adapter.id.name!r} must have a text tower "
            f"that can be trained; these do: {', '.join(known)}."
        )
    if adapter.id.geometry != "sphere":
        raise HierevalError(
            f"The model {adapter.id.name!r} must be a sphere model for the RE objective; "
            f"it is {adapter.id.geometry}."
        )
    return adapter


def _offers_text_tower(name: str) -> bool:
    try:
        cls = registry.load("adapters", name)
    except HierevalError:  # a broken plugin is no reason for another error here
        return False
    return isinstance(cls, type) and issubclass(cls, HasTextTower)


def encode(tower: nn.Module, texts: Sequence[Sequence[str]], root_text: str) -> Tensor:
    """Return unit vectors [n * m + 1, d] of n rows of m texts and, last, of the root.

    Each distinct text runs through the tower once.
    """
    flat = [text for row in texts for text in row] + [root_text]
    distinct = {text: i for i, text in enumerate(dict.fromkeys(flat))}
    vectors: Tensor = tower(list(distinct))
    where = torch.tensor([distinct[text] for text in flat], device=vectors.device)
    vectors = vectors.float()
    return (vectors / vectors.norm(dim=-1, keepdim=True))[where]
