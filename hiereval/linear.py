"""Linear layers on a CPU by oneDNN, where MKL would leave half of the processor unused.

torch hands float32 layers to MKL, which keeps to AVX2 on processors that are not Intel's, also on
those that have AVX-512. oneDNN, which torch holds as well, uses it: on a Zen 5 a transformer's
layers take 0.46 times as long (docs/performance.md). The results differ by rounding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import torch
from torch import Tensor
from torch.backends import cpu, mha, mkl, mkldnn
from torch.nn import MultiheadAttention, Parameter, functional

from hiereval import processor

SMALL = 1 << 20  # multiplications below which handing a layer over takes as long as it saves
NEAR = 1e-4  # of a sum of 65 values of size 1: float32 is within 2e-5, half precision is not
_of_torch = functional.linear
_fuses = mha.get_fastpath_enabled


@contextmanager
def fast() -> Iterator[None]:
    """Let oneDNN compute large float32 layers without gradients, where it is the faster one.

    `torch.nn.functional.linear` is `linear` meanwhile, in all threads, and torch's own attention
    (`MultiheadAttention`) computes by it rather than by fused code. Where another library has put
    a function of its own in that place, it stays.
    """
    if functional.linear not in (_of_torch, linear) or not mkldnn.enabled or not is_faster():
        yield
        return
    _switch.enter()
    try:
        yield
    finally:
        _switch.leave()


@cache
def is_faster() -> bool:
    """Return whether torch's MKL keeps to less than this processor has, and oneDNN is there."""
    return (
        mkl.is_available()
        and mkldnn.is_available()
        and cpu.get_cpu_capability().startswith("AVX512")
        and "Intel" not in processor.vendor()
        and is_right()
    )


def is_right() -> bool:
    """Return whether torch has oneDNN's operator, which is no public one, and it is what it was."""
    x = torch.arange(64 * 64.0, dtype=torch.float64).sin().reshape(64, 64)
    try:
        with torch.inference_mode():
            found = _by_onednn(x.float(), x.float(), x[0].float())
    except Exception:  # another torch: no such operator, or one that is called in another way
        return False
    return torch.allclose(found.double(), x @ x.T + x[0], rtol=0, atol=NEAR)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W^T + b [*n, o] of an input x [*n, i] and W [o, i]; the names are torch's."""
    if _is_for_onednn(input, weight, bias):
        return _by_onednn(input, weight, bias)
    return _of_torch(input, weight, bias)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    whole = None if bias is None else bias.contiguous()  # oneDNN takes for granted that it is
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, whole, "none", [], "")
    return found


def _is_for_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the operator means the same as torch's function, and is worth it.

    It knows neither broadcast biases nor other layouts, and nothing of a trace or of `torch.func`.
    """
    return (
        not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._is_tracing()
        and torch._C._functorch.peek_interpreter_stack() is None
        and all(_is_plain(given) for given in (x, weight, bias) if given is not None)
        and weight.dim() == 2
        and x.shape[-1:] == weight.shape[1:]
        and (bias is None or bias.shape == weight.shape[:1])
        and x.numel() * len(weight) >= SMALL
    )


def _is_plain(given: Tensor) -> bool:
    return (
        type(given) in (Tensor, Parameter)
        and given.dtype == torch.float32
        and given.device.type == "cpu"
        and given.layout == torch.strided
        and not given.is_nested
    )


def _fuses_but_attention() -> bool:
    """Return whether torch may fuse what asks: its attention may not, a whole encoder layer may.

    `TransformerEncoder` leaves zeros where it is masked if it is fused, and other values if not.
    """
    if torch.compiler.is_compiling():
        return False
    asks = sys._getframe(1).f_globals["__name__"]
    return asks != MultiheadAttention.__module__ and _fuses()


class _Switch:
    """On while anyone is inside."""

    def __init__(self) -> None:
        self.lock, self.inside = Lock(), 0

    def enter(self) -> None:
        with self.lock:
            if not self.inside:
                self.set(linear, _fuses_but_attention)
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.set(_of_torch, _fuses)

    @staticmethod
    def set(way: Callable[..., Tensor], fuses: Callable[[], bool]) -> None:
        functional.linear = way
        mha.get_fastpath_enabled = fuses


_switch = _Switch()
