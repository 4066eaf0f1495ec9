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
from hiereval.datasets import image_parts
from hiereval.datasets.image_parts import HeldImage, Part
from hiereval.errors import HierevalError
from hiereval.hooks import ByName
from hiereval.session import Session
from hiereval.types import Adapter

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


@dataclass(frozen=True)
class Job:
    """What is to be encoded, with what, and where it goes."""

    session: Session
    adapter: Adapter
    images: Sequence[Part]
    texts: Sequence[TextPart]
    out: Path
    skip_broken: bool = False

    @staticmethod
    def of(
        model: str, images: str | None, out: Path, texts: Sequence[str] = (), **settings: Any
    ) -> Job:
        """Return the job of a model and a collection; `settings` are those of `Session.of`."""
        session = Session.of(**settings)
        return Job.within(session, session.adapter(model), images, out, texts)

    @staticmethod
    def within(
        session: Session,
        adapter: Adapter,
        images: str | None,
        out: Path,
        texts: Sequence[str] = (),
        skip_broken: bool = False,
    ) -> Job:
        """Return the same within a session; raises HierevalError for a model that cannot."""
        parts = [] if images is None else image_parts.parts(images)
        _check(adapter, parts)
        asked = text_parts(texts, adapter.id.root_text)
        return Job(session, adapter, parts, asked, out, skip_broken)

    def share(self) -> Done:
        """Encode the share of the session's process, and write the index where all are there."""
        rank, size = self.session.processes.rank, self.session.processes.size
        return self.encode(range(rank, len(self.images), size), self.texts[rank::size])

    def encode(self, numbers: Sequence[int], texts: Sequence[TextPart] | None = None) -> Done:
        """Encode some parts of the images, by number, and of the texts (all where None is given);
        write the index if every part has its shard.

        Raises HierevalError for what cannot be encoded and, unless `skip_broken`, the first image
        that cannot be decoded; OSError where the folder cannot be written. Whole shards stay.
        """
        done = Done()
        progress = self.session.progress(self.adapter.id.name)
        for part in self.texts if texts is None else texts:
            if self._noted("text", part) is None:
                self._write_texts(part, done)
            else:
                done.there += 1
        for i, number in enumerate(numbers):
            progress("parts", i, len(numbers))
            if self._noted("image", self.images[number]) is None:
                self._write_images(self.images[number], done)
            else:
                done.there += 1
        progress("parts", len(numbers), len(numbers))
        done.indexed = self._index()
        return done

    def _index(self) -> bool:
        """Write the folder's index if every part has its shard; return whether that is so."""
        listed: dict[str, list[dict[str, Any]]] = {"text": [], "image": []}
        for modality, part in [
            *(("text", p) for p in self.texts),
            *(("image", p) for p in self.images),
        ]:
            noted = self._noted(modality, part)
            if noted is None:
                return False
            path = shard_file(self.out, modality, part)
            sha256 = fingerprint.file_sha256(path, self.session.places.cache)
            entry = {"file": path.name, "rows": int(noted["rows"]), "sha256": sha256}
            listed[modality].append(entry)
        model = self.adapter.id
        index = {
            "name": model.name,
            "geometry": model.geometry,
            **({} if model.curvature is None else {"curvature": model.curvature}),
            "root_text": model.root_text,
            "shards": listed,
        }
        vector_shards.open_folder(self.out, index, None)  # refuses names that stand there twice
        content = (json.dumps(index, indent=1) + "\n").encode()
        files.write_whole(self.out / vector_shards.INDEX, content)
        return True

    def _noted(self, modality: str, part: Part | TextPart) -> dict[str, str] | None:
        """Return what a part's shard says, if it is there, whole, and of these files and model."""
        noted = vector_shards.metadata(shard_file(self.out, modality, part))
        if noted is None or "rows" not in noted:
            return None
        return noted if self._facts(part).items() <= noted.items() else None

    def _facts(self, part: Part | TextPart) -> dict[str, str]:
        return {"part": part.state(), "model": self.adapter.id.fingerprint()}

    def _write_texts(self, part: TextPart, done: Done) -> None:
        vectors = self.session.encoded_texts(self.adapter, part.texts).numpy()
        facts = {**self._facts(part), "rows": str(len(vectors))}
        vector_shards.write(shard_file(self.out, "text", part), part.texts, vectors, facts)
        done.shards += 1
        done.texts += len(vectors)

    def _write_images(self, part: Part, done: Done) -> None:
        facts = self._facts(part)  # before it is read: what changes meanwhile is encoded again
        seen: dict[str, bytes] = {}  # name -> content
        rows: dict[bytes, int] = {}
        found = []

        def broken(error: HierevalError) -> None:
            if not self.skip_broken:
                raise error
            done.broken.append(error)

        fresh = _once(part, seen, done)
        for images, vectors in self.session.encoded_images(self.adapter, fresh, broken):
            for image in images:
                rows[seen[image.key]] = len(rows)
            found.append(vectors.numpy())
        names = [name for name, content in seen.items() if content in rows]
        order = np.array([rows[seen[name]] for name in names], np.int64)
        every = np.concatenate(found) if found else np.empty((0, 0), np.float32)
        facts["rows"] = str(len(names))
        contents = [seen[name] for name in names]
        path = shard_file(self.out, "image", part)
        vector_shards.write(path, names, every[order], facts, contents)
        done.shards += 1
        done.images += len(names)
        done.repeated += len(names) - len(rows)


def shard_file(out: Path, modality: str, part: Part | TextPart) -> Path:
    """Return where a part's shard stands."""
    return out / f"{modality}-{part.name}.safetensors"


def _check(adapter: Adapter, images: Sequence[Part]) -> None:
    if isinstance(adapter, ByName):
        raise HierevalError(
            f"The model {adapter.id.name!r} must encode images; its vectors are found by name."
        )
    if images and "image" not in adapter.modalities:
        raise HierevalError(
            f"The model {adapter.id.name!r} must encode images; it sees texts alone."
        )


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
