"""Encode collections once: parts of images and of texts become shards of `precomputed`.

Each part is one shard, written whole when it is encoded. A part whose shard is there is not
encoded again, unless its files or the model are others now. The index is written last, by whoever
finds all shards there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hiereval import files, fingerprint, vector_shards
from hiereval.datasets.collections import HeldImage, Part
from hiereval.errors import HierevalError
from hiereval.session import Session
from hiereval.types import Adapter, ByName

PART_TEXTS = 100_000


@dataclass
class Done:
    """What became of the parts."""

    shards: int = 0  # written now
    images: int = 0  # with a vector, in these
    texts: int = 0
    repeated: int = 0  # images of the content of another in their part: not encoded again
    skipped: int = 0  # members of tars that are no images
    broken: list[HierevalError] = field(default_factory=list)
    there: int = 0  # shards that were there before
    indexed: bool = False  # whether all are there, and the index is written


@dataclass(frozen=True)
class TextPart:
    """Some captions."""

    name: str
    texts: tuple[str, ...]

    def state(self) -> str:
        """Return a hash of the captions."""
        return fingerprint.json_sha256(self.texts)


def text_parts(texts: Sequence[str], root_text: str) -> list[TextPart]:
    """Return the root's part and the others; each caption stands there once."""
    rest = list(dict.fromkeys(text for text in texts if text != root_text))
    return [
        TextPart("root", (root_text,)),
        *(
            TextPart(f"{start // PART_TEXTS:05d}", tuple(rest[start : start + PART_TEXTS]))
            for start in range(0, len(rest), PART_TEXTS)
        ),
    ]


def read_texts(file: Path) -> list[str]:
    """Return the captions of a file with a JSON string a line; raises HierevalError."""
    texts = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                text = json.loads(line)
                if not isinstance(text, str):
                    raise HierevalError(
                        f"Line {number} of {str(file)!r} must be a JSON string, a caption."
                    )
                text.encode()
                texts.append(text)
    except (OSError, ValueError) as error:
        raise HierevalError(
            f"The texts {str(file)!r} must be readable, a JSON string a line: {error}."
        ) from error
    return texts


def encode_parts(
    session: Session,
    adapter: Adapter,
    images: Sequence[Part],
    texts: Sequence[TextPart],
    out: Path,
    skip_broken: bool = False,
) -> Done:
    """Encode this process's share of the parts, and write the index where all are there.

    Raises HierevalError for what cannot be encoded and, unless `skip_broken`, the first image that
    cannot be decoded; OSError where the folder cannot be written. Shards that are whole stay.
    """
    _check(adapter, images)
    shards: list[tuple[str, Any]] = [("text", part) for part in texts]
    shards += [("image", part) for part in images]
    done = Done()
    progress = session.progress(adapter.id.name)
    mine = shards[session.processes.rank :: session.processes.size]
    for number, (modality, part) in enumerate(mine):
        progress("parts", number, len(mine))
        if _noted(out, modality, part, adapter):
            done.there += 1
        elif modality == "text":
            _write_texts(session, adapter, part, out, done)
        else:
            _write_images(session, adapter, part, out, done, skip_broken)
    progress("parts", len(mine), len(mine))
    done.indexed = write_index(session, adapter, images, texts, out)
    return done


def write_index(
    session: Session,
    adapter: Adapter,
    images: Sequence[Part],
    texts: Sequence[TextPart],
    out: Path,
) -> bool:
    """Write the folder's index if every part has its shard; return whether that is so."""
    listed: dict[str, list[dict[str, Any]]] = {"text": [], "image": []}
    for modality, part in [*(("text", p) for p in texts), *(("image", p) for p in images)]:
        noted = _noted(out, modality, part, adapter)
        if noted is None:
            return False
        path = shard_file(out, modality, part)
        sha256 = fingerprint.file_sha256(path, session.places.cache)
        listed[modality].append({"file": path.name, "rows": int(noted["rows"]), "sha256": sha256})
    _refuse_repeated(out, listed)
    model = adapter.id
    index = {
        "name": model.name,
        "geometry": model.geometry,
        **({} if model.curvature is None else {"curvature": model.curvature}),
        "root_text": model.root_text,
        "shards": listed,
    }
    files.write_whole(out / vector_shards.INDEX, (json.dumps(index, indent=1) + "\n").encode())
    return True


def shard_file(out: Path, modality: str, part: Part | TextPart) -> Path:
    """Return where a part's shard stands."""
    return out / f"{modality}-{part.name}.safetensors"


def _refuse_repeated(out: Path, listed: dict[str, list[dict[str, Any]]]) -> None:
    for shards in listed.values():
        vector_shards.Named(
            [vector_shards.open_shard(out / s["file"], s["rows"], s["sha256"]) for s in shards],
            None,
        )


def _check(adapter: Adapter, images: Sequence[Part]) -> None:
    if isinstance(adapter, ByName):
        raise HierevalError(
            f"The model {adapter.id.name!r} must encode images; its vectors are found by name."
        )
    if images and "image" not in adapter.modalities:
        raise HierevalError(
            f"The model {adapter.id.name!r} must encode images; it sees texts alone."
        )


def _facts(part: Part | TextPart, adapter: Adapter) -> dict[str, str]:
    return {"part": part.state(), "model": adapter.id.fingerprint()}


def _noted(
    out: Path, modality: str, part: Part | TextPart, adapter: Adapter
) -> dict[str, str] | None:
    """Return what the shard of a part says, if it is there, whole, and of these files and model."""
    noted = vector_shards.metadata(shard_file(out, modality, part))
    if noted is None or "rows" not in noted:
        return None
    return noted if _facts(part, adapter).items() <= noted.items() else None


def _write_texts(session: Session, adapter: Adapter, part: TextPart, out: Path, done: Done) -> None:
    vectors = session.encoded_texts(adapter, part.texts).numpy()
    facts = {**_facts(part, adapter), "rows": str(len(vectors))}
    vector_shards.write(shard_file(out, "text", part), part.texts, vectors, facts)
    done.shards += 1
    done.texts += len(vectors)


def _write_images(
    session: Session, adapter: Adapter, part: Part, out: Path, done: Done, skip_broken: bool
) -> None:
    def broken(error: HierevalError) -> None:
        if not skip_broken:
            raise error
        done.broken.append(error)

    facts = _facts(part, adapter)  # before it is read: what changes meanwhile is encoded again
    seen: dict[str, bytes] = {}  # name -> content
    rows: dict[bytes, int] = {}
    found = []
    for images, vectors in session.encoded_images(adapter, _once(part, seen, done), broken):
        for image in images:
            rows[seen[image.key]] = len(rows)
        found.append(vectors.numpy())
    names = [name for name, content in seen.items() if content in rows]
    order = np.array([rows[seen[name]] for name in names], np.int64)
    dimension = adapter.id.embed_dim or 0
    every = np.concatenate(found) if found else np.empty((0, dimension), np.float32)
    vector_shards.write(
        shard_file(out, "image", part),
        names,
        every[order],
        {**facts, "rows": str(len(names))},
        [seen[name] for name in names],
    )
    done.shards += 1
    done.images += len(names)
    done.repeated += len(names) - len(rows)


def _once(part: Part, seen: dict[str, bytes], done: Done) -> Iterator[HeldImage]:
    """Yield a part's images, of those with one content the first alone; hash each as it is read."""
    contents = set()
    for image in part.images():
        if image is None:
            done.skipped += 1
            continue
        if image.key in seen:
            raise HierevalError(f"The image {image.name!r} must stand there once.")
        content = hashlib.sha256(image.content).digest()
        seen[image.key] = content
        if content not in contents:
            contents.add(content)
            yield image
