"""What an adapter has in memory, and when: no vector depends on it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from hiereval.testing import inputs
from hiereval.testing.checks import NotApplicable, require
from hiereval.types import Adapter

if TYPE_CHECKING:
    from torch import Tensor


def apart(make: Callable[[], Adapter], texts: Sequence[str], fingerprint: str | None) -> str:
    """Texts before pictures have the vectors of pictures before texts, bit for bit.

    Returns how many parameters texts alone bring into memory; NotApplicable where it is as many
    as both bring: a network that does not come apart.
    """
    import torch

    there = _parameters()
    reader = make()
    text = reader.encode_texts(list(texts))
    held = _count(there)
    image = _pictures(reader)
    both = _count(there)
    seer = make()
    for what, first, second in (  # pictures, then texts
        ("pictures", _pictures(seer), image),
        ("texts", seer.encode_texts(list(texts)), text),
    ):
        require(
            torch.equal(first, second),
            f"vectors of {what} must be equal bit for bit, whichever tower is used first",
        )
    for one in (reader, seer):
        now = one.id.fingerprint()
        require(now == fingerprint, "the fingerprint must be the same whichever tower is used")
    if held == both:
        raise NotApplicable(f"nothing comes apart: {both:,} parameters for texts alone")
    return f"{held:,} of {both:,} parameters for texts alone"


def _pictures(adapter: Adapter) -> Tensor:
    return adapter.encode_images([adapter.preprocess(inputs.picture())])


def _parameters() -> dict[int, int]:
    """Return the size of every parameter of a network in memory, by its identity."""
    import torch

    gc.collect()
    networks = [found for found in gc.get_objects() if issubclass(type(found), torch.nn.Module)]
    parameters = [p for network in networks for p in network._parameters.values() if p is not None]
    return {id(p): p.numel() for p in parameters if not p.is_meta}


def _count(before: dict[int, int]) -> int:
    return sum(n for key, n in _parameters().items() if key not in before)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Yield a list that says how weights were made while the context was open."""
    import torch

    seen: list[str] = []
    register = torch.nn.Module.register_parameter

    def noted(module: torch.nn.Module, name: str, parameter: Any) -> None:
        if parameter is not None and parameter.numel() * parameter.element_size() > 0:
            seen.append(f"made the parameter {name!r} of a {type(module).__name__}")
        register(module, name, parameter)

    with mock.patch.object(torch.nn.Module, "register_parameter", noted):
        yield seen
