"""Texts and pictures of every kind that a dataset may hold."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from hiereval.types import Curvature

if TYPE_CHECKING:
    from PIL.Image import Image

TEXTS = (
    "animal",
    "a bird",
    "a blue bird on a branch",
    "A blue bird sitting on the top of a branch with autumn leaves.",
    "two dogs play with a red ball in the snow",
)
CURVATURES: dict[str, Curvature] = {"lorentz": 1.0, "lorentz-product": (1.0, 0.5)}
LONG = " ".join(["a very long caption about a bird on a branch"] * 12)
KINDS_OF_TEXT = {
    "empty": "",
    "blank": " \t\n ",
    "emoji": "\U0001f426 on a \U0001f333 \U0001f469\u200d\U0001f469\u200d\U0001f467",
    "right-to-left": "\u05e6\u05d9\u05e4\u05d5\u05e8 \u0639\u0635\u0641\u0648\u0631",
    "10,000 words": "bird " * 10_000,
    "NUL": "a bird\0on a branch",
    "combining marks": "e\u0301\u0323 a\u030a" * 3,
    "CJK": "\u679d\u306e\u4e0a\u306e\u9752\u3044\u9ce5",
}


def picture(seed: int = 0, size: tuple[int, int] = (48, 40)) -> Image:
    """Return an RGB picture of blurred noise that is the same everywhere."""
    import numpy as np
    from PIL import Image

    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)


KINDS_OF_PICTURE = (
    "RGB",
    "1",
    "L",
    "LA",
    "P",
    "RGBA",
    "CMYK",
    "16-bit",
    "EXIF-rotated",
    "1 x 1",
    "1 x 4000",
    "4000 x 1",
)


def kinds_of_picture() -> dict[str, Image]:
    """Return pictures by kind: modes, an EXIF rotation, and extreme shapes."""
    import numpy as np
    from PIL import Image

    base = picture()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to show
    rotated = BytesIO()
    base.save(rotated, "JPEG", exif=exif)
    clear = base.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(base.size))
    palette = base.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    palette.info["transparency"] = 0
    deep = np.asarray(base.convert("L")).astype(np.uint16) * 257
    return {
        "RGB": base,
        "1": base.convert("1"),
        "L": base.convert("L"),
        "LA": base.convert("LA"),
        "P": palette,
        "RGBA": clear,
        "CMYK": base.convert("CMYK"),
        "16-bit": Image.fromarray(deep),
        "EXIF-rotated": Image.open(BytesIO(rotated.getvalue())),
        "1 x 1": base.resize((1, 1)),
        "1 x 4000": base.resize((1, 4000)),
        "4000 x 1": base.resize((4000, 1)),
    }
