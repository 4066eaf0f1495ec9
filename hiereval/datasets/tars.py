"""Images in tars, as WebDataset writes them: walked once, then read where they stand.

Nothing is unpacked. One walk reads a tar from end to end and hashes each image; where each stands
is remembered under the tar's state, as hashes of files are.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO

from hiereval import hashes, seals
from hiereval.datasets.image_files import MAX_BYTES, FileImage, TarImage, check_name, is_image
from hiereval.errors import HierevalError

BLOCK = 512  # bytes, of which a tar is made
CHUNK = 1 << 16  # bytes read at once behind its end
REMEMBERED = "tars"  # in the folder of what is remembered


@dataclass(frozen=True)
class Member:
    """An image of a tar, read."""

    name: str
    place: str  # for messages
    offset: int  # of its bytes in the tar
    content: bytes


def image_at(name: str, path: Path, memory: Path | None = None) -> FileImage | TarImage | None:
    """Return the image at a path, which may lead into a tar (`photos.tar/birds/1.jpg`).

    A file has the name that is given, a member of a tar its own. None where nothing is there;
    raises HierevalError for a bad tar. `memory` is the folder in which hashes are remembered.
    """
    if path.is_file():
        return FileImage(name, path, memory)
    for tar in path.parents:
        if tar.suffix.lower() == ".tar" and tar.is_file():
            return images(tar, memory).get(path.relative_to(tar).as_posix())
    return None


def images(tar: Path, memory: Path | None = None) -> dict[str, TarImage]:
    """Return the images of a tar by their names; raises HierevalError for a bad one."""
    try:
        with tar.open("rb") as file:
            state = hashes.state(file.fileno())
    except OSError as error:
        raise _unreadable(tar, error) from error
    return _images(tar, state, memory)


@cache
def _images(tar: Path, state: str, memory: Path | None) -> dict[str, TarImage]:
    noted = None if memory is None else memory / REMEMBERED / f"{state}.json"
    if noted is not None and noted.exists():
        with suppress(
            HierevalError, TypeError, ValueError, KeyError
        ):  # what is damaged is not there
            rows = seals.read_json(noted)["images"]
            return {
                name: TarImage(name, tar, offset, size, digest, state)
                for name, (offset, size, digest) in rows.items()
            }
    found: dict[str, TarImage] = {}
    for one in members(tar):
        if one is None:
            continue
        if one.name in found:
            raise HierevalError(f"The image {one.place!r} must stand there once.")
        digest = hashlib.sha256(one.content).hexdigest()
        found[one.name] = TarImage(one.name, tar, one.offset, len(one.content), digest, state)
    _remember(noted, tar, state, found)
    return found


def _remember(noted: Path | None, tar: Path, state: str, found: dict[str, TarImage]) -> None:
    if noted is None:
        return
    rows = {name: [one.offset, one.size, one.digest] for name, one in found.items()}
    with suppress(OSError):  # only slower the next time
        with tar.open("rb") as file:
            settled = hashes.settled(file.fileno(), state)
        if settled:
            seals.write_json(noted, {"images": rows})


def members(path: Path) -> Iterator[Member | None]:
    """Yield each image of a tar as it is read, and None for a member that is none.

    Raises HierevalError for a tar that is not whole, an image that is a link, and a name that
    leads out of the tar.
    """
    try:
        with path.open("rb") as file:
            yield from _members(path, file)
    except (tarfile.TarError, EOFError, ValueError, MemoryError, RecursionError) as error:
        what = str(error) or "a header is larger than the memory"  # tarfile believes numbers
        raise HierevalError(
            f"The tar {str(path)!r} must be a whole, uncompressed tar: {what}."
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _members(path: Path, file: IO[bytes]) -> Iterator[Member | None]:
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would list them all
            if not is_image(member.name) or member.isdir():
                if not member.isdir():
                    yield None
                continue
            place = f"{path}: {member.name}"
            _check(member, place)
            data = tar.extractfile(member)
            content = b"" if data is None else data.read()
            if len(content) < member.size:
                raise HierevalError(f"The tar {str(path)!r} is cut short in {member.name!r}.")
            name = PurePosixPath(member.name).as_posix()
            yield Member(name, place, member.offset_data, content)
        _check_end(path, file, tar.offset)


def _check_end(path: Path, file: IO[bytes], at: int) -> None:
    """Raise HierevalError unless a block of zeros, or more, follows to the end of the file.

    tarfile ends in silence where a header is damaged or lacking, and where one of two joined tars
    does.
    """
    file.seek(at)
    block = file.read(BLOCK)
    whole = len(block) == BLOCK
    while whole and block:
        rest = block.lstrip(b"\0")
        at += len(block) - len(rest)
        whole = not rest
        block = file.read(CHUNK)
    if not whole:
        raise HierevalError(
            f"The tar {str(path)!r} must end in zeros; it is damaged, cut short or joined to "
            f"another at byte {at:,}."
        )


def _check(member: tarfile.TarInfo, place: str) -> None:
    if not member.isreg() or member.issparse():
        what = f"a link to {member.linkname!r}" if member.islnk() or member.issym() else "none"
        raise HierevalError(f"The image {place!r} must be a plain file in the tar; it is {what}.")
    if member.size > MAX_BYTES:
        raise HierevalError(f"The image {place!r} must have at most {MAX_BYTES:,} bytes.")
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise HierevalError(f"The image {place!r} must have a name that stays within the tar.")
    check_name(member.name, place)


def _unreadable(path: Path, error: OSError) -> HierevalError:
    return HierevalError(f"The tar {str(path)!r} must be readable: {error.strerror or error}.")
