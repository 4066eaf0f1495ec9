"""HiMo-Docci: long captions of DOCCI's test images, told in 2 to 17 steps of growing detail.

Published with HiMo-CLIP (github.com/UnicomAI/HiMo-CLIP at f235e973, Apache-2.0), one JSON object a
line: img_path, caption (a list, each with more detail than the one before) and raw_caption.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from hiereval.datasets.image_files import FileImage, content_sha256
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, nearest, shorten
from hiereval.seals import parsed
from hiereval.types import DataOptions, Dataset

FILE = "himo_docci_data.json"
FIELDS = ("img_path", "caption", "raw_caption")
SEGMENTS = {"halves": 2, "thirds": 3}  # split -> contiguous segments of the raw caption
LONGEST = 17  # captions of a chain


@dataclass(frozen=True, kw_only=True, eq=False)
class GrowingCaptions(Dataset):
    """Chains of any length, an image each: every caption has more detail than the one before."""

    captions: np.ndarray  # [c, k] index into texts, -1 after a chain's last caption
    caption_image: np.ndarray  # [c] index into images
    truncated: np.ndarray | None = None  # [t] bool: texts that the model cuts, where it is known

    def cut(self, truncated: np.ndarray) -> Self:
        """Return the dataset that knows which of its texts [t] a model cuts."""
        return replace(self, truncated=truncated)

    def head(self, n: int) -> Self:
        """Return the first n chains alone."""
        if n >= len(self.captions):
            return self
        captions, pictures = self.captions[:n], self.caption_image[:n]
        used, index = np.unique(captions, return_inverse=True)
        own, image = np.unique(pictures, return_inverse=True)
        first = int(used[0] < 0)  # -1 stays -1
        return replace(
            self,
            sha256=hashlib.sha256(f"{self.sha256} first {n}".encode()).hexdigest(),
            images_sha256=content_sha256(self.images[i] for i in own),
            texts=tuple(self.texts[t] for t in used[first:]),
            images=tuple(self.images[i] for i in own),
            captions=index.reshape(captions.shape) - first,
            caption_image=image.reshape(-1),
        )


def himo_docci(options: DataOptions) -> GrowingCaptions:
    """HiMo-Docci, from himo/ and docci/images; splits: test, halves, thirds (of long captions)."""
    split = options.split or "test"
    splits = ("test", *SEGMENTS)
    if split not in splits:
        raise HierevalError(
            f"The split {split!r} of himo-docci must be one of {', '.join(splits)}."
            f"{nearest(split, splits)}"
        )
    path = options.root / "himo" / FILE
    if not path.is_file():
        raise HierevalError(
            f"HiMo-Docci must stand at '{path}': take {FILE} from eval/text_mono at "
            "https://github.com/UnicomAI/HiMo-CLIP; --data-dir names another data root."
        )
    return read(path, options.root / "docci" / "images", split, options.places.cache)


def read(
    path: Path, pictures: Path, split: str = "test", memory: Path | None = None
) -> GrowingCaptions:
    """Read the published JSON lines; images, opened later, stand in the folder `pictures`.

    `split` is "test" or one of SEGMENTS: then each chain is the raw caption's first segment,
    first two, ... Raises one HierevalError that counts the bad lines and names the first ten.
    """
    lines = [(i, line) for i, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    rows, problems = [], []
    for number, line in lines:
        row = _parsed(line)
        found = row if isinstance(row, str) else _problem(row)
        if found is not None:
            problems.append(f"{path}:{number}: {found}")
        elif isinstance(row, dict):
            rows.append(row)
    if problems or not rows:
        raise HierevalError(shorten(problems) or f"{path}: the file must hold at least one chain.")
    chains = [_chain(row, split) for row in rows]
    return assemble(
        chains,
        [FileImage(row["img_path"], pictures / row["img_path"], memory) for row in rows],
        name="himo-docci",
        split=split,
        image_source="DOCCI test images",
    )


def assemble(
    chains: Sequence[Sequence[str]], images: Sequence[Any], **named: Any
) -> GrowingCaptions:
    """Return chains of 2 or more captions, an image each; texts by first appearance."""
    texts: dict[str, int] = {}
    table = np.full((len(chains), max(map(len, chains))), -1, np.int64)
    for row, chain in zip(table, chains, strict=True):
        row[: len(chain)] = [texts.setdefault(caption, len(texts)) for caption in chain]
    by_name = {image.name: image for image in images}
    order = {name: i for i, name in enumerate(by_name)}
    pictures = content_sha256(by_name.values())
    names = [image.name for image in images]
    content = json.dumps([list(map(list, chains)), names, pictures])
    return GrowingCaptions(
        **{"revision": None, "image_source": "", **named},
        sha256=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
        images_sha256=pictures,
        texts=tuple(texts),
        images=tuple(by_name.values()),
        captions=table,
        caption_image=np.array([order[image.name] for image in images], np.int64),
    )


def segments(caption: str, n: int) -> list[str]:
    """Return the caption's first segment, its first two, ..., all of it.

    Segments are contiguous runs of words, as equal in number as can be, the longer ones first.
    """
    ends = [word.end() for word in re.finditer(r"\S+", caption)]
    size, longer = divmod(len(ends), n)
    counts = [size * j + min(j, longer) for j in range(1, n + 1)]
    return [caption[: ends[count - 1]].strip() for count in counts]


def _chain(row: dict[str, Any], split: str) -> list[str]:
    if split in SEGMENTS:
        return segments(row["raw_caption"], SEGMENTS[split])
    return list(row["caption"])


def _parsed(line: str) -> dict[str, Any] | str:
    """Return a line's object, or what is wrong with it."""
    try:
        row = parsed(line)
    except ValueError as error:
        return f"the line must be JSON: {error}."
    return row if isinstance(row, dict) else "the line must be a JSON object."


def _problem(row: dict[str, Any]) -> str | None:
    lacking = [field for field in FIELDS if field not in row]
    if lacking:
        return f"the line must have the field {lacking[0]!r}.{nearest(lacking[0], row)}"
    captions, image, raw = row["caption"], row["img_path"], row["raw_caption"]
    if not isinstance(image, str) or not image or Path(image).name != image:
        return f"the img_path must be a file name, not {image!r}."
    if not isinstance(raw, str) or len(raw.split()) < max(SEGMENTS.values()):
        return f"the raw_caption must be a text of {max(SEGMENTS.values())} or more words."
    if not isinstance(captions, list) or not all(isinstance(c, str) and c for c in captions):
        return "the caption must be a list of texts."
    if not 2 <= len(captions) <= LONGEST:
        return f"the chain must have 2 to {LONGEST} captions, found {len(captions)}."
    return None
