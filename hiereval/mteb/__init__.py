"""HierarCaps inside MTEB: `mteb.evaluate(model, hiereval.mteb.tasks())` for any MTEB encoder.

Extra `mteb` (`pip install 'hiereval-vlm[mteb]'`). Importing this imports neither MTEB nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hiereval.distribution import install
from hiereval.errors import HierevalError, nearest

if TYPE_CHECKING:
    from hiereval.mteb.task import HierarchyTask

TASKS = ("ordering", "entailment", "retrieval", "image-entailment")


def tasks(
    names: Sequence[str] = TASKS,
    *,
    dataset: str | None = None,
    data_dir: str | None = None,
    cache_dir: str | None = None,
    offline: bool = False,
) -> list[HierarchyTask]:
    """Return hiereval's tasks as MTEB's own, each on its default dataset or on the one given.

    The folders and `offline` are those of `hiereval run`. Raises HierevalError for an unknown name
    and where MTEB is not installed; the data are read when a task is evaluated.
    """
    for name in names:
        if name not in TASKS:
            raise HierevalError(
                f"The task {name!r} must be one of {', '.join(TASKS)} inside MTEB."
                f"{nearest(name, TASKS)}"
            )
    try:
        from hiereval.mteb.task import HierarchyTask
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mteb", "datasets"):
            raise
        raise HierevalError(
            f"MTEB must be installed to run inside it: {install('mteb')}."
        ) from error
    from hiereval.session import Session

    session = Session.of(device="cpu", data_dir=data_dir, cache_dir=cache_dir, offline=offline)
    return [HierarchyTask.of(name, dataset, session.dataset) for name in names]
