"""Collections of any number of images, each read once where it stands: folders and tars.

A collection is a list of parts: a tar (WebDataset's layout is one), or some thousand files of a
folder. A part gives its images one after another; nothing is extracted, and memory holds one.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hiereval.datasets import tars
from hiereval.datasets.image_files import ENDINGS, FileImage, TarImage, check_name, is_image
from hiereval.errors import HierevalError

PART_FILES = 10_000  # of a folder
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class HeldImage:
    """An image that was read: its bytes, and where they stood."""

    key: str  # under which its vector is found
    name: str  # the place, for messages
    content: bytes

    def read(self) -> bytes:
        """Return the bytes."""
        return self.content


@dataclass(frozen=True)
class TarPart:
    """The images of a tar, by their members' names."""

    path: Path

    @property
    def name(self) -> str:
        """Return the tar's name without its ending."""
        return self.path.name.removesuffix(".tar")

    def state(self) -> str:
        """Return a hash of what changes when the tar does."""
        return _state([self.path])

    def images(self) -> Iterator[HeldImage | None]:
        """Yield each image, and None for a member that is none; raises HierevalError."""
        for one in tars.members(self.path):
            yield None if one is None else HeldImage(one.name, one.place, one.content)


@dataclass(frozen=True)
class FilesPart:
    """Some files of a folder, by their paths in it."""

    folder: Path
    names: tuple[str, ...]
    number: int

    @property
    def name(self) -> str:
        """Return the part's number, five digits."""
        return f"{self.number:05d}"

    def state(self) -> str:
        """Return a hash of what changes when a file does."""
        return _state([self.folder / name for name in self.names])

    def images(self) -> Iterator[HeldImage | None]:
        """Yield each image; raises HierevalError for one that cannot be read."""
        for name in self.names:
            place = self.folder / name
            yield HeldImage(name, str(place), FileImage(str(place), place).read())


Part = TarPart | FilesPart


def parts(spec: str) -> list[Part]:
    """Return the parts of a folder of images, a tar, or a pattern of tars (`{0000..0099}`, `*`).

    Raises HierevalError where there is none, or where two tars have one name.
    """
    if Path(spec).is_dir():
        names = list(_below(spec))
        if not names:
            raise HierevalError(
                f"The folder {spec!r} must hold images: files that end in {', '.join(ENDINGS)}."
            )
        starts = range(0, len(names), PART_FILES)
        return [
            FilesPart(Path(spec), tuple(names[start : start + PART_FILES]), number)
            for number, start in enumerate(starts)
        ]
    found = [Path(path) for one in _ranged(spec) for path in _globbed(one)]
    if not found:
        raise HierevalError(f"The pattern {spec!r} must name tars that exist; none does.")
    named: dict[str, Path] = {}
    for path in found:
        if not path.is_file():
            raise HierevalError(f"The tar {str(path)!r} must exist.")
        if (other := named.setdefault(path.name, path)) is not path:
            raise HierevalError(
                f"The tars {str(other)!r} and {str(path)!r} must have different names."
            )
    return [TarPart(path) for path in found]


def tar_images(spec: str, memory: Path | None = None) -> dict[str, TarImage]:
    """Return the images of a tar, or of a pattern of tars, by their names.

    `memory` is the folder in which it is remembered where each stands. Raises HierevalError for
    a bad tar, and a name that stands in two.
    """
    found: dict[str, TarImage] = {}
    for part in parts(spec):
        if isinstance(part, FilesPart):
            raise HierevalError(f"The images {spec!r} must be a tar or a pattern of tars.")
        for name, image in tars.images(part.path, memory).items():
            if (other := found.setdefault(name, image)) is not image:
                raise HierevalError(
                    f"The image {name!r} must stand in one tar; it is in {str(other.tar)!r} and "
                    f"in {str(part.path)!r}."
                )
    return found


def _below(folder: str, prefix: str = "") -> Iterator[str]:
    """Yield the images below a folder in the order of their names; links to folders are left."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{prefix}{entry.name}/")
        elif is_image(entry.name) and (entry.is_file() or not os.path.exists(entry.path)):
            check_name(entry.name, entry.path)
            yield prefix + entry.name  # of a link that leads nowhere too, to be named


def _ranged(spec: str) -> Iterator[str]:
    """Yield what a pattern's ranges stand for.

    >>> list(_ranged("a-{08..10}.tar"))
    ['a-08.tar', 'a-09.tar', 'a-10.tar']
    """
    found = _RANGE.search(spec)
    if not found:
        yield spec
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from _ranged(f"{spec[: found.start()]}{number:0{len(first)}d}{spec[found.end() :]}")


def _globbed(spec: str) -> list[str]:
    return sorted(glob.glob(spec)) if glob.has_magic(spec) and not Path(spec).exists() else [spec]


def _state(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            found = file.stat()
        except OSError as error:
            raise HierevalError(f"The file {str(file)!r} must exist: {error.strerror}.") from error
        facts = (file.name, found.st_size, found.st_mtime_ns)
        digest.update(ascii(facts).encode())
    return digest.hexdigest()
