"""Pictures of every mode, and strips far longer than wide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from hiereval.adapters.image_processing import middle, process, to_rgb


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = Image.fromarray(np.array([[0, 255, 257, 32_896, 65_535]], dtype=np.uint16))
    assert deep.mode == "I;16"
    assert np.asarray(to_rgb(deep))[0, :, 0].tolist() == [0, 1, 1, 128, 255]
    old = Image.fromarray(np.array([[0, 257, 65_535]], dtype=np.int32))
    assert np.asarray(to_rgb(old))[0, :, 2].tolist() == [0, 1, 255]
    shallow = Image.fromarray(np.array([[-3, 7, 255]], dtype=np.int32))
    assert np.asarray(to_rgb(shallow))[0, :, 1].tolist() == [0, 7, 255]


def test_transparency_is_dropped_and_palettes_resolved() -> None:
    clear = Image.new("RGBA", (1, 1), (10, 20, 30, 0))
    assert to_rgb(clear).getpixel((0, 0)) == (10, 20, 30)
    palette = Image.new("RGB", (2, 1), (10, 20, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert to_rgb(palette).getpixel((0, 0)) == (10, 20, 30)
    same = Image.new("RGB", (1, 1))
    assert to_rgb(same).mode == "RGB"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (640, 480)),
        ((16, 1), (16, 1)),
        ((17, 1), (17, 1)),  # half a pixel cannot be cut
        ((18, 1), (16, 1)),
        ((1, 4000), (1, 16)),
        ((4001, 3), (49, 3)),
    ],
)
def test_only_strips_are_cut(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert middle(Image.new("RGB", size)).size == expected


@pytest.mark.parametrize("size", [(200, 5), (5, 301), (3, 64)])
def test_cutting_a_strip_first_changes_nothing_to_see(size: tuple[int, int]) -> None:
    """The whole strip, resized and cropped, against its middle: two levels of 255 at most."""
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    strip = Image.fromarray(noise)
    assert middle(strip).size != size
    whole = processor(strip, return_tensors="pt")["pixel_values"][0]
    level = 1 / 255 / min(processor.image_std)
    difference = process(processor, strip)["pixel_values"] - whole
    assert difference.abs().max() <= 2 * level
    assert not torch.equal(whole, whole.flip(-1))


def test_a_processor_that_crops_is_given_the_middle_alone() -> None:
    """The resize of the whole strip, 224 x 896,000, would take gigabytes."""
    seen = []

    class Recording(transformers.CLIPImageProcessorPil):
        def resize(self, image: np.ndarray, *arguments: object, **settings: object) -> np.ndarray:
            seen.append(image.shape)
            return super().resize(image, *arguments, **settings)

    strip = Image.new("RGB", (1, 4000), (9, 9, 9))
    assert process(Recording(), strip)["pixel_values"].shape == (3, 224, 224)
    squash = Recording(size={"height": 8, "width": 8}, do_center_crop=False)
    assert process(squash, strip)["pixel_values"].shape == (3, 8, 8)
    assert seen == [(3, 16, 1), (3, 4000, 1)]


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"do_resize": False}, (1, 400)),
        ({"size": {"shortest_edge": 32, "longest_edge": 60}}, (5, 110)),
    ],
    ids=["not resized", "longer side bounded"],
)
def test_a_strip_stays_whole_where_its_ends_are_seen(
    settings: dict[str, Any], shape: tuple[int, int]
) -> None:
    stated = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    processor = transformers.CLIPImageProcessorPil(**{**stated, **settings})
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    strip = Image.fromarray(noise)
    whole = processor(strip, return_tensors="pt")["pixel_values"][0]
    assert torch.equal(process(processor, strip)["pixel_values"], whole)
    cut = processor(middle(strip), return_tensors="pt")["pixel_values"][0]
    assert not torch.equal(cut, whole)
