"""The contract: every type that the author of an adapter, a probe, a task or a dataset meets.

An adapter turns texts and images into vectors, a probe turns vectors into a `Space`, a task
scores a `Space` over a `Dataset`. Adapters never learn which task runs; tasks never learn which
model runs. Shapes: t texts, i images, c chains of k tiers, d dimensions, n scored items.
Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from hiereval.fingerprint import of_model
from hiereval.places import Places
from hiereval.printable import clean

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from PIL.Image import Image
    from torch import Generator, Tensor, nn

Modality = Literal["text", "image"]
Geometry = Literal["sphere", "lorentz", "lorentz-product", "euclidean", "gaussian"]
Curvature = float | tuple[float, ...]  # c > 0 for a sectional curvature of -c; one a factor
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
# of as many words: where their tokens or vectors are equal, the vocabulary is not the model's
TWO_CAPTIONS = ("a blue bird on a branch", "two red dogs in the snow")
LONGEST_NAME = 200  # characters of a model's name
# headline: the few a board ranks by; descriptive: no better or worse, or saturated; retention:
# what a probe or a fine-tuning keeps, read on its own interval
Role = Literal["headline", "quality", "descriptive", "retention"]
# what is dealt out: text vectors to all distinct strings, within equal word count, within a
# tier; or the images
NullKind = Literal["free", "within-length", "within-tier", "images"]


# --- data ----------------------------------------------------------------------------------------


@runtime_checkable
class ImageSource(Protocol):
    """One image: a name that is unique in its dataset, and its encoded bytes (JPEG, PNG, ...)."""

    @property
    def name(self) -> str:
        """Return the name, a file name without its folder."""
        ...

    def read(self) -> bytes:
        """Return the encoded bytes."""
        ...


@runtime_checkable
class HashedImage(ImageSource, Protocol):
    """An image that knows its hash without being read as a whole, or before it can be."""

    def sha256(self) -> str | None:
        """Return a SHA-256 that another picture cannot have; None where the image is absent."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """What is embedded, each text and image once. Every kind of benchmark data is a subclass."""

    name: str
    split: str
    revision: str | None  # of the published files, where they have one
    sha256: str  # of everything that a score depends on, the content of its images included
    image_source: str  # which images these are, in words; "" without images
    images_sha256: str | None = None  # of the images' names and content alone; None without images
    texts: tuple[str, ...]  # unique
    images: tuple[ImageSource, ...] = ()  # unique by name
    training: str | None = None  # what trains for it, as `--train-data` takes it


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Chains(Dataset):
    """Caption chains, general to specific; every index points into `texts` or `images`."""

    chains: np.ndarray  # [c, k] int64
    negatives: np.ndarray | None = None  # [c, k]: negatives[:, j] contradicts chains[:, j]
    chain_image: np.ndarray | None = None  # [c]
    pool: np.ndarray  # [p] retrieval candidates in file order, duplicates kept


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where data is and whether it may be fetched; what every dataset loader takes:
    `loader(options: DataOptions) -> Dataset`."""

    places: Places = field(default_factory=Places.of)
    split: str | None = None  # None: the one that is scored

    @property
    def root(self) -> Path:
        """The data root."""
        return self.places.data

    @property
    def offline(self) -> bool:
        """Whether nothing may be fetched."""
        return self.places.offline


# --- models --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is to be loaded; the same for every adapter."""

    revision: str | None = None
    device: str = "cpu"
    precision: Precision = "fp32"
    random_init: int | None = None  # seed: same architecture, no trained weights
    trust_remote_code: bool = False
    root_text: str | None = (
        None  # the text that stands for the root; None: the adapter's, mostly ""
    )
    places: Places = field(default_factory=Places.of)

    @property
    def offline(self) -> bool:
        """Whether nothing may be fetched."""
        return self.places.offline


@dataclass(frozen=True, kw_only=True)
class ModelId:
    """What a vector depends on. Known before any weight is loaded."""

    adapter: str
    name: str  # what people read; never part of the fingerprint
    checkpoint: str  # repository or folder; never part of the fingerprint
    revision: str | None = None  # commit, where the checkpoint has one
    adapter_version: int = 1  # raised when an adapter's vectors change
    weights_sha256: str | None = None  # None only for a random initialisation
    config_sha256: str | None = None
    preprocess_fingerprint: str | None = None
    tokenizer_fingerprint: str | None = None
    dtype: str = "float32"  # of the computation; vectors are always float32
    geometry: Geometry = "sphere"
    curvature: Curvature | None = None  # of a Lorentz space, or of each factor of a product
    root_text: str = ""
    random_init: int | None = None
    embed_dim: int | None = None
    n_params: int | None = None
    context_length: int | None = None
    trust_remote_code: bool = False
    # seen when it first encoded, where a library chooses how; never part of the fingerprint
    output_dtype: str | None = None  # of what the library gave back
    conformance: str | None = None  # what became of the checks

    def __post_init__(self) -> None:
        """Make the name printable: it comes from files, and people read it on terminals."""
        object.__setattr__(self, "name", clean(self.name, LONGEST_NAME))

    def fingerprint(self) -> str:
        """Return 64 hex digits that differ whenever a vector could."""
        return of_model(vars(self))


def is_curvature_of(geometry: str, curvature: object) -> bool:
    """Return whether a geometry has this curvature: a number above 0 for a Lorentz space, one or
    more of them for a product, None for the others."""
    if geometry not in ("lorentz", "lorentz-product"):
        return curvature is None
    several = isinstance(curvature, tuple)
    numbers = curvature if isinstance(curvature, tuple) else (curvature,)
    return several == (geometry == "lorentz-product") and bool(numbers) and all(
        isinstance(c, int | float) and not isinstance(c, bool) and 0 < c < float("inf")
        for c in numbers
    )  # fmt: skip


@runtime_checkable
class Adapter(Protocol):
    """One model. The constructor `(checkpoint: str, options: LoadOptions, **model_args)` reads
    configuration only; weights load at the first `encode_*`. Where a network has two towers that
    come apart each loads for what it encodes: texts alone bring no image tower into memory. The
    id, and every vector bit for bit, are the same whichever was used first."""

    id: ModelId
    modalities: frozenset[Modality]

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation (batches are sorted by it)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 vectors in the joint space, not normalised, on any device."""
        ...

    def preprocess(self, image: Image) -> Any:
        """Turn one image of any mode into what `encode_images` takes. CPU only, thread-safe."""
        ...

    def encode_images(self, inputs: Sequence[Any]) -> Tensor:
        """Return [n, d] float32 vectors in the joint space of n preprocessed images."""
        ...


# what an adapter may offer beyond that; `hiereval.testing.check_adapter` checks it


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


@dataclass(frozen=True)
class Embeddings:
    """A dataset's raw float32 vectors under one model, rows in the dataset's order."""

    model: ModelId
    text: Tensor  # [t, d]
    image: Tensor | None  # [i, d]; None for a model without an image encoder, or not needed
    anchors: Mapping[str, Tensor] = field(default_factory=dict)  # text -> [d], for probes
    truncated: np.ndarray | None = None  # [t] bool: longer than the context; None if unknown


# --- evaluation ----------------------------------------------------------------------------------


@runtime_checkable
class Space(Protocol):
    """Points with a root. Methods take points (rows of `text` and `image`), never a model."""

    @property
    def text(self) -> Tensor:
        """[t, d] points."""
        ...

    @property
    def image(self) -> Tensor | None:
        """[i, d] points."""
        ...

    @property
    def root(self) -> Tensor:
        """[d], the point that everything lies around."""
        ...

    @property
    def radius(self) -> Tensor:
        """[t] distance of each text from the root: small is general."""
        ...

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """[n, d], [m, d] -> [n, m]; larger is closer."""
        ...

    def exterior_angle(self, general: Tensor, specific: Tensor) -> Tensor:
        """[n, d], [n, d] -> [n] in [0, pi]; small where `general` entails `specific`."""
        ...

    def toward_root(self, x: Tensor, fraction: Tensor) -> Tensor:
        """[n, d], [s] in [0, 1] -> [n, s, d] points on the way from x (0) to the root (1)."""
        ...

    def centre(self, x: Tensor) -> Tensor:
        """[n, m, d] -> [n, d] the point that stands for m prompts of one thing."""
        ...


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


class Probe(Protocol):
    """Turns embeddings into a Space. The constructor only stores; `fit` returns self."""

    name: ClassVar[str]
    trained: ClassVar[bool]  # whether `space` needs `fit` first

    def anchors(self, model: ModelId) -> Sequence[str]:
        """Return texts beyond the dataset's whose embeddings the probe needs."""
        ...

    def fit(self, train: Embeddings, data: Chains, generator: Generator) -> Self:
        """Learn from the training split's vectors; learned names end in an underscore."""
        ...

    def space(self, embeddings: Embeddings) -> Space:
        """Return the points around the probe's root."""
        ...


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


@dataclass(frozen=True)
class Metric:
    """A number made from per-item values. `statistic` takes the items and weights [b, n] (how
    often each item was drawn) and returns [b] float64, NaN where it is undefined; so a rank
    statistic is bootstrapped like a mean. A statistic may have a method `defined(items)` -> [n]
    bool: which items enter it, and a method `batch(items)` -> [b] float64: its value on each of b
    samples, every item [b, n, ...] (or [1, n, ...] where all share it), and a method
    `pairs(items)` -> int: how many comparisons it rests on, where those are fewer than items."""

    name: str
    description: str  # one line
    statistic: Callable[[Mapping[str, Tensor], Tensor], Tensor]
    range: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool | None = True  # None: descriptive
    chance: float | None = None
    role: Role = "quality"


@dataclass(frozen=True)
class Null:
    """What the metrics reach where nothing is known: the model's own vectors, radii or images,
    dealt out at random. `draw` takes a number b of draws and a generator, its only source of
    randomness, and returns metric name -> [b] float64, NaN where a draw leaves it undefined."""

    draw: Callable[[int, Generator], Mapping[str, Tensor]]
    draws: int = 1000  # as many as are cheap, never fewer than 200


@dataclass(frozen=True)
class Scores:
    """A task's per-item values; the first axis of each is the item (a chain, an image, a pair)."""

    ids: Sequence[str]  # [n] names of the items, shared between models
    items: Mapping[str, Tensor]  # each [n, ...]
    undefined: Mapping[str, str] = field(default_factory=dict)  # metric name -> why it is null
    summary: Mapping[str, Any] = field(default_factory=dict)  # small JSON for plots
    details: Callable[[int], Mapping[str, Any]] | None = None  # more of an item, for --log-samples
    nulls: Mapping[NullKind, Null] = field(default_factory=dict)


@runtime_checkable
class Task(Protocol):
    """A frozen dataclass whose fields are its parameters (`--task-args field=value`)."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised when a number changes
    dataset_type: ClassVar[type[Dataset]]
    datasets: ClassVar[tuple[str, ...]]  # what it runs on when no --dataset is given
    modalities: ClassVar[frozenset[Modality]]  # what the model must encode
    metrics: ClassVar[tuple[Metric, ...]]

    def unfit(self, dataset: Any) -> str | None:
        """Return why this dataset (of `dataset_type`) cannot be scored, or None."""
        ...

    def score(self, space: Space, dataset: Any, generator: Generator) -> Scores:
        """Return per-item values. Randomness comes from `generator` alone."""
        ...


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
