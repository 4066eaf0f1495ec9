"""What is to be embedded elsewhere: the way of a closed model, or of one behind a service.

The texts, the root first, and the images of datasets, written as a folder in which only the
vectors are missing: with them it is a folder of the adapter `precomputed`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hiereval import files
from hiereval.datasets.image_files import FileImage
from hiereval.errors import HierevalError
from hiereval.types import Dataset, ImageSource

INDEX, TEXTS, IMAGES = "index.json", "texts.jsonl", "images.jsonl"


@dataclass(frozen=True)
class Wanted:
    """Unique texts and images, in the order in which their vectors are to stand."""

    texts: tuple[str, ...]
    images: tuple[ImageSource, ...]


def collect(datasets: Iterable[Dataset], root_text: str = "") -> Wanted:
    """Return what these datasets need: the root's text, then all texts, and all images.

    Images are known by name. Raises HierevalError where two datasets mean two pictures by one.
    """
    texts: dict[str, None] = {root_text: None}
    images: dict[str, ImageSource] = {}
    for dataset in datasets:
        texts |= dict.fromkeys(dataset.texts)
        for image in dataset.images:
            first = images.setdefault(image.name, image)
            if first is not image and first != image and first.read() != image.read():
                raise HierevalError(
                    f"The images named {image.name!r} must be one picture in all datasets: "
                    "vectors are found by name. Make a folder for each dataset."
                )
    return Wanted(tuple(texts), tuple(images.values()))


def write(wanted: Wanted, folder: Path) -> None:
    """Write the folder, whole or not at all; raises HierevalError for one that cannot be.

    `texts.jsonl` holds a text a line, `images.jsonl` a name and a file a line (of images that are
    in no file a copy below `images/`), `index.json` what `precomputed` reads beside the vectors.
    """

    def fill(part: Path) -> None:
        (part / TEXTS).write_text(_lines(wanted.texts), "utf-8")
        if wanted.images:
            (part / IMAGES).write_text(_lines(_place(i, part) for i in wanted.images), "utf-8")
        names = [image.name for image in wanted.images]
        root = wanted.texts[0]
        index = {
            "texts": wanted.texts,
            **({"images": names} if names else {}),
            **({"root_text": root} if root else {}),
        }
        (part / INDEX).write_text(_lines([index]), "utf-8")

    try:
        files.write_folder(folder, fill)
    except OSError as error:
        raise HierevalError(
            f"The output {str(folder)!r} must be writable: {error.strerror}."
        ) from error


def _place(image: ImageSource, part: Path) -> dict[str, str]:
    """Return where an image's file is, made from its bytes where it has none."""
    if isinstance(image, FileImage):
        return {"name": image.name, "file": str(image.path.resolve())}
    place = PurePosixPath("images") / files.safe_name(image.name)
    (part / "images").mkdir(exist_ok=True)
    (part / place).write_bytes(image.read())
    return {"name": image.name, "file": str(place)}


def _lines(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
