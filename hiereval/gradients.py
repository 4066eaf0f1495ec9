"""Whether an adapter's `encode_texts` is to keep gradients: asked by adapters, set in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_wanted = ContextVar("gradients", default=False)


def wanted() -> bool:
    """Return whether the vectors being computed are trained through."""
    return _wanted.get()


@contextmanager
def gradients() -> Iterator[None]:
    """Let adapters compute as they do for an evaluation, but with gradients."""
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)
