"""Chains of captions: from checked rows to index arrays, and subsets of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hiereval.datasets.chain_rows import Problems, Row, check, read_rows
from hiereval.datasets.image_files import FileImage, TarImage, by_name, content_sha256
from hiereval.datasets.tars import image_at
from hiereval.errors import HierevalError
from hiereval.types import Chains, ImageSource

if TYPE_CHECKING:
    import numpy as np

C = TypeVar("C", bound=Chains)
FOLDERS = ("", "images", "test_imgs")  # where a user's pictures are looked for, beside the file


def read(path: Path, memory: Path | None = None) -> Chains:
    """Return the chains of a user's CSV or JSONL file; its pictures stand beside it.

    `memory` is the folder in which hashes of pictures are remembered.
    Raises one HierevalError that counts every problem of the file and names the first ten.
    """
    problems = Problems(path)
    rows = read_rows(path, problems)
    check(rows, problems)
    images = {
        row.image: _beside(path, row, problems, memory) for row in rows if row.image is not None
    }
    problems.done()
    return assemble(
        [row.captions for row in rows],
        [row.negatives for row in rows if row.negatives is not None] or None,
        [images[row.image] for row in rows if row.image is not None] or None,
        name=path.name,
        split="all",
        image_source=f"files beside {path.name}" if images else "",
    )


def _beside(path: Path, row: Row, problems: Problems, memory: Path | None) -> FileImage | TarImage:
    assert row.image is not None
    for folder in FOLDERS:
        found = image_at(row.image, path.parent / folder / row.image, memory)
        if found is not None:
            return found
    problems.add(row.place, f"the image {row.image!r} is not in {str(path.parent)!r}")
    return FileImage(row.image, path.parent / row.image)


def assemble(
    captions: Sequence[Sequence[str]],
    negatives: Sequence[Sequence[str]] | None = None,
    images: Sequence[ImageSource] | None = None,
    pool: Iterable[str] | None = None,
    **named: Any,
) -> Chains:
    """Return Chains of k captions each; `pool` is by default all captions, row by row.

    Texts are unique and in order of first appearance: all chains, then all negatives, then the
    rest of the pool. Images (one per chain) are unique by name, in order of first appearance.
    `named` are the other fields of Chains.
    """
    import numpy as np

    texts: dict[str, int] = {}
    pictures: dict[str, int] = {}

    def index(rows: Iterable[Iterable[str]]) -> np.ndarray:
        return np.array([[texts.setdefault(t, len(texts)) for t in row] for row in rows], np.int64)

    chains = index(captions)
    negative = None if negatives is None else index(negatives)
    names = [image.name for image in images or ()]
    chain_image = np.array([pictures.setdefault(n, len(pictures)) for n in names], np.int64)
    unique = by_name(images or ())
    content = content_sha256(unique)
    others = None if pool is None else tuple(pool)
    return Chains(
        **{"revision": None, "image_source": "", **named},
        sha256=_sha256(captions, negatives, names, others, *([content] if content else ())),
        images_sha256=content,
        pool=chains.reshape(-1) if others is None else index([others])[0],
        texts=tuple(texts),
        images=unique,
        chains=chains,
        negatives=negative,
        chain_image=chain_image if images else None,
    )


def _sha256(*parts: object) -> str:
    """Hash captions, negatives, image names, a pool beyond the captions (None: no other), and the
    images' hash where there are images."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def subset(dataset: C, rows: Sequence[int] | np.ndarray) -> C:
    """Return the dataset of these chains alone, in this order, their captions as the pool."""

    def texts(index: np.ndarray) -> list[list[str]]:
        return [[dataset.texts[i] for i in chain] for chain in index.tolist()]

    import numpy as np

    chosen = np.asarray(rows, np.int64)
    images = None
    if dataset.chain_image is not None:
        images = [dataset.images[i] for i in dataset.chain_image[chosen].tolist()]
    part = assemble(
        texts(dataset.chains[chosen]),
        None if dataset.negatives is None else texts(dataset.negatives[chosen]),
        images,
        name=dataset.name,
        split=dataset.split,
    )
    fields = (
        "sha256",
        "images_sha256",
        "texts",
        "images",
        "chains",
        "negatives",
        "chain_image",
        "pool",
    )
    return replace(dataset, **{field: getattr(part, field) for field in fields})


def head(dataset: C, n: int) -> C:
    """Return the first n chains with their captions as the pool; all of them unchanged."""
    if n < 1:
        raise HierevalError(f"The limit {n} must be at least 1.")
    return dataset if n >= len(dataset.chains) else subset(dataset, range(n))
