"""What every adapter must do, whatever model stands behind it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args
from unittest import mock

from hiereval import models
from hiereval.testing import inputs
from hiereval.testing.checks import Check, Failed, NotApplicable, require, run
from hiereval.testing.loading import apart
from hiereval.testing.preprocessing import altered, same
from hiereval.types import (
    TWO_CAPTIONS,
    Adapter,
    ByName,
    Dataset,
    Geometry,
    HasTextTower,
    InFolders,
    Modality,
    ModelId,
    Partial,
    StoredVectors,
    folder_prefix,
    is_curvature_of,
)

if TYPE_CHECKING:
    from torch import Tensor

EXACT = 1e-5  # between vectors of one text in different batches, computed in float32
ROUNDED = 5e-2  # computed in half precision
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
        with _loads() as loads:
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
        self.fingerprint: str | None = None
        self.by_name = isinstance(adapter, ByName)
        self.texts: tuple[str, ...] = inputs.TEXTS
        if isinstance(adapter, StoredVectors):  # vectors that exist for some texts alone
            self.texts = tuple(adapter.texts)[:8]

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the checks in the order in which they are best read."""
        yield "identity", self.identity
        yield "loading is lazy", self.lazy
        yield "text: shape, type, finite", self.text_vectors
        yield "text: token counts", self.lengths
        yield "text: captions differ", self.captions_differ
        yield "text: repeatable", self.text_repeats
        yield "text: any batch size", lambda: self.text_batches(1, 2)
        yield "text: any order", self.text_order
        yield "text: duplicates equal", self.text_duplicates
        yield "text: the root alone and among long texts", self.root
        if self.by_name:
            yield "text: of every kind", self.text_known
        else:
            for kind in inputs.KINDS_OF_TEXT:
                yield f"text: {kind}", lambda kind=kind: self.kind_of_text(kind)  # type: ignore[misc]
        if isinstance(self.adapter, StoredVectors):
            yield "says what it lacks", self.says_what_it_lacks
        if self.by_name or "image" not in self.adapter.modalities:
            yield "image: of every kind", self.sees
        else:
            yield from self.image_checks()
        yield "text and image in one space", self.one_space
        yield "optional parts", self.optional_parts
        yield "identity stays as it was", self.identity_stays

    def says_what_it_lacks(self) -> str:
        """Vectors of some data alone: what is missing is said in one line, what is there is not."""
        require(isinstance(self.adapter, Partial), "it must have a method lacks(dataset): Partial")
        partial = cast("Partial", self.adapter)
        known, unknown = self.texts[:1], ("a text\0that has no vector",)
        require("text" not in partial.lacks(_texts(known)), f"{known[0]!r} is there")
        said = partial.lacks(_texts(unknown)).get("text", "")
        require(bool(said) and "\n" not in said, f"what it lacks must be said in a line: {said!r}")
        return said

    def image_checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the checks of an image encoder."""
        yield "image: shape, type, finite", self.image_vectors
        yield "image: any batch size, order and duplicates", self.image_batches
        for kind in inputs.KINDS_OF_PICTURE:
            yield f"image: {kind}", lambda kind=kind: self.kind_of_picture(kind)  # type: ignore[misc]
        yield "image: a mode changes no colour", self.modes_agree
        yield "image: preprocessing is thread-safe", self.threads
        yield "fingerprint follows preprocessing", self.follows_preprocessing
        yield "towers load apart", self.towers_apart

    # --- identity ---------------------------------------------------------------------------------

    def identity(self) -> str:
        """The id is complete and consistent before anything is encoded."""
        model = self.adapter.id
        require(isinstance(model, ModelId), f"id must be a ModelId, not {type(model).__name__}")
        modalities = self.adapter.modalities
        require(
            isinstance(modalities, frozenset) and "text" in modalities <= set(get_args(Modality)),
            f"modalities must be a frozenset with 'text' and perhaps 'image', not {modalities!r}",
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

    # --- texts ------------------------------------------------------------------------------------

    def text_vectors(self) -> str:
        """Vectors are [n, d] float32, finite, and have a direction on a sphere."""
        vectors = self.adapter.encode_texts(list(self.texts))
        self._check_vectors(vectors, len(self.texts))
        return f"[{len(vectors)}, {vectors.shape[1]}] {str(vectors.dtype).removeprefix('torch.')}"

    def lengths(self) -> str:
        """Token counts are one whole number a text."""
        counts = self.adapter.text_lengths(list(self.texts))
        require(
            isinstance(counts, list) and len(counts) == len(self.texts),
            f"text_lengths must return a list of {len(self.texts)} numbers, not {counts!r}",
        )
        require(all(isinstance(n, int) for n in counts), f"token counts must be int: {counts}")
        if self.by_name:
            return "unknown (-1)"
        short, long = self.adapter.text_lengths(["bird", inputs.LONG])
        require(long > short, f"a longer text must count more tokens ({short}, {long})")
        context = self.adapter.id.context_length
        return f"{short} to {long}" + (f", {context} are read" if context else "")

    def captions_differ(self) -> str:
        """Two captions of as many words have two vectors: the vocabulary is the model's."""
        if self.by_name or self.adapter.id.n_params == 0:
            raise NotApplicable("no vocabulary")
        first, second = self._encode(TWO_CAPTIONS)
        require(
            bool((first != second).any()),
            f"{TWO_CAPTIONS[0]!r} and {TWO_CAPTIONS[1]!r} must have two vectors: the "
            "vocabulary is not the model's",
        )
        return "two captions, two vectors"

    def text_repeats(self) -> str:
        """The same call gives the same vectors: nothing is left in training mode."""
        first, again = (self._encode(self.texts) for _ in range(2))
        return self._close(first, again, "of the same texts, encoded twice,")

    def text_batches(self, *sizes: int) -> str:
        """A vector does not depend on its batch."""
        whole = self._encode(self.texts)
        for size in sizes:
            chunks = [self.texts[i : i + size] for i in range(0, len(self.texts), size)]
            parts = self._concatenate([self._encode(chunk) for chunk in chunks])
            seen = self._close(whole, parts, f"in batches of {size}")
        return seen

    def text_order(self) -> str:
        """A vector does not depend on its neighbours' order."""
        backwards = self._encode(self.texts[::-1])
        return self._close(self._encode(self.texts), backwards.flip(0), "in reversed order")

    def text_duplicates(self) -> str:
        """A text that stands twice in a batch has one vector."""
        vectors = self._encode([self.texts[0], *self.texts, self.texts[0]])
        return self._close(vectors[[0, 0]], vectors[[1, -1]], "of the same text in one batch")

    def root(self) -> str:
        """The root is the same alone as beside texts that fill the context."""
        root = self.adapter.id.root_text
        others = self.texts if self.by_name else (inputs.LONG, *inputs.TEXTS, inputs.LONG)
        alone, among = self._encode([root]), self._encode([others[0], root, *others[1:]])[1:2]
        return self._close(alone, among, f"of the root {root!r} alone and in a batch")

    def text_known(self) -> str:
        """Stored vectors cannot be asked for other texts."""
        raise NotApplicable("vectors exist for some texts alone")

    def kind_of_text(self, kind: str) -> str:
        """Any string has a finite vector."""
        vector = self.adapter.encode_texts([inputs.KINDS_OF_TEXT[kind]])
        empty_root = self.adapter.id.geometry != "sphere"
        self._check_vectors(vector, 1, direction=not empty_root)
        return "finite"

    # --- images -----------------------------------------------------------------------------------

    def image_vectors(self) -> str:
        """Vectors are [n, d] float32, finite, and have a direction on a sphere."""
        vectors = self._encode_pictures_raw([inputs.picture(i) for i in range(3)])
        self._check_vectors(vectors, 3)
        return f"[3, {vectors.shape[1]}] {str(vectors.dtype).removeprefix('torch.')}"

    def image_batches(self) -> str:
        """A picture's vector does not depend on its batch, and preprocessing keeps the picture."""
        pictures = [inputs.picture(i) for i in (0, 1, 2, 0)]
        before = [picture.tobytes() for picture in pictures]
        whole = self._encode_pictures(pictures)
        alone = self._concatenate([self._encode_pictures([picture]) for picture in pictures])
        self._close(whole, alone, "of pictures alone and in a batch")
        self._close(whole, self._encode_pictures(pictures[::-1]).flip(0), "in reversed order")
        seen = self._close(whole[:1], whole[3:], "of the same picture in one batch")
        kept = before == [picture.tobytes() for picture in pictures]
        require(kept, "preprocess must not change the picture that it is given")
        return seen

    def kind_of_picture(self, kind: str) -> str:
        """A picture of any mode and shape has a finite vector, beside an ordinary one."""
        pictures = [inputs.kinds_of_picture()[kind], inputs.picture()]
        self._check_vectors(self._encode_pictures_raw(pictures), 2)
        return "finite"

    def modes_agree(self) -> str:
        """Grey, palette and opaque pictures mean what they show in RGB."""
        base = inputs.picture()
        palette = base.convert("P")
        deep = inputs.kinds_of_picture()["16-bit"]
        pairs = {
            "L": (base.convert("L"), base.convert("L").convert("RGB")),
            "LA": (base.convert("LA"), base.convert("L").convert("RGB")),
            "P": (palette, palette.convert("RGB")),
            "RGBA": (base.convert("RGBA"), base),
            "16-bit": (deep, base.convert("L").convert("RGB")),
        }
        for mode, (given, shown) in pairs.items():
            a, b = self._encode_pictures([given]), self._encode_pictures([shown])
            self._close(a, b, f"of a picture in mode {mode} and in RGB")
        return ", ".join(pairs)

    def threads(self) -> str:
        """Eight threads that share an adapter get what one thread gets."""
        adapter = self.adapter if self.make is None else self.make()
        pictures = [inputs.picture(i, (40 + i, 60 - i)) for i in range(16)]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(adapter.preprocess, pictures))
        one_by_one = [self.adapter.preprocess(picture) for picture in pictures]
        equal = [same(a, b) for a, b in zip(together, one_by_one, strict=True)]
        require(all(equal), f"{equal.count(False)} of 16 pictures differ when 8 threads preprocess")
        return "8 threads, 16 pictures"

    def towers_apart(self) -> str:
        """A vector does not depend on which tower was used first, in memory or not."""
        if self.make is None:
            raise NotApplicable("an adapter was given, not a function that makes one")
        return apart(self.make, self.texts, self.fingerprint)

    # --- both -------------------------------------------------------------------------------------

    def one_space(self) -> str:
        """Texts and pictures have vectors of one length, the one that the id states."""
        d = self._encode(self.texts[:1]).shape[1]
        stated = self.adapter.id.embed_dim
        require(stated in (None, d), f"id.embed_dim is {stated}, the vectors have {d}")
        if "image" in self.adapter.modalities:
            if isinstance(self.adapter, StoredVectors):
                pictures = self.adapter.encode_image_names(list(self.adapter.images)[:1])
            else:
                pictures = self._encode_pictures_raw([inputs.picture()])
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

    def follows_preprocessing(self) -> str:
        """Other preprocessing is another model: its vectors must not be taken from the store."""
        model = self.adapter.id
        require(
            model.preprocess_fingerprint is not None,
            "id.preprocess_fingerprint must say what is done to pictures",
        )
        checkpoint = models.located(model.checkpoint)
        folder = Path(checkpoint.removeprefix(folder_prefix(self.adapter)))
        if self.reopen is None or not folder.is_dir():
            return "stated in the id"
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / folder.name
            changed = altered(folder, copy)
            if not changed:
                return "stated in the id"
            other = self.reopen(checkpoint.replace(str(folder), str(copy)))
            picture = inputs.picture()
            if same(other.preprocess(picture), self.adapter.preprocess(picture)):
                return f"{', '.join(changed)} of the folder is not used"
            require(
                other.id.fingerprint() != model.fingerprint(),
                f"{', '.join(changed)} was changed, pixels changed, the fingerprint did not",
            )
        return f"another {', '.join(changed)}, another fingerprint"

    # --- how --------------------------------------------------------------------------------------

    def sees(self) -> str:
        """Say why no picture is encoded."""
        seen = "image" in self.adapter.modalities
        raise NotApplicable("pictures are known by name" if seen else "no image encoder")

    def _encode(self, texts: Sequence[str]) -> Tensor:
        return self._unit(self.adapter.encode_texts(list(texts)))

    def _encode_pictures(self, pictures: Sequence[Any]) -> Tensor:
        return self._unit(self._encode_pictures_raw(pictures))

    def _encode_pictures_raw(self, pictures: Sequence[Any]) -> Tensor:
        return self.adapter.encode_images([self.adapter.preprocess(p) for p in pictures])

    def _unit(self, vectors: Tensor) -> Tensor:
        """Return vectors as they are compared: of length 1 on a sphere."""
        vectors = vectors.detach().float().cpu()
        if self.adapter.id.geometry == "sphere":
            vectors = vectors / vectors.norm(dim=-1, keepdim=True)
        return vectors

    def _concatenate(self, parts: Sequence[Tensor]) -> Tensor:
        import torch

        return torch.cat(list(parts))

    def _close(self, a: Tensor, b: Tensor, what: str) -> str:
        limit = EXACT if self.adapter.id.dtype in ("float32", "float64") else ROUNDED
        if a.shape != b.shape:
            raise Failed(f"vectors {what} have shapes {list(a.shape)} and {list(b.shape)}")
        scale = max(1.0, float(a.abs().max()))
        difference = float((a - b).abs().max()) / scale
        require(difference <= limit, f"vectors {what} differ by {difference:.1e}, over {limit:g}")
        return f"within {difference:.1e}"

    def _check_vectors(self, vectors: Any, n: int, *, direction: bool = True) -> None:
        import torch

        require(
            isinstance(vectors, torch.Tensor), f"must be a tensor, not {type(vectors).__name__}"
        )
        shape = list(vectors.shape)
        require(vectors.ndim == 2 and shape[0] == n, f"shape must be [{n}, d], not {shape}")
        require(vectors.dtype == torch.float32, f"type must be float32, not {vectors.dtype}")
        bad = int((~vectors.isfinite().all(dim=1)).sum())
        require(bad == 0, f"{bad} of {n} vectors are not finite")
        if direction and self.adapter.id.geometry == "sphere":
            zeros = int((vectors.norm(dim=1) == 0).sum())
            require(zeros == 0, f"{zeros} of {n} vectors are zero and have no direction")


@contextmanager
def _loads() -> Iterator[list[str]]:
    """Yield a list that says how weights were made while the context was open."""
    import torch

    seen: list[str] = []
    register = torch.nn.Module.register_parameter

    def watched(module: torch.nn.Module, name: str, parameter: Any) -> None:
        if parameter is not None and parameter.numel() * parameter.element_size() > 0:
            seen.append(f"made the parameter {name!r} of a {type(module).__name__}")
        register(module, name, parameter)

    with mock.patch.object(torch.nn.Module, "register_parameter", watched):
        yield seen
