"""From an outcome to a record: everything a record says, gathered in one place."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from hiereval import identity
from hiereval.environment import environment
from hiereval.estimates import Estimate
from hiereval.nulls import Bars
from hiereval.plan import ProbeRun
from hiereval.records import (
    LEVEL,
    DatasetInfo,
    MetricValue,
    ModelInfo,
    NullValue,
    ProbeInfo,
    Record,
    SeenInfo,
    TaskInfo,
    Timings,
)
from hiereval.registry import parameters
from hiereval.types import Dataset, Metric, ModelId, Scores, Task

if TYPE_CHECKING:
    from hiereval.embed import EmbedStats


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one task."""

    status: Literal["ok", "skipped", "failed"] = "ok"
    reason: str | None = None
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    scores: Scores | None = None
    seen: SeenInfo | None = None
    stats: EmbedStats | None = None
    fit_s: float = 0.0
    score_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a value depends on besides model, data, task and probe."""

    seed: int = 0
    resamples: int = 1000
    limit: int | None = None
    null_draws: int | None = None  # at most so many of each null; None: its own


class Recorder:
    """Makes one run's records."""

    def __init__(self, model: ModelId, device: str, drawn: Drawn) -> None:
        self.model, self.device, self.drawn = model, device, drawn
        self.run_id = uuid.uuid4().hex

    def record_id(self, dataset: Dataset, task: Task, probe: ProbeRun) -> str:
        """Return 32 hex digits that are the same whenever the same thing is measured."""
        drawn = self.drawn
        return identity.record_id(
            model=self.model.fingerprint(),
            name=self.model.name,
            dataset=(dataset.name, dataset.split, dataset.sha256),
            task=(task.name, task.version, parameters(task)),
            probe=probe.key,
            run=(drawn.seed, drawn.limit, drawn.resamples, drawn.null_draws),
        )

    def record(self, dataset: Dataset, task: Task, probe: ProbeRun, outcome: Outcome) -> Record:
        """Return the complete record of one outcome."""
        stats, model = outcome.stats, asdict(self.model)
        return Record(
            run_id=self.run_id,
            record_id=self.record_id(dataset, task, probe),
            timestamp=datetime.now(UTC),
            status=outcome.status,
            reason=outcome.reason,
            model=ModelInfo(fingerprint=self.model.fingerprint(), **model),
            task=TaskInfo(name=task.name, version=task.version, parameters=parameters(task)),
            dataset=DatasetInfo(
                name=dataset.name,
                split=dataset.split,
                revision=dataset.revision,
                sha256=dataset.sha256,
                images_sha256=dataset.images_sha256,
                image_source=dataset.image_source,
                n_texts=len(dataset.texts),
                n_images=len(dataset.images),
                n_truncated=stats.n_truncated if stats else None,
            ),
            probe=ProbeInfo(
                name=probe.probe.name,
                parameters=dict(probe.parameters),
                seed=probe.seed,
                training=probe.training,
            ),
            metrics=dict(outcome.metrics),
            environment=environment(self.device),
            timings=Timings(
                encode_s=stats.seconds if stats else 0.0,
                first_s=stats.first_s if stats else None,
                forward_share=stats.forward_share if stats else None,
                fit_s=outcome.fit_s,
                score_s=outcome.score_s,
                images_per_s=stats.images_per_s if stats else None,
                texts_per_s=stats.texts_per_s if stats else None,
            ),
            batch_size=stats.batch_size if stats else None,
            bootstrap_resamples=self.drawn.resamples,
            seed=self.drawn.seed,
            limit=self.drawn.limit,
            null_draws=self.drawn.null_draws,
            seen=outcome.seen,
            summary=dict(outcome.summary),
        )


def metric_values(
    metrics: Sequence[Metric],
    estimates: Mapping[str, Estimate],
    bars: Mapping[str, Bars] | None = None,
) -> dict[str, MetricValue]:
    """Return the estimates as a record holds them, beside the bars of each metric."""
    bars = bars or {}
    return {
        metric.name: MetricValue(
            value=estimate.value,
            ci_low=estimate.low,
            ci_high=estimate.high,
            ci_level=LEVEL,
            n=estimate.n,
            undefined_reason=estimate.undefined_reason,
            higher_is_better=metric.higher_is_better,
            range=metric.range,
            chance=metric.chance,
            role=metric.role,
            nulls={kind: NullValue(**asdict(null)) for kind, null in bar.nulls.items()},
            ceilings=dict(bar.ceilings),
            caution=estimate.caution,
        )
        for metric in metrics
        for estimate in [estimates[metric.name]]
        for bar in [bars.get(metric.name, Bars())]
    }


def undefined_metrics(metrics: Sequence[Metric], reason: str) -> dict[str, MetricValue]:
    """Return every metric as null, for the same reason."""
    nothing = Estimate(value=None, low=None, high=None, n=0, undefined_reason=reason)
    return metric_values(metrics, {metric.name: nothing for metric in metrics})
