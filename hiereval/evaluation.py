"""The front door for Python: `evaluate`, which gives what `hiereval run` gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from hiereval import controls as rows_beside
from hiereval.choice import listed
from hiereval.errors import HierevalError, nearest
from hiereval.plan import Overwrite, RunConfig
from hiereval.results import Results
from hiereval.run import run
from hiereval.session import Report, Session, silent
from hiereval.types import Precision

Names = str | Path | Iterable[str | Path]
T = TypeVar("T", bound=str)


def evaluate(
    model: str | Path,
    *,
    datasets: Names = (),
    tasks: Names = "all",
    probes: Names = "empty-root",
    controls: Names = "all",
    output: str | Path | None = None,
    name: str | None = None,
    model_args: Mapping[str, Any] | None = None,
    task_args: Mapping[str, Any] | None = None,
    probe_args: Mapping[str, Any] | None = None,
    train_data: str | Path | None = None,
    revision: str | None = None,
    random_init: int | None = None,
    device: str = "auto",
    precision: Precision = "fp32",
    batch_size: int | None = None,
    seed: int = 0,
    resamples: int = 1000,
    twins: int | None = None,
    limit: int | None = None,
    log_samples: bool = False,
    stored_only: bool = False,
    overwrite: Overwrite = "missing",
    trust_remote_code: bool = False,
    root_text: str | None = None,
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    progress: bool | Report | None = None,
) -> Results:
    """Measure a model with the controls beside it, as `hiereval run` does.

    Where several things may be named, a comma-separated string, a list and a path all work.

    Args:
        model: An alias (`hiereval ls models`) or `adapter:checkpoint`; a folder's path alone is
            refused with the adapters that could load it.
        datasets: Names, `name:split`, or paths of .csv or .jsonl files; none: each task's own.
        tasks: "all", names, or globs.
        probes: How embeddings become a space; `path:DIR` is a fitted probe.
        controls: "all", "none", or of words, characters, constant, random-init.
        output: The folder of records; None keeps them in memory.
        name: What to call the model in its records.
        model_args: Arguments of the adapter.
        task_args: Parameters: `{"steps": 10}`, or `{"retrieval.steps": 10}` for one task.
        probe_args: Parameters of the probes.
        train_data: What trained probes are fitted on; None: what the dataset says.
        revision: Commit or tag of the checkpoint's repository.
        random_init: A seed: the architecture without its trained weights.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        precision: Of the encoders; metrics are always computed in float32 or better.
        batch_size: Images a forward pass; None: by device.
        seed: Of intervals, negatives and probes.
        resamples: Of the bootstrap.
        twins: Seeds of the random-init control; None: 5 for text tasks, 1 for image tasks.
        limit: The first n items only; such records stay off boards.
        log_samples: Keep per-item values beside the records.
        stored_only: Never load the network; the store has every vector.
        overwrite: What to do with records that are there: "missing" skips them.
        trust_remote_code: Let `st:` and `mteb:` run a checkpoint's own Python code, as you.
        root_text: The text that stands for the root; None: the adapter's, mostly "".
        data_dir: The data root; None: HIEREVAL_DATA or the cache's `data`.
        cache_dir: What can be made again; None: HIEREVAL_CACHE or the platform's.
        offline: Never use the network.
        progress: True shows bars, False nothing; None: bars in a terminal or a notebook. Or a
            function (model, stage, done, total).

    Returns:
        The model's records as a sequence, with `.controls`, `.frame()` and `.board()`.

    Raises:
        HierevalError: For anything given wrongly, before anything is encoded, with the nearest
            valid spelling.
    """
    config = RunConfig(
        model=str(model),
        name=name,
        model_args=_texts(model_args),
        revision=revision,
        random_init=_whole("random_init", random_init, 0),
        datasets=_names(datasets),
        tasks=",".join(_names(tasks)),
        task_args=_texts(task_args),
        probes=_names(probes),
        probe_args=_texts(probe_args),
        train_data=None if train_data is None else str(train_data),
        controls=rows_beside.chosen(",".join(_names(controls)) or "none"),
        twins=_whole("twins", twins, 1),
        seed=seed,
        resamples=_whole("resamples", resamples, 1) or 1000,
        limit=_whole("limit", limit, 1),
        output=None if output is None else Path(output),
        log_samples=log_samples,
        stored_only=stored_only,
        overwrite=_one_of("overwrite", overwrite, get_args(Overwrite)),
    )
    session = Session.of(
        device=device,
        precision=_one_of("precision", precision, get_args(Precision)),
        batch_size=_whole("batch_size", batch_size, 1),
        cache_dir=cache_dir,
        data_dir=data_dir,
        offline=offline,
        trust_remote_code=trust_remote_code,
        root_text=root_text,
        report=progress if callable(progress) else silent,
    )
    if callable(progress) or progress is False:
        return run(session, config)
    from dataclasses import replace

    from hiereval.progress import Bars

    with Bars(plain=None if progress is None else False) as bars:
        return run(replace(session, report=bars), config)


def _names(given: Names) -> tuple[str, ...]:
    """Return names from a comma list, a path, or any iterable of either."""
    if isinstance(given, str):
        return listed(given)
    if isinstance(given, Path):
        return (str(given),)
    return tuple(map(str, given))


def _texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    """Return arguments as the command line gives them."""
    return {str(key): str(value) for key, value in (given or {}).items()}


def _whole(what: str, given: int | None, least: int) -> int | None:
    if given is not None and (isinstance(given, bool) or int(given) != given or given < least):
        raise HierevalError(f"The {what} {given!r} must be a whole number of at least {least}.")
    return given


def _one_of(what: str, given: T, valid: tuple[T, ...]) -> T:
    if given not in valid:
        raise HierevalError(
            f"The {what} {given!r} must be one of {', '.join(valid)}.{nearest(str(given), valid)}"
        )
    return given
