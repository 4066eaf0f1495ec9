"""transformers' image processors, and pictures of every mode and shape as they expect them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval.adapters.devices import stacked
from hiereval.adapters.transformers_weights import first_line, quiet
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

LONGEST = 16  # sides longer than so many times the other are cut before a resize and centre crop


def load(name: str, settings: Mapping[str, Any], model_type: str) -> Any:
    """Return the image processor of these settings that resizes with Pillow."""
    with quiet(), tempfile.TemporaryDirectory(prefix="hiereval-") as made:
        from transformers import AutoConfig, AutoImageProcessor

        (Path(made) / "preprocessor_config.json").write_text(json.dumps(settings), "utf-8")
        try:
            processor = AutoImageProcessor.from_pretrained(
                made,
                config=AutoConfig.for_model(model_type),
                backend="pil",
                local_files_only=True,
                trust_remote_code=False,
            )
        except Exception as error:
            raise HierevalError(
                f"The image processor of {name!r} must be readable: {first_line(error)}"
            ) from error
    if processor.backend != "pil":
        raise HierevalError(
            f"The image processor {type(processor).__name__} of {name!r} must have a variant that "
            "uses Pillow."
        )
    return processor


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


def process(processor: Any, image: Image, longest: int = LONGEST) -> dict[str, Tensor]:
    """Return what an image processor makes of one picture, without the batch axis.

    A picture over `longest` times as long as it is wide is cut to its middle before a centre crop.
    """
    image = to_rgb(image)
    if _drops_ends(processor):
        image = middle(image, longest)
    inputs = processor(images=image, return_tensors="pt")
    return {key: value[0] for key, value in inputs.items()}


def _drops_ends(processor: Any) -> bool:
    """Whether the shorter side is made so long, whatever the other is, and the middle then kept."""
    if not (getattr(processor, "do_center_crop", None) and getattr(processor, "do_resize", None)):
        return False
    return bool(processor.size.shortest_edge and not processor.size.longest_edge)


def middle(image: Image, longest: int = LONGEST) -> Image:
    """Return the middle of a picture that is over `longest` times as long as it is wide.

    A centre crop would drop the rest after the resize, which takes gigabytes for a strip of
    1 x 4000. The middle stays where it was.
    """
    kept = longest * min(image.size)
    cuts = [max(0, side - kept) // 2 for side in image.size]
    if not any(cuts):
        return image
    (width, height), (x, y) = image.size, cuts
    return image.crop((x, y, width - x, height - y))


def collate(inputs: Sequence[Mapping[str, Tensor]], device: str) -> dict[str, Tensor]:
    """Stack processed pictures and put them on the device."""
    return {key: stacked([x[key] for x in inputs], device) for key in inputs[0]}
