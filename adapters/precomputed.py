"""Vectors made elsewhere: how closed models get on the board and how exactness is proved.

A folder with `embeddings.safetensors` (`text` [t, d] and, for a model that sees, `image` [i, d])
and `index.json`: {"texts": [t captions, "" among them], "images": [i file names]}, optionally with
"name", "geometry" (one of those in `types.Geometry`), "curvature" (of a product a list of one for
each factor) and "root_text". Millions of vectors stand in shards, which "shards" lists instead of
texts and images (`vector_shards`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hiereval import fingerprint
from hiereval.errors import HierevalError, nearest
from hiereval.types import Geometry, LoadOptions, Modality, ModelId, is_curvature_of
from hiereval.vector_shards import Named, open_folder

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from hiereval.types import Dataset

VECTORS, INDEX = "embeddings.safetensors", "index.json"
FLOATS = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
FIELDS = ("texts", "images", "shards", "name", "geometry", "curvature", "root_text")


class Precomputed:
    """A folder of stored vectors, looked up by caption and by image file name."""

    modalities: frozenset[Modality]

    def __init__(self, checkpoint: str, options: LoadOptions) -> None:
        self.folder = Path(checkpoint).expanduser()
        _check_options(options, self.folder)
        index = _read_index(self.folder)
        memory = options.places.cache
        self.texts: dict[str, int] | Named
        self.images: dict[str, int] | Named
        if "shards" in index:
            self.texts, self.images = open_folder(self.folder, index, memory)
            dimension, dtype = self.texts.dimension, self.texts.dtype
            hashed = [self.folder / INDEX]  # which holds every shard's hash
        else:
            self.texts = _rows(self.folder, index, "texts")
            self.images = _rows(self.folder, index, "images")
            shapes, dtype = _read_header(self.folder)
            counts = {"text": len(self.texts), "image": len(self.images)}
            _check_shapes(self.folder, shapes, counts)
            dimension = shapes["text"][1]
            hashed = [self.folder / VECTORS, self.folder / INDEX]
        root_text = options.root_text
        if root_text is None:
            root_text = index.get("root_text", "")
        if root_text not in self.texts:
            raise HierevalError(
                f"The index {str(self.folder / INDEX)!r} must have the root text {root_text!r} "
                "among its texts: radii are distances from its vector. 'hiereval inputs "
                "--root-text TEXT' writes another root first."
            )
        self.modalities = frozenset({"text", "image"} if self.images else {"text"})
        self.id = ModelId(
            adapter="precomputed",
            name=str(index.get("name") or self.folder.resolve().name),
            checkpoint=checkpoint,
            weights_sha256=fingerprint.weights_sha256(hashed, memory),
            dtype=dtype,
            root_text=root_text,
            embed_dim=dimension,
            **_geometry(self.folder, index, dimension),
        )

    @cached_property
    def vectors(self) -> dict[str, Tensor]:
        """Return the stored vectors as float32; refuse a folder that holds NaN or infinity."""
        from safetensors.torch import load_file

        tensors = {key: t.float() for key, t in load_file(self.folder / VECTORS).items()}
        for key, names in (("text", list(self.texts)), ("image", list(self.images))):
            if key not in tensors:
                continue
            bad = (~tensors[key].isfinite().all(dim=1)).nonzero()[:, 0].tolist()
            if bad:
                raise HierevalError(
                    f"The {key} vectors in {str(self.folder / VECTORS)!r} must be finite; "
                    f"{len(bad):,} of {len(names):,} are not: {_some([names[i] for i in bad])}."
                )
        return tensors

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return -1 for each: no tokenizer is known. Raises HierevalError for absent texts."""
        self._find("texts", self.texts, texts)
        return [-1] * len(texts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the stored [n, d] vectors of these captions, compared character by character."""
        rows = self._find("texts", self.texts, texts)
        return self._stored("text", self.texts, rows)

    def encode_image_names(self, names: Sequence[str]) -> Tensor:
        """Return the stored [n, d] vectors of these file names; no image is opened."""
        rows = self._find("images", self.images, names)
        return self._stored("image", self.images, rows)

    def preprocess(self, image: Image) -> Any:
        """Refuse: stored vectors are found by file name, never by content."""
        raise HierevalError("The adapter 'precomputed' must be asked for images by name.")

    def encode_images(self, inputs: Sequence[Any]) -> Tensor:
        """Refuse: stored vectors are found by file name, never by content."""
        raise HierevalError("The adapter 'precomputed' must be asked for images by name.")

    def lacks(self, dataset: Dataset) -> dict[Modality, str]:
        """Return which texts and images of a dataset have no vector here, and how to get one."""
        needed: dict[Modality, tuple[dict[str, int] | Named, Sequence[str]]] = {
            "text": (self.texts, dataset.texts),
            "image": (self.images, [image.name for image in dataset.images]),
        }
        found: dict[Modality, str] = {}
        for modality, (rows, wanted) in needed.items():
            lacking = [n for n, row in zip(wanted, _find(rows, wanted), strict=True) if row < 0]
            if lacking:
                found[modality] = (
                    f"the folder {str(self.folder)!r} lacks {len(lacking):,} of the "
                    f"{len(wanted):,} {modality}s of {dataset.name} ({dataset.split}): "
                    f"{_some(lacking)}; "
                    "'hiereval inputs DATASET --out DIR' writes what to embed"
                )
        return found

    def _stored(self, key: str, held: dict[str, int] | Named, rows: list[int]) -> Tensor:
        if not isinstance(held, Named):
            return self.vectors[key][rows]
        import torch

        return torch.from_numpy(held.vectors(rows))

    def _find(self, what: str, held: dict[str, int] | Named, wanted: Sequence[str]) -> list[int]:
        rows = _find(held, wanted)
        lacking = list(dict.fromkeys(n for n, row in zip(wanted, rows, strict=True) if row < 0))
        if lacking:
            raise HierevalError(
                f"The folder {str(self.folder)!r} must hold every one of the "
                f"{len(set(wanted)):,} {what} needed; it lacks {len(lacking):,}: {_some(lacking)}."
            )
        return rows


def _find(held: dict[str, int] | Named, wanted: Sequence[str]) -> list[int]:
    """Return the row of each name, -1 where there is none."""
    if isinstance(held, Named):
        return held.rows(wanted)
    return [held.get(name, -1) for name in wanted]


def _check_options(options: LoadOptions, folder: Path) -> None:
    if options.random_init is not None:
        raise HierevalError(
            "The random initialisation must be left out for 'precomputed': it has no network."
        )
    if options.revision is not None:
        raise HierevalError(
            f"The revision {options.revision!r} must be left out: {str(folder)!r} is a folder."
        )
    sharded = (folder / INDEX).is_file() and "shards" in fingerprint.read_json(folder / INDEX)
    for name in (INDEX,) if sharded else (VECTORS, INDEX):
        if not (folder / name).is_file():
            raise HierevalError(
                f"The checkpoint {str(folder)!r} must be a folder with {VECTORS} and {INDEX}; "
                f"{name} is not there."
            )


def _read_index(folder: Path) -> dict[str, Any]:
    index = fingerprint.read_json(folder / INDEX)
    for key in index:
        if key not in FIELDS:
            raise HierevalError(
                f"The field {key!r} of {str(folder / INDEX)!r} must be one of "
                f"{', '.join(FIELDS)}.{nearest(key, FIELDS)}"
            )
    return index


def _rows(folder: Path, index: dict[str, Any], key: str) -> dict[str, int]:
    """Return the row of each text or image name; a repeated one would be ambiguous."""
    names = index.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise HierevalError(f"The {key} of {str(folder / INDEX)!r} must be a list of strings.")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise HierevalError(
            f"The {key} of {str(folder / INDEX)!r} must be unique; {len(repeated):,} stand there "
            f"more than once: {_some(repeated)}."
        )
    return {name: row for row, name in enumerate(names)}


def _read_header(folder: Path) -> tuple[dict[str, list[int]], str]:
    """Return the shapes and the dtype of the stored tensors, from the file's header alone."""
    from safetensors import SafetensorError, safe_open

    file = folder / VECTORS
    try:
        with safe_open(file, "pt") as tensors:
            slices = {key: tensors.get_slice(key) for key in tensors.keys()}  # noqa: SIM118
            shapes = {key: list(part.get_shape()) for key, part in slices.items()}
            dtypes = {part.get_dtype() for part in slices.values()}
    except (SafetensorError, OSError) as error:
        raise HierevalError(f"The file {str(file)!r} must be safetensors: {error}.") from error
    if not {"text"} <= shapes.keys() <= {"text", "image"}:
        raise HierevalError(
            f"The tensors of {str(file)!r} must be 'text' and, where the model sees, 'image'; "
            f"there are {', '.join(sorted(shapes)) or 'none'}."
        )
    if len(dtypes) != 1 or not dtypes <= FLOATS.keys():
        raise HierevalError(
            f"The tensors of {str(file)!r} must share one floating-point type; "
            f"they have {', '.join(sorted(dtypes))}."
        )
    return shapes, FLOATS[dtypes.pop()]


def _check_shapes(folder: Path, shapes: dict[str, list[int]], rows: dict[str, int]) -> None:
    for key, count in rows.items():
        shape = shapes.get(key, [0, shapes["text"][-1]])
        if len(shape) != 2 or shape[0] != count or shape[1:] != shapes["text"][1:]:
            raise HierevalError(
                f"The tensor {key!r} of {str(folder / VECTORS)!r} must be [{count}, d], a row for "
                f"each of the {key}s in {INDEX} and one d for both; its shape is {shape}."
            )
    if 0 in shapes["text"]:
        raise HierevalError(f"The tensor 'text' of {str(folder / VECTORS)!r} must not be empty.")


def _geometry(folder: Path, index: dict[str, Any], dimensions: int) -> dict[str, Any]:
    geometry, curvature = index.get("geometry", "sphere"), index.get("curvature")
    if geometry not in get_args(Geometry):
        raise HierevalError(
            f"The geometry {geometry!r} of {str(folder / INDEX)!r} must be one of "
            f"{', '.join(get_args(Geometry))}.{nearest(str(geometry), get_args(Geometry))}"
        )
    curvature = tuple(curvature) if isinstance(curvature, list) else curvature
    if not is_curvature_of(geometry, curvature):
        raise HierevalError(
            f"The curvature {index.get('curvature')!r} of "
            f"{str(folder / INDEX)!r} must be a positive number for the geometry lorentz, a list "
            "of them for lorentz-product and absent for the others."
        )
    if isinstance(curvature, tuple):
        if dimensions % len(curvature):
            raise HierevalError(
                f"The vectors of {str(folder / VECTORS)!r} must have as many dimensions for each "
                f"of the {len(curvature)} curvatures in {INDEX}; they have {dimensions}."
            )
        return {"geometry": geometry, "curvature": tuple(float(c) for c in curvature)}
    if geometry == "gaussian" and dimensions % 2:
        raise HierevalError(
            f"The vectors of {str(folder / VECTORS)!r} must be means and as many logarithms of "
            f"variances for the geometry gaussian; they have {dimensions} dimensions."
        )
    return {"geometry": geometry, "curvature": None if curvature is None else float(curvature)}


def _some(names: Sequence[str], shown: int = 5) -> str:
    """Name the first few, shortened, and count the rest."""
    listed = ", ".join(
        json.dumps(name if len(name) <= 60 else f"{name[:57]}...", ensure_ascii=False)
        for name in names[:shown]
    )
    return f"{listed} and {len(names) - shown:,} more" if len(names) > shown else listed
