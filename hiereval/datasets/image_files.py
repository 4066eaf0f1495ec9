"""Image files: what is wrong with them, found before a model sees one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hiereval.errors import HierevalError, shorten
from hiereval.types import ImageSource

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_478_485  # Pillow's own threshold: 256 MiB in RGB


@dataclass(frozen=True)
class FileImage:
    """An image in a file."""

    name: str
    path: Path

    def read(self) -> bytes:
        """Return the file's bytes; raise HierevalError where it cannot be read."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise HierevalError(f"The image {self.name!r} {_reason(error)}.") from error


def decode(source: ImageSource) -> Image:
    """Return the decoded picture, in the file's own mode.

    EXIF orientation is not applied, as in the released HierarCaps code. Raises HierevalError,
    naming the image, for what cannot be read, is empty, no image, over MAX_PIXELS or cut short.
    """
    try:
        image = _open(BytesIO(source.read()))
        image.load()
    except HierevalError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error ...
        raise HierevalError(f"The image {source.name!r} {_reason(error)}.") from error
    return image


def verify(sources: Iterable[ImageSource]) -> None:
    """Read the header of every image file; raise one HierevalError that counts the bad ones.

    Finds what is missing, unreadable, empty, no image or too large. A picture that is cut short
    after its header is found by `decode`. Sources that are no files are not read here.
    """
    import PIL.Image

    problems = []
    with warnings.catch_warnings():  # Pillow warns of what is refused here anyway
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        for source in sources:
            if not isinstance(source, FileImage):
                continue
            try:
                with source.path.open("rb") as file:
                    _open(file)
            except Exception as error:
                problems.append(f"  The image {source.name!r} {_reason(error)}.")
    if len(problems) == 1:
        raise HierevalError(problems[0].strip())
    if problems:
        raise HierevalError(f"{len(problems):,} images cannot be used:\n{shorten(problems)}")


def _open(file: BinaryIO) -> Image:
    """Read an image's header, refusing too many pixels."""
    import PIL.Image

    image = PIL.Image.open(file)
    if image.width * image.height > MAX_PIXELS:
        raise PIL.Image.DecompressionBombError
    return image


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"has more than {MAX_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "is empty or not an image in a format that Pillow reads"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"is damaged: {str(error) or type(error).__name__}"
