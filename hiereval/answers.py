"""Answers instead of vectors: what a model said, read from a file, scored like any other task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from hiereval import registry
from hiereval.errors import HierevalError
from hiereval.geometry import EuclideanSpace
from hiereval.hooks import Answered, Answers
from hiereval.job import Job
from hiereval.plan import ProbeRun, RunConfig
from hiereval.results import Results
from hiereval.session import Session
from hiereval.types import Embeddings, Modality, ModelId, Space

if TYPE_CHECKING:
    from torch import Tensor


def answered_tasks() -> list[str]:
    """Return the names of the tasks that score answers."""
    names = registry.names("tasks")
    return [name for name in names if issubclass(registry.load("tasks", name), Answered)]


def score_answers(
    session: Session, source: Path, config: RunConfig, dataset: str | None = None
) -> tuple[Results, Answers]:
    """Score a file of answers by the task `config.tasks`, and append its record.

    `config.model` is what to call the one who answered, `dataset` the truth (None: the task's
    own). Raises HierevalError for a task that scores vectors, and for a file that is no answers.
    """
    cls = registry.load("tasks", config.tasks)
    if not issubclass(cls, Answered):
        raise HierevalError(
            f"The task {config.tasks!r} must be one that scores answers: "
            f"{', '.join(answered_tasks())}."
        )
    task = registry.configure(cls, config.task_args, f"the task {config.tasks!r}")
    answers = task.read_answers(source, session.dataset(dataset or task.datasets[0]))
    task = answers.task or task
    model = ModelId(
        adapter="answers",
        name=config.model,
        checkpoint=source.name,
        weights_sha256=answers.sha256,
        geometry="euclidean",
    )
    job = Job(session, replace(config, overwrite="always"), Answering(model))
    job.measure(answers.data, [task], [ProbeRun(NoSpace(), {})])
    return job.result, answers


@dataclass
class Answering:
    """An adapter of a model that has answered already: it encodes nothing."""

    id: ModelId
    modalities: frozenset[Modality] = frozenset()

    def text_lengths(self, texts: Sequence[str]) -> NoReturn:
        """Refuse."""
        self._refuse()

    def encode_texts(self, texts: Sequence[str]) -> NoReturn:
        """Refuse."""
        self._refuse()

    def preprocess(self, image: Any) -> NoReturn:
        """Refuse."""
        self._refuse()

    def encode_images(self, inputs: Sequence[Any]) -> NoReturn:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise HierevalError(f"The answers of {self.id.name!r} must be scored as they are.")


@dataclass(frozen=True)
class NoSpace:
    """The probe of a task that needs no vectors: a space of no dimensions."""

    name: ClassVar[str] = "none"
    trained: ClassVar[bool] = False

    def anchors(self, model: ModelId) -> tuple[str, ...]:
        """Return none."""
        return ()

    def fit(self, train: Embeddings, data: Any, generator: Any) -> NoSpace:
        """Return itself: there is nothing to learn."""
        return self

    def space(self, embeddings: Embeddings) -> Space:
        """Return points without coordinates."""
        root: Tensor = embeddings.text.new_zeros(0)
        return EuclideanSpace(embeddings.text, None, root)
