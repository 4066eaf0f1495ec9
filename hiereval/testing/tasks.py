"""What every task must do, on data of its kind and in every geometry."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, get_args

from hiereval.hooks import Answered, Blind
from hiereval.testing.checks import Check, NotApplicable, require, run
from hiereval.testing.inputs import CURVATURES
from hiereval.types import (
    Chains,
    DataOptions,
    Dataset,
    Metric,
    ModelId,
    NullKind,
    Scores,
    Space,
    Task,
)

if TYPE_CHECKING:
    from torch import Tensor

D = 6  # dimensions of the made-up vectors
GEOMETRIES = ("sphere", "euclidean", "lorentz", "lorentz-product")


def check_task(task: Task, dataset: Dataset | None = None) -> list[Check]:
    """Return what a configured task does right and wrong.

    Without a dataset it is scored on the first chains of `shapes`; give one for other kinds of
    data. Vectors are random: no value is judged, only what must hold of any.
    """
    return run(_Kit(task, dataset).checks())


@dataclasses.dataclass(frozen=True)
class _Unreadable:
    """An image that fails the check of whoever reads it."""

    name: str

    def read(self) -> bytes:
        require(False, f"the image {self.name!r} must not be read by a blind score")
        raise AssertionError


class _Kit:
    def __init__(self, task: Task, dataset: Dataset | None) -> None:
        self.task, self.given = task, dataset

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the checks in the order in which they are best read."""
        yield "declaration", self.declaration
        yield "metrics", self.metrics
        yield "data", self.data
        for geometry in GEOMETRIES:
            yield f"scores: {geometry}", lambda geometry=geometry: self.scores(geometry)  # type: ignore[misc]
        yield "scores: repeatable", self.repeatable
        yield "scores: inputs unchanged", self.unchanged
        yield "scores: equal vectors", self.degenerate
        yield "statistics resample", self.statistics
        yield "nulls", self.nulls
        yield "blind scores", self.blind

    def declaration(self) -> str:
        """A task is a frozen dataclass with a name, a version and what it needs."""
        cls = type(self.task)
        require(dataclasses.is_dataclass(cls), "a task must be a dataclass: its fields, parameters")
        frozen = cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
        require(frozen, "a task must be frozen: its parameters are recorded once")
        require(bool(self.task.name), "name must not be empty")
        require(
            isinstance(self.task.version, int) and self.task.version >= 1,
            f"version must be a whole number of at least 1, not {self.task.version!r}",
        )
        require(issubclass(self.task.dataset_type, Dataset), "dataset_type must be a Dataset")
        require(
            (bool(self.task.modalities) or isinstance(self.task, Answered))
            and self.task.modalities <= {"text", "image"},
            "modalities must be of 'text' and 'image', or empty for a task that scores answers, "
            f"not {self.task.modalities!r}",
        )
        return f"{self.task.name}, version {self.task.version}"

    def metrics(self) -> str:
        """Metric names are unique, described, and their ranges ordered."""
        metrics = self.task.metrics
        require(all(isinstance(m, Metric) for m in metrics), "metrics must be of Metric")
        names = [metric.name for metric in metrics]
        require(len(set(names)) == len(names), f"metric names must be unique: {names}")
        for metric in metrics:
            require(bool(metric.description), f"{metric.name} must have a description")
            require("\n" not in metric.description, f"{metric.name}'s description must be one line")
            low, high = metric.range
            require(low < high, f"{metric.name}'s range {metric.range} must be ordered")
        return ", ".join(names) or "decided by the dataset"

    def data(self) -> str:
        """The task accepts its data, or says why not."""
        reason = self.task.unfit(self.dataset)
        require(reason is None, f"unfit for {self.dataset.name}: {reason}")
        return self.dataset.name

    def scores(self, geometry: str) -> str:
        """Per-item values have an item axis; every metric is a number in its range or NaN."""
        scores = self._score(self._space(geometry))
        n = len(scores.ids)
        require(n > 0, "ids must name at least one item")
        require(len(set(scores.ids)) == n, "ids must be unique")
        for name, values in scores.items.items():
            require(len(values) == n, f"items[{name!r}] has {len(values)} rows for {n} ids")
        for metric, value in self._values(scores).items():
            low, high = metric.range
            require(
                value != value or low - 1e-9 <= value <= high + 1e-9,
                f"{metric.name} = {value} must be in {metric.range}",
            )
        return f"{n} items"

    def repeatable(self) -> str:
        """Randomness comes from the generator alone."""
        import torch

        space = self._space("sphere")
        first, again = self._score(space), self._score(space)
        require(tuple(first.ids) == tuple(again.ids), "ids must be the same for the same seed")
        for name, values in first.items.items():
            same = torch.equal(values.nan_to_num(), again.items[name].nan_to_num())
            require(same, f"items[{name!r}] must be the same for the same seed")
        return "the same seed, the same items"

    def unchanged(self) -> str:
        """A task leaves the space as it is: other tasks share it."""
        space = self._space("sphere")
        before = [space.text.clone(), space.root.clone(), space.radius.clone()]
        self._score(space)
        after = [space.text, space.root, space.radius]
        same = all(bool((a == b).all()) for a, b in zip(before, after, strict=True))
        require(same, "score must not change the space")
        return "unchanged"

    def degenerate(self) -> str:
        """Where all vectors are equal, order is undefined, and nothing breaks."""
        scores = self._score(self._space("sphere", constant=True))
        values = self._values(scores)
        undefined = [m.name for m, v in values.items() if v != v or m.name in scores.undefined]
        return f"{len(undefined)} of {len(values)} metrics undefined"

    def statistics(self) -> str:
        """A statistic takes weights [b, n] and returns [b] float64; weights are multiplicities."""
        import torch

        scores = self._score(self._space("sphere"))
        n = len(scores.ids)
        weights = torch.ones(3, n, dtype=torch.float64)
        weights[1] *= 2
        for metric in self._metrics(scores):
            if metric.name in scores.undefined:
                continue
            got = metric.statistic(scores.items, weights)
            require(
                tuple(got.shape) == (3,) and got.dtype == torch.float64,
                f"{metric.name} must return [3] float64, not {list(got.shape)} {got.dtype}",
            )
            one, _, again = got.tolist()
            same = one != one or abs(one - again) <= 1e-9 * max(1.0, abs(one))
            require(same, f"{metric.name} must depend on its weights alone: {one}, {again}")
        return "[b] float64"

    def nulls(self) -> str:
        """A null draws from its generator alone; a draw is a float64 number or NaN."""
        import torch

        scores = self._score(self._space("sphere"))
        if not scores.nulls:
            raise NotApplicable("the task offers no nulls")
        names = {metric.name for metric in self._metrics(scores)}
        for kind, null in scores.nulls.items():
            require(kind in get_args(NullKind), f"{kind!r} must be one of {get_args(NullKind)}")
            require(null.draws >= 200, f"{kind}: draws must be at least 200, not {null.draws}")
            first, again = (null.draw(3, torch.Generator().manual_seed(5)) for _ in range(2))
            unknown = sorted(set(first) - names)
            require(not unknown, f"{kind}: {unknown} must be metrics of the task")
            for name, drawn in first.items():
                require(
                    tuple(drawn.shape) == (3,) and drawn.dtype == torch.float64,
                    f"{kind}: {name} must be [3] float64, not {list(drawn.shape)} {drawn.dtype}",
                )
                require(not bool(drawn.isinf().any()), f"{kind}: {name} must be finite or NaN")
                same = torch.equal(drawn.nan_to_num(), again[name].nan_to_num())
                require(same, f"{kind}: {name} must be the same for the same generator")
        return ", ".join(scores.nulls)

    def blind(self) -> str:
        """Blind scores are of the task's items and metrics, and read no image."""
        if not isinstance(self.task, Blind):
            raise NotApplicable("the task offers no blind scores")
        known = self._score(self._space("sphere"))
        names = [metric.name for metric in self._metrics(known)]
        images = tuple(_Unreadable(image.name) for image in self.dataset.images)
        found = self.task.blind(dataclasses.replace(self.dataset, images=images))
        for name, scores in found.items():
            require(tuple(scores.ids) == tuple(known.ids), f"{name}: ids must be those of the task")
            own = [metric.name for metric in self._metrics(scores)]
            require(own == names, f"{name}: metrics must be those of the task, not {own}")
            self._values(scores)
        return ", ".join(found)

    # --- how --------------------------------------------------------------------------------------

    @property
    def dataset(self) -> Dataset:
        """Return the data to score: what was given, or a dozen chains of shapes."""
        if self.given is None:
            if not issubclass(Chains, self.task.dataset_type):
                raise NotApplicable(f"give a dataset: {self.task.dataset_type.__name__}")
            self.given = _shapes()
        return self.given

    def _space(self, geometry: str, *, constant: bool = False) -> Space:
        import torch

        from hiereval.spaces import space_of

        generator = torch.Generator().manual_seed(0)
        sizes = (len(self.dataset.texts), len(self.dataset.images), 1)

        def vectors(n: int) -> Tensor:
            drawn = torch.randn(n, D, generator=generator)
            return torch.ones(n, D) if constant else drawn

        text, image, root = (vectors(n) for n in sizes)
        curvature = CURVATURES.get(geometry)
        model = ModelId(
            adapter="check", name="check", checkpoint="", geometry=geometry, curvature=curvature  # type: ignore[arg-type]
        )  # fmt: skip
        needs_image = "image" in self.task.modalities
        return space_of(model, text, image if needs_image else None, root[0])

    def _score(self, space: Space) -> Scores:
        import torch

        return self.task.score(space, self.dataset, torch.Generator().manual_seed(0))

    def _metrics(self, scores: Scores) -> tuple[Metric, ...]:
        from hiereval.estimates import metrics_of

        return metrics_of(self.task, scores.items)

    def _values(self, scores: Scores) -> dict[Metric, float]:
        import torch

        ones = torch.ones(1, len(scores.ids), dtype=torch.float64)
        return {
            metric: float("nan")
            if metric.name in scores.undefined
            else float(metric.statistic(scores.items, ones))
            for metric in self._metrics(scores)
        }


def _shapes() -> Any:
    from hiereval.datasets import head
    from hiereval.toy.shapes import shapes

    return head(shapes(DataOptions()), 12)
