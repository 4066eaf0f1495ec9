"""Networks of two towers, each of which loads when it is first used: texts bring no image tower.

A tower is the whole network without the other's parts. The same code computes it from the same
numbers, so its vectors are the whole network's, bit for bit. Random weights are drawn for the
whole network, in its order, before a part of it is dropped: a twin does not depend on its task.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Part:
    """What stays of a network, by what the names of parameters and buffers begin with."""

    kept: tuple[str, ...] = ("",)
    absent: tuple[str, ...] = ()  # the other tower: it needs neither memory nor values

    def building(self, name: str) -> AbstractContextManager[Any]:
        """Return the context in which the part `name` is built: without memory if it is absent."""
        import torch

        return torch.device("meta") if name.startswith(self.absent) else nullcontext()

    def value(self, name: str, tensor: Tensor) -> Tensor:
        """Return a weight; of the absent tower's one that has its shape and takes no memory."""
        import torch

        if not name.startswith(self.absent):
            return tensor
        return torch.tensor(torch.nan).expand(tensor.shape)

    def cut(self, network: Any) -> Any:
        """Drop from a network, and return it, what does not stay.

        >>> import torch
        >>> network = torch.nn.ModuleDict({
        ...     "text": torch.nn.Linear(2, 2), "image": torch.nn.Linear(2, 2, device="meta")})
        >>> [name for name, _ in Part(("text.",), ("image.",)).cut(network).named_parameters()]
        ['text.weight', 'text.bias']
        """
        _drop(network, "", self.kept)
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if tensor.is_meta or (tensor.numel() > 1 and not any(tensor.stride())):
                raise ValueError(f"{name} has no values")
        return network

    def ready(self, network: Any, device: str) -> Any:
        """Return what stays of a network as it encodes: float32, evaluation mode, on its device."""
        return self.cut(network).float().eval().requires_grad_(False).to(device)


ALL = Part()


class Towers:
    """The towers of one network, by what the names of their parameters begin with.

    `load` returns a part of the network. It must not hold the adapter that holds these towers: a
    network is freed with its adapter, not when a circle is found. Without `image`, pictures bring
    the whole network.
    """

    def __init__(
        self, load: Callable[[Part], Any], text: tuple[str, ...], image: tuple[str, ...] | None
    ) -> None:
        self._load = load
        self._text = Part(text, tuple(name for name in image or () if name not in text))
        self._image = ALL
        if image is not None:
            self._image = Part(image, tuple(name for name in text if name not in image))
        self._held: dict[Part, Any] = {}

    @property
    def text(self) -> Any:
        """The network, or as much of it as texts need."""
        return self._network(self._text)

    @property
    def image(self) -> Any:
        """The network, or as much of it as pictures need."""
        return self._network(self._image)

    @property
    def whole(self) -> Any:
        """The whole network, which serves texts and pictures from then on."""
        return self._network(ALL)

    def _network(self, part: Part) -> Any:
        if ALL in self._held:
            return self._held[ALL]
        if part == ALL:
            self._held.clear()
        if part not in self._held:
            self._held[part] = self._load(part)
        return self._held[part]


def _drop(module: Any, path: str, kept: tuple[str, ...]) -> None:
    """Drop what is inside a module, whose name in the network is `path`, and does not stay."""
    for name in [*module._parameters, *module._buffers]:
        if not (path + name).startswith(kept):
            delattr(module, name)
    for name, child in list(module.named_children()):
        inside = f"{path}{name}."
        if any(start.startswith(inside) and start != inside for start in kept):
            _drop(child, inside, kept)
        elif not inside.startswith(kept):
            delattr(module, name)
