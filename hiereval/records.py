"""Results: one JSON line per model, dataset, task and probe, complete on its own.

The schema is the only thing that a board, an export or a comparison reads: `reading` reads it,
`appending` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from hiereval import seals

LEVEL = 0.95  # of every interval
Part = TypeVar("Part")
Made = TypeVar("Made")
Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """Fields are fixed: an unknown one is an error that names it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        ser_json_inf_nan="strings",  # an unbounded range is "Infinity": JSON has no other way
    )


class ModelInfo(Strict):
    """Which model was measured; `fingerprint` identifies its vectors."""

    name: Name
    adapter: Name
    adapter_version: int
    checkpoint: str
    revision: str | None
    fingerprint: str
    weights_sha256: str | None
    config_sha256: str | None
    preprocess_fingerprint: str | None
    tokenizer_fingerprint: str | None
    embed_dim: int | None
    n_params: int | None
    dtype: str
    context_length: int | None
    geometry: str
    curvature: Finite | tuple[Finite, ...] | None
    root_text: str
    random_init: int | None
    trust_remote_code: bool
    output_dtype: str | None = None  # of what a library gave back that chooses it
    conformance: str | None = None  # what became of the checks when it first encoded

    @property
    def is_control(self) -> bool:
        """Whether it is there to compare with: a control encoder or random weights."""
        return self.adapter == "control" or self.random_init is not None


class TaskInfo(Strict):
    """Which task, with every parameter's value."""

    name: Name
    version: int
    parameters: dict[str, Any]


class DatasetInfo(Strict):
    """Which data: `n` items were scored, `n_truncated` texts exceeded the context length."""

    name: Name
    split: str
    revision: str | None
    sha256: str
    images_sha256: str | None = None  # of the images' names and content; None without images
    image_source: str
    n_texts: int
    n_images: int
    n_truncated: int | None


class TrainingInfo(Strict):
    """What a trained probe was fitted on, and whether each chain's tiers were shuffled."""

    dataset: str
    split: str
    sha256: str
    n: int
    shuffled: bool = False
    probe_sha256: str | None = None


class SeenInfo(Strict):
    """How much of the scored text the probe or the model was trained on, string by string."""

    texts: list[int]  # distinct strings of each tier
    seen: list[int]  # of them trained on
    chains: int
    unseen_chains: int  # none of whose strings, negatives included, was trained on


class ProbeInfo(Strict):
    """Which probe; `seed` and `training` are null for a learning-free one."""

    name: Name
    parameters: dict[str, Any]
    seed: int | None = None
    training: TrainingInfo | None = None

    @property
    def shuffled(self) -> bool:
        """Whether it was fitted on shuffled tiers; False for a probe proper, trained or not."""
        return self.training is not None and self.training.shuffled


class NullValue(Strict):
    """What the metric reached when vectors or images were dealt out at random: its mean, standard
    deviation and 95 % range over `draws`, and p = (1 + draws at least as good) / (draws + 1)."""

    mean: Finite
    sd: Finite
    low: Finite
    high: Finite
    p: Finite
    draws: int  # in which it was defined


class MetricValue(Strict):
    """A value with its bootstrap interval, or null with the reason.

    Beside it the bars that a finding is beyond: `nulls` by what was dealt out, and `ceilings`, the
    values of scores that see no image and no model.
    """

    value: Finite | None
    ci_low: Finite | None
    ci_high: Finite | None
    ci_level: Finite
    n: int  # items with a defined value
    undefined_reason: str | None
    higher_is_better: bool | None
    range: tuple[float, float] | None = None
    chance: Finite | None = None
    role: Literal["headline", "quality", "descriptive", "retention"] = "quality"
    nulls: dict[str, NullValue] = Field(default_factory=dict)
    ceilings: dict[str, Finite] = Field(default_factory=dict)
    caution: str | None = None  # why the interval promises more than it holds

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> MetricValue:
        if (self.value is None) != (self.undefined_reason is not None):
            raise ValueError("a value is null exactly when undefined_reason is given")
        return self


class Timings(Strict):
    """Seconds spent in this run; null images a second: all came from the store."""

    encode_s: Finite
    first_s: Finite | None = None  # of encode_s, the first batches: imports and weights load there
    forward_share: Finite | None = None  # of the rest of encode_s, in the network
    fit_s: Finite
    score_s: Finite
    images_per_s: Finite | None
    texts_per_s: Finite | None


class Environment(Strict):
    """What else the numbers may depend on."""

    hiereval: str
    python: str
    packages: dict[str, str]
    device: str
    driver: str | None
    git_commit: str | None
    git_dirty: bool | None
    plugins: list[str]


class Record(Strict):
    """One line of a results file. `record_id` is the same whenever the same thing is measured."""

    schema_version: Literal[1] = 1
    run_id: Name
    record_id: Name
    timestamp: AwareDatetime
    status: Literal["ok", "skipped", "failed"]
    reason: str | None
    model: ModelInfo
    task: TaskInfo
    dataset: DatasetInfo
    probe: ProbeInfo
    metrics: dict[str, MetricValue]
    environment: Environment
    timings: Timings
    batch_size: int | None
    bootstrap_resamples: int
    seed: int
    limit: int | None
    null_draws: int | None = None  # at most so many of each null; null: the task's own
    seen: SeenInfo | None = None  # null: nothing was trained here
    summary: dict[str, Any] = Field(default_factory=dict)  # small extras for plots, task-defined

    @model_validator(mode="after")
    def _not_ok_has_a_reason(self) -> Record:
        if (self.status == "ok") == (self.reason is not None):
            raise ValueError("reason is given exactly when status is skipped or failed")
        return self


def once(make: Callable[[Part], Made]) -> Callable[[Part], Made]:
    """Let what is made of a record's part be made once where records share the part."""
    known: dict[int, tuple[Part, Made]] = {}  # by place in memory: the part is kept, so that it is

    @wraps(make)
    def made(part: Part) -> Made:
        found = known.get(id(part))
        if found is None or found[0] is not part:
            if len(known) >= _MOST_PARTS:
                known.clear()
            found = known[id(part)] = part, make(part)
        return found[1]

    return made


_MOST_PARTS = 1 << 12


@once
def parameters_text(part: TaskInfo | ProbeInfo) -> str:
    """Return the parameters of a task or probe as JSON, keys in order."""
    return json.dumps(part.parameters, sort_keys=True)


def line(record: Record) -> bytes:
    """Return a record as it stands in a file: JSON, its checksum, a line break."""
    return seals.sealed(record.model_dump_json())
