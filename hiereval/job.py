"""One model's job: what is there is skipped, the rest embedded once and scored probe by probe."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from hiereval import estimates, files, nulls, samples, seen, training
from hiereval.appending import ResultsFile
from hiereval.datasets import head
from hiereval.degenerate import not_finite
from hiereval.errors import HierevalError
from hiereval.hooks import Partial, Truncatable
from hiereval.lineage import text_hashes
from hiereval.models import label, lineage_of
from hiereval.plan import ProbeRun, RunConfig
from hiereval.recording import Drawn, Outcome, Recorder, metric_values, undefined_metrics
from hiereval.records import LEVEL, Record, TrainingInfo
from hiereval.results import Results
from hiereval.session import Session
from hiereval.types import Adapter, Chains, Dataset, Embeddings, ModelId, Space, Task

if TYPE_CHECKING:
    from hiereval.embed import EmbedStats

log = logging.getLogger(__name__)


def records_file(output: Path, model: ModelId) -> Path:
    """Return the file in the output folder for a model's records; nothing is read from its name."""
    if output.suffix in (".json", ".jsonl", ".csv") and not output.is_dir():
        raise HierevalError(
            f"The output path {str(output)!r} must be a folder; the files in it are named there."
        )
    return output / f"{files.safe_name(label(model))}.jsonl"


class _Wanted(TypedDict):
    images: bool
    anchors: list[str]


class Job:
    """One run's model, store and output, shared by its datasets."""

    def __init__(self, session: Session, config: RunConfig, adapter: Adapter) -> None:
        self.session, self.config, self.adapter = session, config, adapter
        self.progress = session.progress(label(adapter.id))
        drawn = Drawn(
            seed=config.seed,
            resamples=config.resamples,
            limit=config.limit,
            null_draws=config.null_draws,
        )
        self.recorder = Recorder(adapter.id, session.options.device, drawn)
        self.result = Results()
        self.lineage = lineage_of(adapter)
        self.file: ResultsFile | None = None
        if config.output is not None:
            self.result.path = path = records_file(config.output, adapter.id)
            self.file = ResultsFile(path)

    def measure(self, dataset: Dataset, tasks: list[Task], probes: list[ProbeRun]) -> None:
        """Measure the dataset and, where something was trained, its unseen strings once more."""
        if self.config.limit is not None:
            dataset = head(dataset, self.config.limit)
        self._measure(dataset, tasks, probes)
        for part, own in self._unseen(dataset, probes):
            fit = [task for task in tasks if "image" not in task.modalities]
            fit = [task for task in fit if unfit(task, part, self.adapter) is None]
            self._measure(part, fit, own)

    def _unseen(
        self, dataset: Dataset, probes: list[ProbeRun]
    ) -> Iterator[tuple[Chains, list[ProbeRun]]]:
        """Yield the chains without trained strings, for each training that there was.

        Learning-free probes are measured there as well: what a trained one has to beat.
        """
        if not isinstance(dataset, Chains):
            return
        data = self._training_data(dataset, probes)
        probes = [with_training(probe, data) for probe in probes]
        for texts in dict.fromkeys(filter(None, map(self._trained_on, probes))):
            part = seen.unseen(dataset, texts)
            if part is not None:
                own = [p for p in probes if not p.texts or self._trained_on(p) == texts]
                yield part, own

    def _trained_on(self, probe: ProbeRun) -> frozenset[str]:
        """Return the hashes of all strings that the model, here, or the probe was trained on."""
        return probe.texts.union(self.lineage.texts if self.lineage else ())

    def _measure(self, dataset: Dataset, tasks: list[Task], probes: list[ProbeRun]) -> None:
        """Skip what is there or does not fit, embed the rest once, score it under every probe."""
        if self.config.tasks == "all":  # which means all that are for this kind of data
            tasks = [task for task in tasks if isinstance(dataset, task.dataset_type)]
        data = self._training_data(dataset, probes)
        probes = [with_training(probe, data) for probe in probes]
        todo: dict[str, list[Task]] = {}
        for probe in probes:
            for task in tasks:
                if self._is_there(self.recorder.record_id(dataset, task, probe)):
                    continue
                reason = unfit(task, dataset, self.adapter)
                if reason is None:
                    todo.setdefault(probe.key, []).append(task)
                else:
                    self._emit(dataset, task, probe, Outcome(status="skipped", reason=reason))
        probes = [probe for probe in probes if probe.key in todo]
        if not probes:
            return
        needed = [task for tasks in todo.values() for task in tasks]
        if not self.session.processes.first:
            self._help(dataset, needed, probes, data)
            return
        embeddings, stats = self._embed(dataset, needed, probes)
        trouble = not_finite(embeddings, dataset)
        if isinstance(dataset, Truncatable) and embeddings.truncated is not None:
            dataset = dataset.cut(embeddings.truncated)
        done = 0
        for probe in probes:
            fit = Outcome(stats=stats)
            space: Space | None = None
            if trouble is None:
                space, fit = self._space(probe, embeddings, data, stats)
            for task in todo[probe.key]:
                self.progress("scoring", done, len(needed))
                if trouble is not None:
                    outcome = replace(fit, metrics=undefined_metrics(task.metrics, trouble))
                else:
                    outcome = self._outcome(dataset, task, space, fit)
                self._emit(dataset, task, probe, outcome)
                done += 1
        self.progress("scoring", done, len(needed))

    def _is_there(self, record_id: str) -> bool:
        old = self.file.there.get(record_id) if self.file else None
        if old is None or old.status == "failed" or self.config.overwrite == "always":
            return False
        if self._samples_are_due(old) and not self._samples_path(old).exists():
            return False
        if self.config.overwrite == "never" and self.session.processes.first:
            raise HierevalError(
                f"The results file {str(self.result.path)!r} already holds {old.task.name} on "
                f"{old.dataset.name}; --overwrite missing skips it, always measures it again."
            )
        self.result.found.append(old)
        return True

    def _embed(
        self, dataset: Dataset, tasks: list[Task], probes: list[ProbeRun]
    ) -> tuple[Embeddings, EmbedStats | None]:
        """Return the vectors that the tasks and probes need."""
        if not any(task.modalities for task in tasks):  # they score answers
            import torch

            return Embeddings(self.adapter.id, torch.empty(len(dataset.texts), 0), None), None
        found = self.session.vectors(self.adapter, dataset, **self._wanted(tasks, probes))
        self.recorder.model = self.adapter.id  # with what was seen as it first encoded
        return found

    def _help(
        self, dataset: Dataset, tasks: list[Task], probes: list[ProbeRun], data: Chains | None
    ) -> None:
        """Encode a share of what the first process is going to score and to fit on."""
        if any(task.modalities for task in tasks):
            self.session.encode(self.adapter, dataset, **self._wanted(tasks, probes))
        if data is not None:
            with suppress(HierevalError):  # the first process says it in the probes' records
                self.session.encode(self.adapter, data, **self._wanted([], probes))

    def _wanted(self, tasks: list[Task], probes: list[ProbeRun]) -> _Wanted:
        return {
            "images": any("image" in task.modalities for task in tasks),
            "anchors": [t for probe in probes for t in probe.probe.anchors(self.adapter.id)],
        }

    def _training_data(self, dataset: Dataset, probes: list[ProbeRun]) -> Chains | None:
        """Return what trained probes are fitted on, None where there are none to fit.

        Refuses probes that have seen, or would see, an image of the dataset.
        """
        if self.lineage is not None:
            names = frozenset(self.lineage.images)
            training.refuse_shared_images(self.lineage.dataset, names, dataset)
        for probe in probes:
            if probe.training is not None and probe.images is not None:
                training.refuse_shared_images(probe.training.dataset, probe.images, dataset)
        if not any(probe.to_fit for probe in probes):
            return None
        spec = self.config.train_data or dataset.training
        if spec is None:
            raise HierevalError(
                f"The dataset {dataset.name!r} must have training data for a trained probe: "
                "give it with --train-data."
            )
        data = training.checked(self.session.dataset(spec))
        training.refuse_shared_images(data.name, training.image_names(data), dataset)
        return data

    def _space(
        self, probe: ProbeRun, embeddings: Embeddings, data: Chains | None, stats: EmbedStats | None
    ) -> tuple[Space | None, Outcome]:
        """Return the probe's space, or none and why; a trained probe is fitted first."""
        import torch

        try:
            vectors = self._training_vectors(probe, data)
            started = time.perf_counter()  # they are shared by all seeds: not part of this fit
            if vectors is not None and data is not None:
                generator = torch.Generator().manual_seed(probe.seed or 0)
                probe.probe.fit(vectors, data, generator)
            space = probe.probe.space(embeddings)
        except HierevalError as error:
            return None, Outcome(status="skipped", reason=str(error), stats=stats)
        return space, Outcome(stats=stats, fit_s=time.perf_counter() - started)

    def _training_vectors(self, probe: ProbeRun, data: Chains | None) -> Embeddings | None:
        """Return what the probe is to be fitted on, encoded once; None where nothing is to be."""
        if data is None or not probe.to_fit:
            return None
        anchors = probe.probe.anchors(self.adapter.id)
        vectors, _ = self.session.vectors(self.adapter, data, images=False, anchors=anchors)
        return vectors

    def _outcome(self, dataset: Dataset, task: Task, space: Space | None, fit: Outcome) -> Outcome:
        """Score one task; whatever goes wrong inside it is its own failure, said in its record."""
        import torch

        if space is None:
            return fit
        started = time.perf_counter()
        try:
            generator = torch.Generator().manual_seed(self.config.seed)
            scores = task.score(space, dataset, generator)
            metrics = estimates.metrics_of(task, scores.items)
            values = estimates.bootstrap(
                metrics,
                scores,
                seed=self.config.seed,
                resamples=self.config.resamples,
                level=LEVEL,
            )
            bars = nulls.bars(
                task,
                dataset,
                scores,
                values,
                seed=self.config.seed,
                draws=self.config.null_draws,
            )
        except Exception as error:
            log.debug("%s failed", task.name, exc_info=True)
            return replace(fit, status="failed", reason=f"{type(error).__name__}: {error}")
        return replace(
            fit,
            metrics=metric_values(metrics, values, bars),
            summary=dict(scores.summary),
            scores=scores,
            score_s=time.perf_counter() - started,
        )

    def _emit(self, dataset: Dataset, task: Task, probe: ProbeRun, outcome: Outcome) -> None:
        if not self.session.processes.first:
            return
        trained_on = self._trained_on(probe)
        if trained_on and isinstance(dataset, Chains):
            outcome = replace(outcome, seen=seen.seen(dataset, trained_on))
        record = self.recorder.record(dataset, task, probe, outcome)
        if self._samples_are_due(record) and outcome.scores is not None:
            samples.write(self._samples_path(record), record, outcome.scores)
        stands = self.file.append(record) if self.file else record
        (self.result.new if stands is record else self.result.found).append(stands)

    def _samples_are_due(self, record: Record) -> bool:
        return self.config.log_samples and self.result.path is not None and record.status == "ok"

    def _samples_path(self, record: Record) -> Path:
        assert self.result.path is not None
        return samples.path_of(self.result.path.parent, record)


def with_training(probe: ProbeRun, data: Chains | None) -> ProbeRun:
    """Return the probe with a note of what it is going to be fitted on."""
    if not probe.to_fit or data is None:
        return probe
    info = TrainingInfo(
        dataset=data.name,
        split=data.split,
        sha256=data.sha256,
        n=len(data.chains),
        shuffled=probe.parameters["shuffled"],
    )
    return replace(probe, training=info, texts=frozenset(text_hashes(data.texts)))


def unfit(task: Task, dataset: Dataset, adapter: Adapter) -> str | None:
    """Return why this task cannot run on this dataset with this model, or None."""
    if not isinstance(dataset, task.dataset_type):
        return (
            f"{task.name} needs {task.dataset_type.__name__} data, "
            f"{dataset.name} is {type(dataset).__name__}"
        )
    if task.modalities and isinstance(adapter, Partial):
        missing = adapter.lacks(dataset)  # texts are embedded for every task
        for modality in ("text", *sorted(task.modalities - {"text"})):
            if modality in missing:
                return missing[modality]
    lacking = task.modalities - adapter.modalities
    if lacking:
        return f"{adapter.id.name} has no {' and no '.join(sorted(lacking))} encoder"
    if "image" in task.modalities and not dataset.images:
        return f"{dataset.name} has no images"
    return task.unfit(dataset)
