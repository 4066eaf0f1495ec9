"""Images read once: out of a tar and from files, beside the same with the bare libraries.

    python benchmarks/streaming.py [--images 20000] [--side 64]

A tar of random JPEGs: read, hashed and decoded as `hiereval encode` does it, beside tarfile and
Pillow alone; and their headers looked at, as a run does before it encodes, beside Pillow with each
image read whole. The same images as files: hashed as a run does it the first time and the second,
when what is remembered is looked up, beside reading them and hashing the bytes. Seconds of the
processor, and their ratios.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from clocks import timed
from PIL import Image

from hiereval import hashes
from hiereval.datasets import image_files, tars
from hiereval.datasets.image_files import TarImage
from hiereval.datasets.image_parts import HeldImage, parts

DISTINCT = 64  # pictures; the others are these with another comment, so that hashes differ


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=64, help="pixels")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tar, files = made(Path(scratch), given.images, given.side)
        there = list(tars.images(tar).values())
        memory = Path(scratch, "memory")
        memory.mkdir()
        time.sleep(hashes.RECENT)  # a file that has just changed is not remembered
        for what, ours, bare in (
            ("tar read and decoded", lambda: streamed(tar), lambda: plain(tar)),
            ("headers in a tar", lambda: image_files.verify(there), lambda: opened_whole(there)),
            ("files hashed", lambda: hashed(files, memory), lambda: digested(files)),
            ("hashes remembered", lambda: hashed(files, memory), lambda: digested(files)),
        ):
            least, took = timed(bare)[1], timed(ours)[1]
            print(f"{given.images:,} images, {what}: {took:.2f} s, bare {least:.2f} s, ", end="")
            print(f"bare / ours {least / took:.2f}")


def made(folder: Path, n: int, side: int) -> tuple[Path, list[Path]]:
    """Write n pictures as a tar and as files."""
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((side, side))
        for _ in range(DISTINCT)
    ]
    files = []
    (folder / "files").mkdir()
    with tarfile.open(folder / "images.tar", "w") as tar:
        for i in range(n):
            held = io.BytesIO()
            pictures[i % DISTINCT].save(held, "JPEG", comment=str(i).encode())
            content = held.getvalue()
            member = tarfile.TarInfo(f"{i:06d}.jpg")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            files.append(folder / "files" / member.name)
            files[-1].write_bytes(content)
    return folder / "images.tar", files


def streamed(tar: Path) -> None:
    """Names, hashes, checks and pixels, as `hiereval encode` has them before the network."""
    (part,) = parts(str(tar))
    for image in part.images():
        assert isinstance(image, HeldImage)
        image_files.sha256_of(image)
        image_files.decode(image)


def plain(tar: Path) -> None:
    """Pixels, by tarfile and Pillow."""
    with tarfile.open(tar, "r:") as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            Image.open(file).convert("RGB")


def opened_whole(images: Sequence[TarImage]) -> None:
    """Headers, by Pillow, of images that are read whole."""
    for image in images:
        Image.open(io.BytesIO(image.read()))


def hashed(files: list[Path], memory: Path) -> None:
    hashes.memory.cache_clear()  # as in another process
    for file in files:
        hashes.of_file(file, memory)


def digested(files: list[Path]) -> None:
    for file in files:
        hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
