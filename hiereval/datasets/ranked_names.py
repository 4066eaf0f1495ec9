"""Tables of names by rank (rank1 … rankN), with or without an image a row: species and the like."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from hiereval.datasets.image_files import by_name, content_sha256
from hiereval.datasets.tars import image_at
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, shorten
from hiereval.types import DataOptions, Dataset, ImageSource


@dataclass(frozen=True, kw_only=True, eq=False)
class RankedNames(Dataset):
    """Rows of k names, general to specific; each may have an image."""

    ranks: np.ndarray  # [r, k] index into texts
    row_image: np.ndarray | None  # [r] index into images

    def head(self, n: int) -> Self:
        """Return the first n rows, with all names as candidates."""
        if n >= len(self.ranks):
            return self
        sha256 = hashlib.sha256(f"{self.sha256} first {n}".encode()).hexdigest()
        if self.row_image is None:
            return replace(self, sha256=sha256, ranks=self.ranks[:n])
        used, row_image = np.unique(self.row_image[:n], return_inverse=True)
        images = tuple(self.images[i] for i in used)
        rows = row_image.reshape(-1)
        return replace(
            self,
            sha256=sha256,
            images_sha256=content_sha256(images),
            ranks=self.ranks[:n],
            images=images,
            row_image=rows,
        )


def taxonomy(options: DataOptions) -> RankedNames:
    """A table of names by rank, taxonomy/taxonomy.csv in the data root (rank1, rank2, …, image)."""
    name = "taxonomy" if options.split in (None, "all") else options.split
    path = options.root / "taxonomy" / f"{name}.csv"
    if not path.is_file():
        raise HierevalError(
            f"The table of ranks must stand at '{path}' with columns rank1, rank2, ... (general "
            "to specific) and, where there are pictures, image; species come from "
            "https://github.com/visipedia/inat_comp or your own list."
        )
    return read(path, options.places.cache)


def read(path: Path, memory: Path | None = None) -> RankedNames:
    """Read a CSV table with columns rank1 … rankN and, optionally, image (a path beside it).

    Other columns are ignored. `memory` is the folder in which hashes of pictures are remembered.
    Raises one HierevalError that counts the bad rows and names the first ten.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise HierevalError(f"{path}:{reader.reader.line_num}: {error}.") from error
    columns = sorted((h for h in header if re.fullmatch(r"rank\d+", h)), key=lambda h: int(h[4:]))
    expected = [f"rank{i}" for i in range(1, len(columns) + 1)]
    if columns != expected or len(columns) < 2:
        raise HierevalError(
            f"{path}:1: the columns must be rank1, rank2, ... without a gap, found "
            f"{', '.join(header) or 'none'}."
        )
    with_images = "image" in header
    files = [(row["image"] or "").strip() for _, row in rows] if with_images else []
    found = {file: image_at(file, path.parent / file, memory) if file else None for file in files}
    problems = [p for line, row in rows for p in _problems(path, line, row, columns, found)]
    if problems or not rows:
        raise HierevalError(shorten(problems) or f"{path}: the table must hold at least one row.")
    names = [[row[column].strip() for column in columns] for _, row in rows]
    return assemble(
        names,
        [image for file in files if (image := found[file])] or None,
        name="taxonomy",
        split="all" if path.stem == "taxonomy" else path.stem,
        image_source=f"files beside {path.name}" if with_images else "",
    )


def assemble(
    names: Sequence[Sequence[str]], images: Sequence[ImageSource] | None, **named: Any
) -> RankedNames:
    """Return rows of names, general to specific, with an image a row or none.

    Texts and images are unique, in order of first appearance. `named` are the other fields.
    """
    texts: dict[str, int] = {}
    pictures: dict[str, int] = {}
    ranks = [[texts.setdefault(name, len(texts)) for name in row] for row in names]
    files = [image.name for image in images or ()]
    rows = [pictures.setdefault(file, len(pictures)) for file in files]
    unique = by_name(images or ())
    content = content_sha256(unique)
    table = json.dumps([list(map(list, names)), files, content])
    return RankedNames(
        **{"revision": None, "image_source": "", **named},
        sha256=hashlib.sha256(table.encode("utf-8", "surrogatepass")).hexdigest(),
        images_sha256=content,
        texts=tuple(texts),
        images=unique,
        ranks=np.array(ranks, dtype=np.int64),
        row_image=np.array(rows, np.int64) if images else None,
    )


def _problems(
    path: Path,
    line: int,
    row: Mapping[str, str | None],
    columns: Sequence[str],
    images: Mapping[str, ImageSource | None],
) -> list[str]:
    found = [
        f"{path}:{line}: the {column} must not be empty."
        for column in columns
        if not (row[column] or "").strip()
    ]
    file = (row.get("image") or "").strip()
    if images and images[file] is None:
        found.append(f"{path}:{line}: the image {file!r} must be a file beside the table.")
    return found
