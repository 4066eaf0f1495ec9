"""Pictures of every mode as what image processors expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def to_rgb(image: Image) -> Image:
    """Return the picture in mode RGB: transparency is dropped, 16-bit grey scaled to 8 bits.

    Pillow's own conversion of 16-bit grey clips at 255, which turns most of a picture white.
    32-bit integer grey (how older files of 16 bits open) is scaled if a value exceeds 255.
    """
    if image.mode.startswith("I"):
        import numpy as np
        from PIL import Image as Pillow

        values = np.asarray(image).astype(np.float64)
        if image.mode != "I" or values.max(initial=0) > 255:
            values = np.rint(values / 257)
        image = Pillow.fromarray(values.clip(0, 255).astype(np.uint8))
    return image.convert("RGB")
