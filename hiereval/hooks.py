"""What a plugin may offer beyond the contract of `hiereval.types`: what has the methods offers it.

Shapes: t texts, n items, b draws, d dimensions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from hiereval.types import Adapter, Dataset, ImageSource, Metric, Modality, Scores, Task

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor, nn


# --- data ----------------------------------------------------------------------------------------


@runtime_checkable
class HashedImage(ImageSource, Protocol):
    """An image that knows its hash without being read as a whole, or before it can be."""

    def sha256(self) -> str | None:
        """Return a SHA-256 that another picture cannot have; None where the image is absent."""
        ...


@runtime_checkable
class Limitable(Protocol):
    """Data of a kind of its own that `--limit` can cut."""

    def head(self, n: int) -> Dataset:
        """Return the data of the first n items alone; all of it if it has no more."""
        ...


@runtime_checkable
class Truncatable(Protocol):
    """Data whose scores depend on which of its texts the model cuts."""

    def cut(self, truncated: np.ndarray) -> Dataset:
        """Return the data that knows which of its texts [t] are longer than the context."""
        ...


# --- adapters; `hiereval.testing.check_adapter` checks these -------------------------------------


@runtime_checkable
class Partial(Protocol):
    """An adapter that has vectors of some texts and images alone; tasks that need more are
    skipped."""

    def lacks(self, dataset: Dataset) -> Mapping[Modality, str]:
        """Return, for each kind that is not complete, what is missing and how to get it."""
        ...


@runtime_checkable
class ByName(Protocol):
    """Vectors of images that are known by name: none is opened."""

    def encode_image_names(self, names: Sequence[str]) -> Tensor:
        """Return [n, d] float32 vectors in the joint space of images by their names."""
        ...


@runtime_checkable
class StoredVectors(ByName, Protocol):
    """The same for some texts and images alone, which it lists."""

    texts: Collection[str]
    images: Collection[str]


@runtime_checkable
class Fetches(Protocol):
    """A model whose files come at first use, not as it is opened."""

    def fetch(self) -> None:
        """Bring them here now."""
        ...


@runtime_checkable
class InFolders(Protocol):
    """Checkpoints that are folders are written with a prefix before their path."""

    folder_prefix: str


def folder_prefix(adapter: object) -> str:
    """Return what stands before the path of a checkpoint that is a folder, mostly nothing."""
    return adapter.folder_prefix if isinstance(adapter, InFolders) else ""


@runtime_checkable
class HasTextTower(Protocol):
    """What fine-tuning needs; `encode_texts` then keeps gradients inside `gradients()`."""

    def text_tower(self) -> tuple[nn.Module, tuple[str, ...]]:
        """Return the loaded network, and what the names of its text side's parameters begin with
        (text encoder and text projection; image tower and temperature stay frozen)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the network as it is now into an empty folder, in the format that it came in."""
        ...


@runtime_checkable
class Trainable(Adapter, HasTextTower, Protocol):
    """An adapter whose text tower can be trained."""


# --- spaces --------------------------------------------------------------------------------------


@runtime_checkable
class Cones(Protocol):
    """What a Space may offer as well: the width of the entailment cone at a point."""

    def half_aperture(self, general: Tensor, min_radius: float) -> Tensor:
        """[n, d] -> [n] in (0, pi / 2]: what lies at a smaller exterior angle is entailed.

        Nearer to the root than about `min_radius` no cone is narrower than a half space.
        """
        ...


@runtime_checkable
class EndsDecide(Protocol):
    """What a Space may declare as well: of two points, one that is at least as near to both ends
    of a way toward the root is at least as near to every point of it.

    So it is where distance is Euclidean, on the sphere and on one hyperboloid: what similarity to
    a point of the way ranks by is there a sum of its ends' similarities (or their cosh, or their
    square) with weights that are not negative.
    """

    ends_decide: ClassVar[Literal[True]]


# --- statistics of metrics -----------------------------------------------------------------------


@runtime_checkable
class Defined(Protocol):
    """A statistic may offer this: which items enter it."""

    def defined(self, items: Mapping[str, Tensor]) -> Tensor:
        """Return [n] bool."""
        ...


@runtime_checkable
class CountsPairs(Protocol):
    """A statistic may offer this: how many pairs it compares."""

    def pairs(self, items: Mapping[str, Tensor]) -> int:
        """Return the number of pairs."""
        ...


@runtime_checkable
class Batched(Protocol):
    """A statistic may offer this: many draws at once."""

    def batch(self, items: Mapping[str, Tensor]) -> Tensor:
        """Return [b] float64 of items [b, n, ...], or [1, n, ...] where all draws share them."""
        ...


# --- tasks ---------------------------------------------------------------------------------------


@runtime_checkable
class MetricsOfItems(Protocol):
    """A task may offer this: its data decide its metrics, or their chance levels."""

    def metrics_of(self, items: Mapping[str, Tensor]) -> tuple[Metric, ...]:
        """Return the metrics of scored items (or of items read back); `metrics` where there are
        none."""
        ...


@runtime_checkable
class Blind(Protocol):
    """A task that knows what its metrics give away: it scores what sees no image and no model."""

    def blind(self, dataset: Any) -> Mapping[str, Scores]:
        """Return name ("words", "position", ...) -> the Scores it reaches, with the ids and
        metrics of `score`. No image is read."""
        ...


@dataclass(frozen=True)
class Answers:
    """What a model answered, laid beside the truth."""

    data: Dataset  # of the task's dataset_type
    sha256: str  # of the file
    unknown: tuple[str, ...] = ()  # answered, but not asked by the truth
    missing: tuple[str, ...] = ()  # asked, but not answered
    left_out: bool = False  # whether what is missing is not scored; else it is wrong
    outside: tuple[str, ...] = ()  # answered by none of a question's options
    task: Task | None = None  # that scores them, where it is not the one that read them


@runtime_checkable
class Answered(Protocol):
    """A task may offer this: it scores answers from a file (`hiereval score FILE --task NAME`).

    Its `modalities` are then empty, or those of `Answers.task`: nothing is encoded for it.
    """

    def read_answers(self, path: Path, truth: Dataset) -> Answers:
        """Return a file's answers beside the truth; raises HierevalError naming the bad line."""
        ...
