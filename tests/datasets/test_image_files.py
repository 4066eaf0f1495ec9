"""Pictures that are none: found before any is encoded, whole messages."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hiereval.datasets import image_files
from hiereval.datasets.image_files import (
    MAX_PIXELS,
    FileImage,
    content_sha256,
    decode,
    require,
    verify,
)
from hiereval.errors import HierevalError


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its few bytes do not hold."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def jpeg(mode: str = "RGB", exif: Image.Exif | None = None) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, "JPEG", exif=exif or Image.Exif())
    return out.getvalue()


NO_IMAGE = "is empty or not an image (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP)"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n"
BAD = {
    "eps.jpg": (EPS, NO_IMAGE),
    "text.jpg": (b"this is a text", NO_IMAGE),
    "empty.jpg": (b"", NO_IMAGE),
    "bomb.png": (png_of(50_000, 50_000), f"has more than {MAX_PIXELS:,} pixels"),
    "large.png": (png_of(10_000, 9_000), f"has more than {MAX_PIXELS:,} pixels"),
}


def file(folder: Path, name: str, data: bytes) -> FileImage:
    (folder / name).write_bytes(data)
    return FileImage(name, folder / name)


def test_what_is_refused_is_not_warned_of_as_well(tmp_path: Path) -> None:
    source = file(tmp_path, "large.png", BAD["large.png"][0])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with pytest.raises(HierevalError):
            verify([source])
    assert shown == []


@pytest.mark.parametrize("name", list(BAD))
def test_bad_pictures_are_named(tmp_path: Path, name: str) -> None:
    source = file(tmp_path, name, BAD[name][0])
    expected = f"The image {name!r} {BAD[name][1]}."
    for check in (decode, lambda bad: verify([bad])):
        with pytest.raises(HierevalError) as caught:
            check(source)
        assert str(caught.value) == expected


def test_all_bad_pictures_are_counted_before_any_is_decoded(tmp_path: Path) -> None:
    good = file(tmp_path, "good.jpg", jpeg())
    bad = [file(tmp_path, name, data) for name, (data, _) in BAD.items()]
    missing = FileImage("none.jpg", tmp_path / "none.jpg")
    verify([good])
    with pytest.raises(HierevalError) as caught:
        verify([good, *bad, missing, good])
    assert str(caught.value).split("\n") == [
        "6 images cannot be used:",
        *(f"  The image {name!r} {problem}." for name, (_, problem) in BAD.items()),
        "  The image 'none.jpg' cannot be read: No such file or directory.",
    ]


def test_a_picture_cut_short_is_found_when_decoded(tmp_path: Path) -> None:
    source = file(tmp_path, "cut.jpg", jpeg()[:-1_500])
    verify([source])
    with pytest.raises(HierevalError) as caught:
        decode(source)
    assert str(caught.value).startswith("The image 'cut.jpg' is damaged: image file is truncated (")
    source = file(tmp_path, "cut.png", png_of(64, 64))
    with pytest.raises(HierevalError, match=r"^The image 'cut\.png' is damaged: "):
        decode(source)


def test_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    for check in (decode, FileImage.read):
        with pytest.raises(HierevalError) as caught:
            check(FileImage("none.jpg", tmp_path / "none.jpg"))
        assert str(caught.value) == (
            "The image 'none.jpg' cannot be read: No such file or directory."
        )


def test_mode_and_orientation_stay_as_in_the_file(tmp_path: Path) -> None:
    assert decode(file(tmp_path, "grey.jpg", jpeg("L"))).mode == "L"
    turned = Image.Exif()
    turned[0x0112] = 6
    assert decode(file(tmp_path, "turned.jpg", jpeg(exif=turned))).size == (60, 40)


def test_sources_that_are_no_files_are_read_only_when_decoded() -> None:
    class Drawn:
        name = "drawn.png"

        def read(self) -> bytes:
            return b""

    verify([Drawn()])
    with pytest.raises(HierevalError, match=r"^The image 'drawn\.png' is empty or not an image"):
        decode(Drawn())


def test_the_hash_of_images_is_of_names_and_content_in_any_order(tmp_path: Path) -> None:
    a, b = file(tmp_path, "a.jpg", b"one"), file(tmp_path, "b.jpg", b"two")
    absent = FileImage("c.jpg", tmp_path / "c.jpg")
    first = content_sha256([a, b])
    assert first == content_sha256([b, a])
    assert content_sha256([]) is None
    others = [
        [a],
        [a, b, absent],
        [absent],
        [FileImage("a.jpg", b.path), FileImage("b.jpg", a.path)],
    ]
    (tmp_path / "b.jpg").write_bytes(b"six")
    hashes = [first, content_sha256([a, b]), *map(content_sha256, others)]
    assert len(set(hashes)) == len(hashes)


def test_what_is_no_file_is_hashed_as_it_is_read() -> None:
    class Drawn:
        def __init__(self, content: bytes) -> None:
            self.name, self.content = "drawn.png", content

        def read(self) -> bytes:
            return self.content

    assert content_sha256([Drawn(b"1")]) != content_sha256([Drawn(b"2")])


def test_an_image_file_is_not_read_beyond_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "MAX_BYTES", 1_000)
    with pytest.raises(HierevalError) as caught:
        decode(file(tmp_path, "a.jpg", jpeg()))
    assert str(caught.value) == "The image 'a.jpg' must have at most 1,000 bytes."


def test_missing_files_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    images = [FileImage(f"{i}.jpg", tmp_path / f"{i}.jpg") for i in range(4)]
    for image in images[::2]:
        image.path.touch()
    require(images[::2])
    with pytest.raises(HierevalError) as caught:
        require(images[:2])
    assert str(caught.value) == ("The image '1.jpg' cannot be read: No such file or directory.")
    with pytest.raises(HierevalError) as caught:
        require(images)
    assert str(caught.value) == (
        "The 4 images must all be there; 2 are not, the first is '1.jpg': "
        f"put it at '{tmp_path / '1.jpg'}'."
    )
