"""Linear layers on a CPU by oneDNN, where MKL would leave half of the processor unused.

torch hands float32 layers to MKL, which keeps to AVX2 on processors that are not Intel's, also on
those that have AVX-512. oneDNN, which torch holds as well, uses it: on a Zen 5 a transformer's
layers take 0.46 times as long (docs/performance.md). The results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import torch
from torch import Tensor
from torch.backends import cpu, mha, mkl, mkldnn
from torch.nn import Parameter, functional

from hiereval import processor

SMALL = 1 << 20  # multiplications below which handing a layer over takes as long as it saves
_of_torch = functional.linear


@contextmanager
def fast() -> Iterator[None]:
    """Let oneDNN compute large float32 layers without gradients, where it is the faster one.

    `torch.nn.functional.linear` is `linear` meanwhile, in all threads, and torch's own attention
    (`MultiheadAttention`) computes by it rather than by fused code.
    """
    if not is_faster():
        yield
        return
    _switch.enter()
    try:
        yield
    finally:
        _switch.leave()


@cache
def is_faster() -> bool:
    """Return whether torch's MKL keeps to less than this processor has."""
    return (
        mkl.is_available()
        and mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and cpu.get_cpu_capability().startswith("AVX512")
        and "Intel" not in processor.vendor()
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W^T + b [*n, o] of x [*n, i] and W [o, i]."""
    if (
        all(type(given) in (Tensor, Parameter) for given in (x, weight))
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and x.numel() * len(weight) >= SMALL
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    ):
        whole = None if bias is None else bias.contiguous()  # oneDNN takes for granted that it is
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, whole, "none", [], "")
        return found
    return _of_torch(x, weight, bias)


class _Switch:
    """On while anyone is inside."""

    def __init__(self) -> None:
        self.lock, self.inside, self.fused = Lock(), 0, True

    def enter(self) -> None:
        with self.lock:
            if not self.inside:
                self.fused = mha.get_fastpath_enabled()
                self.set(linear, fused=False)
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.set(_of_torch, fused=self.fused)

    @staticmethod
    def set(way: Callable[..., Tensor], *, fused: bool) -> None:
        functional.linear = way
        mha.set_fastpath_enabled(fused)


_switch = _Switch()
