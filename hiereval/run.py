"""The main job: a model over datasets, probes and tasks, one record appended at a time."""

from __future__ import annotations

import logging
from dataclasses import replace

from hiereval import controls
from hiereval.errors import HierevalError
from hiereval.job import Job
from hiereval.plan import RunConfig, fitted_probes, plan_probes, plan_tasks
from hiereval.results import Results
from hiereval.session import Session
from hiereval.stored import stored_only

log = logging.getLogger(__name__)

FIRST_RUN = "What needs no download: hiereval run --model toy --dataset shapes"

__all__ = ["Results", "RunConfig", "measure", "run"]


def run(session: Session, config: RunConfig) -> Results:
    """Measure one model and the controls beside it.

    Records are appended to the output folder as they are made. Raises HierevalError for whatever
    was given wrongly before anything is encoded. A task that fails is recorded as failed with its
    error, and the others go on; a control that cannot be run is a note.
    """
    result = measure(session, config)
    for name, runs in controls.runs(config):
        for one in runs:
            try:
                beside = measure(session, replace(one, datasets=config.datasets))
            except HierevalError as error:
                result.notes.append(f"No {name} control: {error}")
                break
            except Exception as error:  # a plugin's own, which takes no result away
                log.debug("the %s control failed", name, exc_info=True)
                result.notes.append(f"No {name} control: {type(error).__name__}: {error}")
                break
            result.controls += beside.records
    return result


def measure(session: Session, config: RunConfig) -> Results:
    """Measure one model without its controls; what `run` says of errors holds."""
    notes: list[str] = []
    planned = plan_tasks(config.tasks, config.task_args, config.datasets, notes)
    probes = plan_probes(config.probes, config.probe_args, config.seed)
    adapter = session.adapter(
        config.model, config.model_args, revision=config.revision, random_init=config.random_init
    )
    if config.name is not None:
        adapter.id = replace(adapter.id, name=config.name)
    probes += fitted_probes(config.probes, adapter.id)
    job = Job(session, config, stored_only(adapter) if config.stored_only else adapter)
    job.result.notes += notes
    for spec, tasks in planned.items():
        if config.text_only:
            tasks = [task for task in tasks if "image" not in task.modalities]
        try:
            dataset = session.dataset(spec)
        except HierevalError as error:
            if config.datasets or config.tasks != "all":
                raise
            job.result.absent |= {task.name: str(error) for task in tasks}
            continue
        job.measure(dataset, tasks, probes)
    if not len(job.result) and session.processes.first:
        raise HierevalError("\n".join([*job.result.notes, *job.result.not_run(), FIRST_RUN]))
    return job.result
