"""What every adapter must do, whatever model stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast, get_args

from hiereval.hooks import ByName, HasTextTower, InFolders, Partial, StoredVectors
from hiereval.testing import inputs
from hiereval.testing.checks import Check, NotApplicable, require, run
from hiereval.testing.loading import apart, watched
from hiereval.testing.pictures import PictureChecks
from hiereval.testing.texts import TextChecks
from hiereval.testing.vectors import Vectors
from hiereval.types import Adapter, Dataset, Geometry, ModelId, is_curvature_of, is_modalities

LARGE = 1 << 20  # bytes that an adapter may hold before it has loaded its weights


def check_adapter(
    adapter: Adapter | Callable[[], Adapter],
    *,
    reopen: Callable[[str], Adapter] | None = None,
) -> list[Check]:
    """Return what an adapter does right and wrong.

    Give a function without arguments that makes the adapter (its class with the checkpoint bound)
    and lazy loading is checked too. `reopen` opens another checkpoint in the same way: where the
    checkpoint is a folder, a copy with other preprocessing must have another fingerprint.
    """
    make = adapter if callable(adapter) else None
    try:
        with watched() as loads:
            subject = cast("Adapter", adapter) if make is None else make()
    except Exception as error:
        line = " ".join(str(error).split())[:300]
        return [Check("opens", False, f"{type(error).__name__}: {line}")]
    kit = _Kit(subject, make, loads, reopen)
    return run(kit.checks())


AT_FIRST_USE = (
    "text: shape, type, finite",
    "text: captions differ",
    "text: any batch size",
    "text: any order",
    "text: the root alone and among long texts",
    "image: shape, type, finite",
    "image: any batch size, order and duplicates",
)


def check_vectors(adapter: Adapter) -> list[Check]:
    """Return what must hold before a stranger's model is measured at all: a few short batches."""
    kit = _Kit(adapter, None, [], None)
    return run((name, check) for name, check in kit.checks() if name in AT_FIRST_USE)


def _texts(texts: Sequence[str]) -> Dataset:
    return Dataset(
        name="made", split="all", revision=None, sha256="", image_source="", texts=tuple(texts)
    )


class _Kit:
    """One adapter and the vectors it gave."""

    def __init__(
        self,
        adapter: Adapter,
        make: Callable[[], Adapter] | None,
        loads: list[str],
        reopen: Callable[[str], Adapter] | None,
    ) -> None:
        self.adapter, self.make, self.loads, self.reopen = adapter, make, loads, reopen
        self.vectors = Vectors(adapter)
        self.fingerprint: str | None = None
        self.by_name = isinstance(adapter, ByName)
        self.texts: tuple[str, ...] = inputs.TEXTS
        if isinstance(adapter, StoredVectors):  # vectors that exist for some texts alone
            self.texts = tuple(adapter.texts)[:8]

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the checks in the order in which they are best read."""
        yield "identity", self.identity
        yield "loading is lazy", self.lazy
        yield from TextChecks(self.vectors, self.texts, self.by_name).checks()
        if isinstance(self.adapter, StoredVectors):
            yield "says what it lacks", self.says_what_it_lacks
        if self.by_name or "image" not in self.adapter.modalities:
            yield "image: of every kind", self.sees
        else:
            yield from PictureChecks(self.vectors, self.make, self.reopen).checks()
            yield "towers load apart", self.towers_apart
        yield "text and image in one space", self.one_space
        yield "optional parts", self.optional_parts
        yield "identity stays as it was", self.identity_stays

    def identity(self) -> str:
        """The id is complete and consistent before anything is encoded."""
        model = self.adapter.id
        require(isinstance(model, ModelId), f"id must be a ModelId, not {type(model).__name__}")
        modalities = self.adapter.modalities
        require(
            is_modalities(modalities),
            f"modalities must be a frozenset of 'text' and perhaps 'image', not {modalities!r}",
        )
        require(bool(model.name and model.adapter), "id.name and id.adapter must not be empty")
        require(model.geometry in get_args(Geometry), f"geometry {model.geometry!r} is unknown")
        require(
            is_curvature_of(model.geometry, model.curvature),
            "curvature must be above 0 for a Lorentz geometry and None for the others; of a "
            "product it is a tuple of one for each factor",
        )
        identified = model.weights_sha256 or model.random_init is not None or model.n_params == 0
        require(bool(identified), "weights_sha256 must be known, or random_init")
        self.fingerprint = model.fingerprint()
        return f"{model.name}, fingerprint {self.fingerprint[:12]}"

    def lazy(self) -> str:
        """Constructing reads configuration only."""
        if self.make is None:
            raise NotApplicable("an adapter was given, not a function that makes one")
        held = [
            f"{name} has {value.nbytes:,} bytes"  # a tensor or an array
            for name, value in vars(self.adapter).items()
            if getattr(value, "nbytes", 0) > LARGE
        ]
        seen = "; ".join([*self.loads[:1], *held])
        require(not seen, f"the constructor must load no weights: {seen}")
        return "the constructor loads no weights"

    def identity_stays(self) -> str:
        """Encoding does not change who the model is."""
        now = self.adapter.id.fingerprint()
        require(now == self.fingerprint, "the fingerprint must be the same after encoding")
        return "the same after encoding"

    def says_what_it_lacks(self) -> str:
        """Vectors of some data alone: what is missing is said in one line, what is there is not."""
        require(isinstance(self.adapter, Partial), "it must have a method lacks(dataset): Partial")
        partial = cast("Partial", self.adapter)
        known, unknown = self.texts[:1], ("a text\0that has no vector",)
        require("text" not in partial.lacks(_texts(known)), f"{known[0]!r} is there")
        said = partial.lacks(_texts(unknown)).get("text", "")
        require(bool(said) and "\n" not in said, f"what it lacks must be said in a line: {said!r}")
        return said

    def one_space(self) -> str:
        """Texts and pictures have vectors of one length, the one that the id states."""
        d = self.vectors.texts(self.texts[:1]).shape[1]
        stated = self.adapter.id.embed_dim
        require(stated in (None, d), f"id.embed_dim is {stated}, the vectors have {d}")
        if "image" in self.adapter.modalities:
            if isinstance(self.adapter, StoredVectors):
                pictures = self.adapter.encode_image_names(list(self.adapter.images)[:1])
            else:
                pictures = self.vectors.pictures_raw([inputs.picture()])
            require(
                pictures.shape[1] == d,
                f"text has {d} dimensions, image {pictures.shape[1]}: no joint space",
            )
        return f"{d} dimensions"

    def optional_parts(self) -> str:
        """What an adapter offers beyond the contract does what its Protocol says."""
        adapter, found = self.adapter, []
        if isinstance(adapter, InFolders):
            prefix = adapter.folder_prefix
            require(isinstance(prefix, str), f"folder_prefix must be a text, not {prefix!r}")
            found.append(f"folder prefix {prefix!r}")
        if self.by_name:
            require(
                isinstance(adapter, StoredVectors),
                "an adapter with encode_image_names must list its texts and images",
            )
            found.append("images by name")
        if isinstance(adapter, HasTextTower):
            network, prefixes = adapter.text_tower()
            names = [name for name, _ in network.named_parameters()]
            require(isinstance(prefixes, tuple), f"the prefixes must be a tuple, not {prefixes!r}")
            inside = sum(name.startswith(prefixes) for name in names)
            part = 0 < inside < len(names) or "image" not in self.adapter.modalities
            require(part, f"the text tower must be a part of the network: {inside}/{len(names)}")
            found.append(f"a text tower of {inside} parameters")
        return ", ".join(found) or "none"

    def towers_apart(self) -> str:
        """A vector does not depend on which tower was used first, in memory or not."""
        if self.make is None:
            raise NotApplicable("an adapter was given, not a function that makes one")
        return apart(self.make, self.texts, self.fingerprint)

    def sees(self) -> str:
        """Say why no picture is encoded."""
        seen = "image" in self.adapter.modalities
        raise NotApplicable("pictures are known by name" if seen else "no image encoder")
