"""COCO and Flickr30K with the splits of Karpathy & Fei-Fei, CVPR 2015, arXiv 1412.2306.

From the user's folder: the usual dataset_coco.json or dataset_flickr30k.json (an object whose
`images` have filename, split, sentences and, in COCO, filepath) and the images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from hiereval.datasets.image_files import FileImage, content_sha256
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, nearest, shorten
from hiereval.types import DataOptions, Dataset, ImageSource

CAPTIONS = 5  # of an image; COCO's sixth and seventh are left out, as is usual
SPLITS = ("test", "val")


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionedImages(Dataset):
    """Images with the same number of captions each; row i belongs to image i."""

    captions: np.ndarray  # [i, m] index into texts

    def head(self, n: int) -> Self:
        """Return the first n images with their captions."""
        if n >= len(self.images):
            return self
        part = assemble(
            [[self.texts[t] for t in row] for row in self.captions[:n]],
            self.images[:n],
            name=self.name,
            split=self.split,
        )
        fields = ("sha256", "images_sha256", "texts", "images", "captions")
        return replace(self, **{field: getattr(part, field) for field in fields})


def coco(options: DataOptions) -> CaptionedImages:
    """COCO captions, Karpathy test (5,000 images) or val, from coco/dataset_coco.json."""
    return _load(options, "coco-karpathy", options.root / "coco", "dataset_coco.json")


def flickr30k(options: DataOptions) -> CaptionedImages:
    """Flickr30K, Karpathy test (1,000 images) or val, from flickr30k/dataset_flickr30k.json."""
    return _load(
        options, "flickr30k-karpathy", options.root / "flickr30k", "dataset_flickr30k.json"
    )


def _load(options: DataOptions, name: str, folder: Path, file: str) -> CaptionedImages:
    split = options.split or "test"
    if split not in SPLITS:
        raise HierevalError(
            f"The split {split!r} of {name} must be one of {', '.join(SPLITS)}."
            f"{nearest(split, SPLITS)}"
        )
    if not (folder / file).is_file():
        raise HierevalError(
            f"The Karpathy splits must stand at '{folder / file}': take {file} from "
            "caption_datasets.zip at https://cs.stanford.edu/people/karpathy/deepimagesent; "
            "--data-dir names another data root."
        )
    return read(folder / file, name, split, options.places.cache)


def read(path: Path, name: str, split: str, memory: Path | None = None) -> CaptionedImages:
    """Read one split; images, opened later, stand beside the file in their filepath or images/.

    Raises one HierevalError that counts the bad images and names the first ten.
    """
    try:
        images = json.loads(read_text(path))["images"]
        chosen = [(i, image) for i, image in enumerate(images) if image["split"] == split]
    except (ValueError, TypeError, KeyError) as error:
        raise HierevalError(
            f"{path}: the file must be a JSON object with a list 'images', each with a 'split'."
        ) from error
    problems = [f"{path}: image {i}: {found}" for i, one in chosen if (found := _problem(one))]
    if problems or not chosen:
        there = ", ".join(sorted({str(image["split"]) for image in images})) or "none"
        raise HierevalError(
            shorten(problems) or f"{path}: the split {split!r} must hold images; splits: {there}."
        )
    return assemble(
        [[sentence["raw"] for sentence in one["sentences"][:CAPTIONS]] for _, one in chosen],
        [
            FileImage(
                one["filename"],
                path.parent / one.get("filepath", "images") / one["filename"],
                memory,
            )
            for _, one in chosen
        ],
        name=name,
        split=split,
        image_source=f"the user's files beside {path.name}",
    )


def assemble(
    captions: Sequence[Sequence[str]], images: Sequence[ImageSource], **named: Any
) -> CaptionedImages:
    """Return images with their captions; equal captions are one text, by first appearance."""
    texts: dict[str, int] = {}
    rows = [[texts.setdefault(caption, len(texts)) for caption in row] for row in captions]
    pictures = content_sha256(images)
    names = [image.name for image in images]
    content = json.dumps([list(map(list, captions)), names, pictures])
    return CaptionedImages(
        **{"revision": None, "image_source": "", **named},
        sha256=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
        images_sha256=pictures,
        texts=tuple(texts),
        images=tuple(images),
        captions=np.array(rows, np.int64),
    )


def _problem(image: dict[str, Any]) -> str | None:
    name, sentences = image.get("filename"), image.get("sentences")
    if not isinstance(name, str) or not name or Path(name).name != name:
        return f"the filename must be a file name, not {name!r}."
    folder = image.get("filepath", "images")
    if not isinstance(folder, str) or Path(folder).is_absolute() or ".." in Path(folder).parts:
        return f"the filepath must be a folder beside the file, not {folder!r}."
    if not isinstance(sentences, list) or not all(
        isinstance(one, dict) and isinstance(one.get("raw"), str) for one in sentences
    ):
        return "the sentences must be a list of objects with a text 'raw'."
    if len(sentences) < CAPTIONS:
        return f"there must be {CAPTIONS} captions, found {len(sentences)}."
    return None
