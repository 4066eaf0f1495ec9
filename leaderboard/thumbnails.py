"""Small pictures that a page holds itself: JPEG, few bytes each, and few in all."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

from hiereval.errors import HierevalError
from hiereval.types import ImageSource

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 144  # pixels of the longer side
BYTES = 8_000  # of one picture at most
TOTAL = 750_000  # bytes of all pictures of a page: a million characters of base64
_QUALITIES = (75, 50, 25)  # the next where one gives more than BYTES


class Thumbnails:
    """Pictures of a page, each image once."""

    def __init__(self) -> None:
        self.encoded: list[str] = []  # base64
        self._known: dict[tuple[str, str], int | str] = {}
        self._left = TOTAL

    def place(self, dataset: str, image: ImageSource) -> int | str:
        """Return where an image's picture stands in `encoded`; else why there is none, in a word.

        `dataset` is the SHA-256 of the data that the image is of.
        """
        key = dataset, image.name
        if key not in self._known:
            self._known[key] = self._added(image)
        return self._known[key]

    def _added(self, image: ImageSource) -> int | str:
        from hiereval.datasets.image_files import decode

        try:
            content = jpeg(decode(image))
        except HierevalError:
            return "image missing or unreadable"
        if content is None or len(content) > self._left:
            return "image left out: too many bytes"
        self._left -= len(content)
        self.encoded.append(base64.b64encode(content).decode("ascii"))
        return len(self.encoded) - 1


def jpeg(image: Image) -> bytes | None:
    """Return a picture's thumbnail as JPEG, on white where it is transparent, without any of the
    file's metadata; None where no quality is within BYTES."""
    import PIL.Image

    shown = image.convert("RGBA")
    shown.thumbnail((SIDE, SIDE))
    bare = PIL.Image.new("RGB", shown.size, "white")
    bare.paste(shown, mask=shown)
    for quality in _QUALITIES:
        out = BytesIO()
        bare.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= BYTES:
            return out.getvalue()
    return None
