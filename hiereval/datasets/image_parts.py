"""Collections of any number of images, each read once where it stands: folders and tars.

A collection is a list of parts: a tar (WebDataset's layout is one), or some thousand files of a
folder. A part gives its images one after another; nothing is extracted, and memory holds one.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from hiereval.datasets.image_files import MAX_BYTES, FileImage
from hiereval.errors import HierevalError

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
PART_FILES = 10_000  # of a folder
BLOCK = 512  # bytes, of which a tar is made
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
        try:
            with self.path.open("rb") as file:
                yield from self._members(file)
        except (tarfile.TarError, EOFError) as error:
            raise HierevalError(
                f"The tar {str(self.path)!r} must be a whole, uncompressed tar: {error}."
            ) from error
        except OSError as error:
            raise HierevalError(
                f"The tar {str(self.path)!r} must be readable: {error.strerror or error}."
            ) from error

    def _members(self, file: IO[bytes]) -> Iterator[HeldImage | None]:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would list them all
                place = f"{self.path}: {member.name}"
                if not member.isfile() or not is_image(member.name):
                    if not member.isdir():
                        yield None
                    continue
                if member.size > MAX_BYTES:
                    raise HierevalError(
                        f"The image {place!r} must have at most {MAX_BYTES:,} bytes."
                    )
                data = tar.extractfile(member)
                content = b"" if data is None else data.read()
                if len(content) < member.size:
                    raise HierevalError(
                        f"The tar {str(self.path)!r} is cut short in {member.name!r}."
                    )
                yield HeldImage(member.name.removeprefix("./"), place, content)
            file.seek(tar.offset)  # tarfile ends in silence where a header is damaged or lacking
            if file.read(BLOCK) != bytes(BLOCK):
                raise HierevalError(
                    f"The tar {str(self.path)!r} must end in zeros; "
                    f"it is damaged or cut short at byte {tar.offset:,}."
                )


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


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image; macOS's `._x.jpg` is none.

    >>> is_image("a/0001.JPG"), is_image("0001.json"), is_image("._0001.jpg")
    (True, False, False)
    """
    path = PurePosixPath(name)
    return path.suffix.lower() in ENDINGS and not path.name.startswith("._")


def _below(folder: str, prefix: str = "") -> Iterator[str]:
    """Yield the images below a folder in the order of their names; links to folders are left."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{prefix}{entry.name}/")
        elif is_image(entry.name) and entry.is_file():
            yield prefix + entry.name


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
