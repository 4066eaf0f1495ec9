"""hiereval: does a vision-language model know that a bird is more general than a blue bird?

In Python, `hiereval.evaluate("toy", datasets=["shapes"])` does what `hiereval run` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiereval.records import Record

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate"]


def evaluate(
    model: str,
    *,
    data_dir: str | None = None,
    cache_dir: str | None = None,
    device: str = "auto",
    offline: bool = False,
    **fields: Any,
) -> list[Record]:
    """Measure a model and return its records, those found in the output folder included.

    `fields` are those of `hiereval.run.RunConfig`: datasets, tasks, probes, seed, output, ...
    Raises HierevalError for anything given wrongly.
    """
    from hiereval.datasets import cache_dir as cache_folder
    from hiereval.datasets import data_root
    from hiereval.environment import pick_device
    from hiereval.run import RunConfig, run
    from hiereval.types import DataOptions, LoadOptions

    fields.setdefault("options", LoadOptions(device=pick_device(device), offline=offline))
    fields.setdefault("data", DataOptions(root=data_root(data_dir, cache_dir), offline=offline))
    fields.setdefault("cache_dir", cache_folder(cache_dir))
    result = run(RunConfig(model=model, **fields))
    return [*result.found, *result.new]
