"""Rare Species: seven ranks of 400 threatened species, 11,983 photographs.

Stevens et al., BioCLIP, CVPR 2024, arXiv 2311.18803; the table of github.com/Imageomics/bioclip-2
at 49e1cf50, data/annotation/rare_species/metadata.csv; images are the user's
(huggingface.co/datasets/imageomics/rare-species).
"""

from __future__ import annotations

import csv
import io
from itertools import accumulate
from pathlib import Path

from hiereval.datasets.image_files import FileImage
from hiereval.datasets.ranked_names import RankedNames, assemble
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, nearest, shorten
from hiereval.types import DataOptions

RANKS = ("kingdom", "phylum", "cls", "order", "family", "genus", "species")
COLUMNS = (*RANKS, "filepath")
SPLITS = ("names", "paths")


def rare_species(options: DataOptions) -> RankedNames:
    """Rare Species, from rare-species/metadata.csv; splits: names, paths (each rank's whole path).

    The seventh name is genus and epithet. Images, opened later, stand in rare-species/images.
    """
    split = options.split or "names"
    if split not in SPLITS:
        raise HierevalError(
            f"The split {split!r} of rare-species must be one of {', '.join(SPLITS)}."
            f"{nearest(split, SPLITS)}"
        )
    folder = options.root / "rare-species"
    if not (folder / "metadata.csv").is_file():
        raise HierevalError(
            f"Rare Species must have its '{folder / 'metadata.csv'}': take it from "
            "data/annotation/rare_species at https://github.com/Imageomics/bioclip-2; "
            "--data-dir names another data root."
        )
    rows = read(folder / "metadata.csv")
    return assemble(
        [_paths(names) if split == "paths" else names for names, _ in rows],
        [FileImage(file, folder / "images" / file, options.places.cache) for _, file in rows],
        name="rare-species",
        split=split,
        image_source="the user's files in rare-species/images",
    )


def read(path: Path) -> list[tuple[list[str], str]]:
    """Return the seven names and the image file of each row.

    Raises one HierevalError that counts the bad rows and names the first ten.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if lacking:
            raise HierevalError(
                f"{path}:1: the columns must include {', '.join(COLUMNS)}; there is no "
                f"{lacking[0]!r}.{nearest(lacking[0], reader.fieldnames or ())}"
            )
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise HierevalError(f"{path}:{reader.line_num}: {error}.") from error
    problems = [
        f"{path}:{line}: the {column} must not be empty."
        for line, row in lines
        for column in COLUMNS
        if not (row[column] or "").strip()
    ]
    if problems or not lines:
        raise HierevalError(shorten(problems) or f"{path}: the table must hold at least one row.")
    return [_row({column: row[column].strip() for column in COLUMNS}) for _, row in lines]


def _row(row: dict[str, str]) -> tuple[list[str], str]:
    names = [row[rank] for rank in RANKS]
    return [*names[:-1], f"{row['genus']} {row['species']}"], row["filepath"]


def _paths(names: list[str]) -> list[str]:
    """Return each rank's name after those of the ranks above it; the species' epithet alone."""
    steps = [*names[:-1], names[-1].partition(" ")[2]]
    return list(accumulate(steps, lambda path, name: f"{path} {name}"))
