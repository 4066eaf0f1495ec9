"""What a checkpoint was trained on here: a small file beside the weights that fine-tuning wrote.

A run reads it, calls the model by its name, and refuses data whose images it was trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from hiereval.errors import HierevalError
from hiereval.files import write_whole
from hiereval.fingerprint import read_json

FILE = "hiereval.json"


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """A fine-tuned checkpoint's name and its training data."""

    name: str
    base: str  # fingerprint of the model it began as
    dataset: str
    sha256: str  # of the dataset
    images: tuple[str, ...]  # names
    texts: tuple[str, ...]  # `text_hash` of every string that was trained on

    def write(self, folder: Path) -> None:
        """Write it beside the weights, into a folder that is not yet in use."""
        write_whole(folder / FILE, (json.dumps(asdict(self), indent=1) + "\n").encode())


def text_hash(text: str) -> str:
    """Return 16 hex digits of a text, so that strings can be compared without being published."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def text_hashes(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct hashes of texts, sorted."""
    return tuple(sorted(set(map(text_hash, texts))))


def read(folder: Path) -> Lineage | None:
    """Return the lineage in a checkpoint's folder, None where there is none.

    Raises HierevalError for a file that is not one of ours.
    """
    if not (folder / FILE).is_file():
        return None
    content = read_json(folder / FILE)
    try:
        return Lineage(
            **{key: str(content[key]) for key in ("name", "base", "dataset", "sha256")},
            images=tuple(map(str, content["images"])),
            texts=tuple(map(str, content["texts"])),
        )
    except (KeyError, TypeError) as error:
        raise HierevalError(
            f"The file '{folder / FILE}' must be what 'hiereval finetune' wrote: {error}."
        ) from error
