"""Image files: what they are, and what is wrong with them, found before a model sees one."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from hiereval import hashes
from hiereval.errors import HierevalError, shorten
from hiereval.hooks import HashedImage
from hiereval.types import ImageSource

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_478_485  # Pillow's own threshold: 256 MiB in RGB
MAX_BYTES = 1 << 28  # of an image file: as many as its pixels may have
# those that are meant: Pillow would start Ghostscript on an EPS file, whatever its name ends in
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
THREADS = 4  # that read images to be hashed


@dataclass(frozen=True)
class FileImage:
    """An image in a file."""

    name: str
    path: Path
    memory: Path | None = None  # the folder in which its hash is remembered

    def read(self) -> bytes:
        """Return the file's bytes; raise HierevalError where it cannot be read or is too large."""
        try:
            if self.path.stat().st_size > MAX_BYTES:
                raise HierevalError(
                    f"The image {self.name!r} must have at most {MAX_BYTES:,} bytes."
                )
            with self.path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except OSError as error:
            raise HierevalError(f"The image {self.name!r} {_reason(error)}.") from error

    def sha256(self) -> str | None:
        """Return the SHA-256 of the file; None where there is none."""
        try:
            return hashes.of_file(self.path, self.memory)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HierevalError(f"The image {self.name!r} {_reason(error)}.") from error


@dataclass(frozen=True, slots=True)
class TarImage:
    """An image in a tar, read where it stands; its hash is known since the tar was walked."""

    name: str  # the member's
    tar: Path
    offset: int
    size: int
    digest: str
    state: str  # of the tar then

    def read(self) -> bytes:
        """Return the member's bytes; raise HierevalError where the tar is another meanwhile."""
        try:
            with self.opened() as file:
                return file.read()
        except OSError as error:
            raise HierevalError(f"The image {self.name!r} {_reason(error)}.") from error

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the member where it stands; raise as `read` does, and OSError."""
        with self.tar.open("rb", buffering=0) as tar:
            if hashes.state(tar.fileno()) != self.state:
                raise HierevalError(
                    f"The tar {str(self.tar)!r} must stay as it is while it is read; it "
                    "changed. Start again."
                )
            yield io.BufferedReader(_Within(tar.fileno(), self.offset, self.size))

    def sha256(self) -> str | None:
        """Return the SHA-256 of the member."""
        return self.digest


class _Within(io.RawIOBase):
    """A part of an open file, read as a file."""

    def __init__(self, number: int, offset: int, size: int) -> None:
        self._number, self._offset, self._size, self._at = number, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, to: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, to + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, into: Any) -> int:
        rest = memoryview(into)[: max(0, self._size - self._at)]
        got = os.preadv(self._number, [rest], self._offset + self._at)
        self._at += got
        return got


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image; macOS's `._x.jpg` is none.

    >>> is_image("a/0001.JPG"), is_image("0001.json"), is_image("._0001.jpg")
    (True, False, False)
    """
    path = PurePosixPath(name)
    return path.suffix.lower() in ENDINGS and not path.name.startswith("._")


def check_name(name: str, place: str) -> None:
    """Raise HierevalError for a name that is no text: no record or list could hold it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise HierevalError(f"The image {place!r} must have a name in UTF-8.") from None


def by_name(images: Iterable[ImageSource]) -> tuple[ImageSource, ...]:
    """Return each name's image once, in order of first appearance.

    Raises HierevalError where two pictures have one name.
    """
    found: dict[str, ImageSource] = {}
    for image in images:
        first = found.setdefault(image.name, image)
        if first is not image and first != image and first.read() != image.read():
            raise HierevalError(
                f"The images named {image.name!r} must be one picture; they are two. Names, "
                "within a tar too, must differ."
            )
    return tuple(found.values())


def content_sha256(images: Iterable[ImageSource]) -> str | None:
    """Return one hash of the images of a dataset, names and content, in any order.

    An image that is not at hand counts by its name; None without images. Each file is read once,
    in blocks, and its hash is remembered.
    """

    def one(image: ImageSource) -> tuple[str, str | None]:
        if isinstance(image, HashedImage):
            return image.name, image.sha256()
        return image.name, hashlib.sha256(image.read()).hexdigest()

    with ThreadPoolExecutor(THREADS) as pool:
        pairs = list(pool.map(one, images))
    return hashes.of_all(pairs) if pairs else None


def sha256_of(image: ImageSource) -> str:
    """Return the image's SHA-256, remembered where it is a file: read once, not in every run."""
    known = image.sha256() if isinstance(image, HashedImage) else None
    return known or hashlib.sha256(image.read()).hexdigest()


def decode(source: ImageSource) -> Image:
    """Return the decoded picture, in the file's own mode.

    EXIF orientation is not applied, as in the released HierarCaps code. Raises HierevalError,
    naming the image, for what cannot be read, is empty, no image, over MAX_PIXELS or cut short.
    """
    try:
        image = open_image(io.BytesIO(source.read()))
        image.load()
    except HierevalError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error ...
        raise HierevalError(f"The image {source.name!r} {_reason(error)}.") from error
    return image


def require(sources: Sequence[ImageSource]) -> None:
    """Raise one HierevalError if files are not there: how many, and which is the first."""
    absent = [s for s in sources if isinstance(s, FileImage) and not s.path.exists()]
    if len(absent) == 1:
        absent[0].read()  # says what is wrong with one
    if absent:
        raise HierevalError(
            f"The {len(sources):,} images must all be there; {len(absent):,} are not, the first "
            f"is {absent[0].name!r}: put it at '{absent[0].path}'."
        )


def verify(sources: Iterable[ImageSource]) -> None:
    """Read the header of every image in a file or a tar; raise one HierevalError that counts the
    bad ones.

    Finds what is missing, unreadable, empty, no image or too large. A picture that is cut short
    after its header is found by `decode`. Other sources are not read here.
    """
    import PIL.Image

    problems = []
    with warnings.catch_warnings():  # Pillow warns of what is refused here anyway
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        for source in sources:
            try:
                if isinstance(source, FileImage):
                    with source.path.open("rb") as file:
                        open_image(file)
                elif isinstance(source, TarImage):
                    with source.opened() as file:
                        open_image(file)
            except HierevalError:
                raise
            except Exception as error:
                problems.append(f"  The image {source.name!r} {_reason(error)}.")
    if len(problems) == 1:
        raise HierevalError(problems[0].strip())
    if problems:
        raise HierevalError(f"{len(problems):,} images cannot be used:\n{shorten(problems)}")


def open_image(file: BinaryIO | Path) -> Image:
    """Read an image's header; refuse too many pixels and formats that are not meant."""
    import PIL.Image

    image = PIL.Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise PIL.Image.DecompressionBombError
    return image


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"has more than {MAX_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return f"is empty or not an image ({', '.join(FORMATS)})"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"is damaged: {str(error) or type(error).__name__}"
