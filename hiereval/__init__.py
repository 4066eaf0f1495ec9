"""hiereval: does a vision-language model know that a bird is more general than a blue bird?

In Python, `hiereval.evaluate("toy", datasets="shapes")` does what `hiereval run` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiereval.evaluation import evaluate

__version__ = "0.2.0"
__all__ = ["__version__", "evaluate"]


def __getattr__(name: str) -> Any:
    """Import `evaluate` when it is asked for: importing hiereval alone does nothing."""
    if name == "evaluate":
        from hiereval.evaluation import evaluate

        return evaluate
    raise AttributeError(f"module 'hiereval' has no attribute {name!r}")
