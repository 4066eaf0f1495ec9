"""The main job: a model over datasets, probes and tasks, one record appended at a time."""

from __future__ import annotations

from hiereval.datasets import open_dataset
from hiereval.embed import Progress
from hiereval.errors import HierevalError
from hiereval.job import Job, RunResult
from hiereval.models import open_adapter
from hiereval.plan import RunConfig, fitted_probes, plan_probes, plan_tasks
from hiereval.stored import StoredOnly
from hiereval.types import Dataset

__all__ = ["RunConfig", "RunResult", "run"]


def run(
    config: RunConfig,
    progress: Progress = lambda stage, done, total: None,
    opened: dict[str, Dataset] | None = None,
) -> RunResult:
    """Measure one model and return its records, appended to the output folder as they are made.

    `opened` keeps datasets, so that a model and its controls read and check them once.
    Raises HierevalError for whatever was given wrongly before anything is encoded. A task that
    fails is recorded as failed with its error, and the others go on.
    """
    opened = {} if opened is None else opened
    notes: list[str] = []
    planned = plan_tasks(config.tasks, config.task_args, config.datasets, notes)
    probes = plan_probes(config.probes, config.probe_args, config.seed)
    adapter = open_adapter(config.model, config.options, config.model_args)
    adapter = StoredOnly(adapter) if config.stored_only else adapter
    probes += fitted_probes(config.probes, adapter.id)
    job = Job(config, adapter, progress)
    job.result.notes += notes
    for spec, tasks in planned.items():
        try:
            if spec not in opened:
                opened[spec] = open_dataset(spec, config.data)
        except HierevalError as error:
            if config.datasets or config.tasks != "all":
                raise
            job.result.notes.append(f"{', '.join(t.name for t in tasks)}: not run. {error}")
            continue
        dataset = opened[spec]
        job.measure(dataset if config.limit is None else dataset.head(config.limit), tasks, probes)
    if not job.result.new and not job.result.found:
        raise HierevalError(" ".join(job.result.notes))
    return job.result
