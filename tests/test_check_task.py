"""`check_task`: every check has a broken task that fails it, and ours fail none."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from support.failing import failed
from torch import Tensor

from hiereval import blind, registry
from hiereval.testing import check_task
from hiereval.types import Chains, Metric, Null, Scores, Space


def _mean(items: Any, weights: Tensor) -> Tensor:
    values = items["radius"].double()
    return (weights * values).sum(1) / weights.sum(1)


@dataclasses.dataclass(frozen=True)
class Radius:
    """Mean radius of the most general captions: a task that does everything right."""

    scale: float = 1.0
    name: ClassVar[str] = "radius"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Chains]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("shapes",)
    modalities: ClassVar[frozenset[str]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mean", "Mean radius.", _mean, range=(0.0, 100.0), higher_is_better=None),
    )

    def unfit(self, dataset: Chains) -> str | None:
        return None

    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        first = torch.from_numpy(dataset.chains[:, 0])
        radius = self.scale * space.radius[first]
        nulls = {"free": Null(self.draw)}
        return Scores([str(i) for i in range(len(first))], {"radius": radius}, nulls=nulls)  # type: ignore[arg-type]

    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"mean": torch.rand(draws, dtype=torch.float64, generator=generator)}

    def blind(self, dataset: Chains) -> dict[str, Scores]:
        return blind.scores(self, dataset, blind.text_spaces(dataset.texts))  # type: ignore[arg-type]


class Unfit(Radius):
    def unfit(self, dataset: Chains) -> str | None:
        return "never"


class Negative(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        scores = super().score(space, dataset, generator)
        return dataclasses.replace(scores, items={"radius": -scores.items["radius"] - 1})


class Uneven(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        scores = super().score(space, dataset, generator)
        return dataclasses.replace(scores, ids=scores.ids[:-1])


class Random(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        scores = super().score(space, dataset, generator)
        return dataclasses.replace(scores, items={"radius": torch.rand(len(scores.ids))})


class Changing(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        space.text.mul_(2)
        return super().score(space, dataset, generator)


class Spherical(Radius):
    """Knows which geometry it is in."""

    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        if not torch.allclose(space.text.norm(dim=1), torch.ones(1)):
            raise ValueError("unit vectors only")
        return super().score(space, dataset, generator)


class Dividing(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        if space.radius.unique().numel() == 1:
            raise ZeroDivisionError("constant radii")
        return super().score(space, dataset, generator)


class Unweighted(Radius):
    metrics = (Metric("mean", "Mean.", lambda items, w: items["radius"].mean(), (0.0, 100.0)),)


class Forgetting(Radius):
    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"mean": torch.rand(draws, dtype=torch.float64)}


class Infinite(Radius):
    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"mean": torch.full((draws,), torch.inf, dtype=torch.float64)}


class Single(Radius):
    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"mean": torch.rand(draws, generator=generator)}


class Strange(Radius):
    def draw(self, draws: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"median": torch.zeros(draws, dtype=torch.float64)}


class Sparing(Radius):
    def score(self, space: Space, dataset: Chains, generator: torch.Generator) -> Scores:
        scores = super().score(space, dataset, generator)
        return dataclasses.replace(scores, nulls={"free": Null(self.draw, draws=100)})


class Looking(Radius):
    def blind(self, dataset: Chains) -> dict[str, Scores]:
        dataset.images[0].read()
        return super().blind(dataset)


class Elsewhere(Radius):
    def blind(self, dataset: Chains) -> dict[str, Scores]:
        found = super().blind(dataset)
        return {name: dataclasses.replace(s, ids=s.ids[::-1]) for name, s in found.items()}


class Nameless(Radius):
    metrics = (*Radius.metrics, *Radius.metrics)


@dataclasses.dataclass
class Thawed:
    scale: float = 1.0
    name: ClassVar[str] = "thawed"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Chains]] = Chains
    datasets: ClassVar[tuple[str, ...]] = ("shapes",)
    modalities: ClassVar[frozenset[str]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = Radius.metrics
    unfit = Radius.unfit
    score = Radius.score


BROKEN_TASKS: dict[str, tuple[Any, str, str]] = {
    "thawed": (Thawed, "declaration", "a task must be frozen"),
    "nameless": (Nameless, "metrics", "metric names must be unique: ['mean', 'mean']"),
    "unfit": (Unfit, "data", "unfit for shapes: never"),
    "negative": (Negative, "scores: sphere", "must be in (0.0, 100.0)"),
    "uneven": (Uneven, "scores: euclidean", "items['radius'] has 12 rows for 11 ids"),
    "spherical": (Spherical, "scores: lorentz", "ValueError: unit vectors only"),
    "spherical in parts": (Spherical, "scores: lorentz-product", "ValueError: unit vectors only"),
    "random": (Random, "scores: repeatable", "must be the same for the same seed"),
    "changing": (Changing, "scores: inputs unchanged", "score must not change the space"),
    "dividing": (Dividing, "scores: equal vectors", "ZeroDivisionError: constant radii"),
    "unweighted": (Unweighted, "statistics resample", "must return [3] float64, not []"),
    "forgetting": (Forgetting, "nulls", "free: mean must be the same for the same generator"),
    "infinite": (Infinite, "nulls", "free: mean must be finite or NaN"),
    "single": (Single, "nulls", "free: mean must be [3] float64, not [3] torch.float32"),
    "strange": (Strange, "nulls", "free: ['median'] must be metrics of the task"),
    "sparing": (Sparing, "nulls", "free: draws must be at least 200, not 100"),
    "looking": (Looking, "blind scores", "must not be read by a blind score"),
    "elsewhere": (Elsewhere, "blind scores", "words: ids must be those of the task"),
}


def test_nothing_fails_on_a_good_task() -> None:
    checks = check_task(Radius())
    assert all(check.passed for check in checks)
    assert {check.name for check in checks} == {name for _, name, _ in BROKEN_TASKS.values()}


@pytest.mark.parametrize("case", list(BROKEN_TASKS))
def test_a_broken_task_fails_its_check(case: str) -> None:
    make, name, problem = BROKEN_TASKS[case]
    assert problem in failed(check_task(make()))[name]


@pytest.mark.parametrize(
    "name", ["ordering", "entailment", "image-entailment", "retrieval", "interpolation",
             "flat-retrieval"],
)  # fmt: skip
def test_our_tasks_conform(name: str) -> None:
    assert failed(check_task(registry.load("tasks", name)())) == {}
