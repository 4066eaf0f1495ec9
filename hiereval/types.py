"""The contract: every type that the author of an adapter, a probe, a task or a dataset meets.

An adapter turns texts and images into vectors, a probe turns vectors into a `Space`, a task
scores a `Space` over a `Dataset`. Adapters never learn which task runs; tasks never learn which
model runs. Shapes: t texts, i images, c chains of k tiers, d dimensions, n scored items.
Nothing heavy is imported here. What a plugin may offer as well is in `hiereval.hooks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Self,
    get_args,
    runtime_checkable,
)

from hiereval.fingerprint import of_model
from hiereval.places import Places
from hiereval.printable import clean

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from PIL.Image import Image
    from torch import Generator, Tensor

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


def is_modalities(modalities: object) -> bool:
    """Return whether these are what an adapter reads: texts, and perhaps images."""
    return isinstance(modalities, frozenset) and "text" in modalities <= set(get_args(Modality))


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


@dataclass(frozen=True)
class Metric:
    """A number made from per-item values. `statistic` takes the items and weights [b, n] (how
    often each item was drawn) and returns [b] float64, NaN where it is undefined; so a rank
    statistic is bootstrapped like a mean. It may offer more: `hiereval.hooks.Defined`,
    `CountsPairs`, `Batched`."""

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
