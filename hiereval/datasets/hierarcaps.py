"""HierarCaps: caption chains over COCO val2014, general to specific, with contradicting ones.

Alper & Averbuch-Elor, "Emergent Visual-Semantic Hierarchies in Image-Text Representations",
ECCV 2024, arXiv 2407.08521; files of github.com/TAU-VAILab/hierarcaps at COMMIT. They have no
licence of their own, so they are fetched from there, each checked by the hash in hierarcaps.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from hiereval.datasets.chain_rows import Problems, Row, check, read_rows
from hiereval.datasets.chains import assemble
from hiereval.datasets.image_files import FileImage, open_image
from hiereval.download import Remote, digest, fetch
from hiereval.errors import HierevalError
from hiereval.places import Places
from hiereval.types import Chains, DataOptions

COMMIT = "ba22b8914db10973e38d2c03f08bb4dce7ba118e"
BASE_URL = f"https://raw.githubusercontent.com/TAU-VAILab/hierarcaps/{COMMIT}"
TEST, EXPANDED, TRAIN = (
    "hierarcaps_test.csv",
    "hierarcaps_test_expanded.csv.gz",
    "hierarcaps_train.csv.gz",
)
IMAGES = "test_imgs"
TRAINING = "hierarcaps-train"
BUNDLED = "256 x 256 white-letterboxed copies bundled with HierarCaps"
ORIGINALS = "COCO val2014 originals"


def test(options: DataOptions) -> Chains:
    """HierarCaps test: 1,000 curated chains of four, an image each; the scored split."""
    _split(options, "hierarcaps", "test")
    rows = _rows(options, TEST, with_images=True)
    images, source = _images(options.places, rows)
    return assemble(
        [row.captions for row in rows],
        None,
        images,
        name="hierarcaps",
        split="test",
        training=TRAINING,
        revision=COMMIT,
        image_source=source,
    )


def expanded(options: DataOptions) -> Chains:
    """HierarCaps expanded: 4,709 chains with contradicting chains on the 1,000 test images."""
    _split(options, "hierarcaps-expanded", "test")
    rows = [row for row in _rows(options, EXPANDED, with_images=True) if _is_test(row)]
    images, source = _images(options.places, rows)
    return assemble(
        [row.captions for row in rows],
        _negatives(rows),
        images,
        name="hierarcaps-expanded",
        split="test",
        training=TRAINING,
        revision=COMMIT,
        image_source=source,
    )


def expanded_pool(options: DataOptions) -> Chains:
    """HierarCaps expanded, retrieved among all of its 52,401 distinct positive captions."""
    _split(options, "hierarcaps-expanded-pool", "test")
    everything = _rows(options, EXPANDED, with_images=True)
    rows = [row for row in everything if _is_test(row)]
    images, source = _images(options.places, rows)
    return assemble(
        [row.captions for row in rows],
        None,
        images,
        dict.fromkeys(caption for row in everything for caption in row.captions),
        name="hierarcaps-expanded-pool",
        split="test",
        training=TRAINING,
        revision=COMMIT,
        image_source=source,
    )


def train(options: DataOptions) -> Chains:
    """HierarCaps training chains with contradicting ones; none on an image of the test split.

    The published training file where it is at hand (text only), else the expanded chains of the
    images outside the test split: these images have names, but their files are not published.
    """
    _split(options, "hierarcaps-train", "train")
    published = (options.root / "hierarcaps" / TRAIN).is_file()
    rows = _rows(options, TRAIN if published else EXPANDED)
    if not published:
        rows = [row for row in rows if not _is_test(row)]
    folder = options.root / "hierarcaps" / "train_imgs"
    return assemble(
        [row.captions for row in rows],
        _negatives(rows),
        [FileImage(row.image, folder / row.image) for row in rows if row.image] or None,
        name="hierarcaps-train",
        split="train",
        revision=COMMIT,
        image_source="" if published else f"{ORIGINALS}, not published with HierarCaps",
    )


def published(base_url: str = BASE_URL, root: Path = Path()) -> dict[str, Remote]:
    """Return every published file by its name under `hierarcaps/` of a data root."""
    remotes = {}
    for path, content, size in _manifest():
        name = path.removeprefix("data/").removeprefix("assets/")
        remotes[name] = Remote(f"{base_url}/{path}", root / "hierarcaps" / name, content, size)
    return remotes


def download(places: Places, names: Iterable[str] | None = None) -> int:
    """Fetch what is missing of these files (default: all) and check what is there.

    The places' mirror stands for BASE_URL. Returns how many files were fetched.
    """
    remotes = published((places.mirror or BASE_URL).rstrip("/"), places.data)
    return fetch([remotes[name] for name in (names or remotes)], "HierarCaps")


@cache
def _manifest() -> tuple[tuple[str, str, int | None], ...]:
    text = (files("hiereval.datasets") / "hierarcaps.txt").read_text("utf-8")
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return tuple((path, content, int(n) if n.isdigit() else None) for content, n, path in lines)


@cache
def _test_images() -> frozenset[int]:
    return frozenset(_coco_id(path) for path, _, _ in _manifest() if path.endswith(".jpg"))


def _coco_id(name: str) -> int:
    """Return the number at the end of a file name, by which the released code pairs images."""
    found = re.search(r"(\d+)$", name.rpartition(".")[0])
    return int(found[1]) if found else -1


def _is_test(row: Row) -> bool:
    return row.image is not None and _coco_id(row.image) in _test_images()


def _negatives(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [row.negatives for row in rows if row.negatives is not None]


def _split(options: DataOptions, name: str, only: str) -> None:
    if options.split not in (None, only):
        other = "" if only == "train" else " The training chains are 'hierarcaps-train'."
        raise HierevalError(f"The split {options.split!r} of {name} must be {only!r}.{other}")


def _rows(options: DataOptions, name: str, with_images: bool = False) -> list[Row]:
    """Return a published file's rows, fetching what is missing, refusing what is altered."""
    _obtain(options, [name, *(n for n in published() if with_images and n.startswith(IMAGES))])
    path = options.root / "hierarcaps" / name
    expected = str(published()[name].digest)
    altered = digest(path, expected) != expected
    problems = Problems(path)
    try:
        rows = read_rows(path, problems)
        check(rows, problems, tiers=4)
        problems.done()
    except HierevalError as error:
        raise HierevalError(f"{error}\n{_ALTERED}" if altered else str(error)) from error
    if altered:
        raise problems.fail(f"differs from the published one. {_ALTERED}")
    return rows


_ALTERED = (
    "Delete it and run 'hiereval download hierarcaps' for the published one, "
    "or score it as your own data with '--dataset PATH'."
)


def _obtain(options: DataOptions, names: Sequence[str]) -> None:
    folder = options.root / "hierarcaps"
    present = _pictures(folder / IMAGES)
    missing = [
        name for name in names if not (folder / name).is_file() and _coco_id(name) not in present
    ]
    if missing and options.offline:
        images = [name for name in missing if name.startswith(IMAGES)]
        what = [name for name in missing if name not in images]
        if images:
            what.append(f"{len(images):,} image{'s' if len(images) > 1 else ''}")
        raise HierevalError(
            f"HierarCaps must be complete under {str(folder)!r} when offline; missing: "
            f"{' and '.join(what)}. Run 'hiereval download hierarcaps' with a connection, "
            "or name the folder that holds 'hierarcaps' with --data-dir."
        )
    if missing:
        download(options.places, names=missing)


def _pictures(folder: Path) -> dict[int, Path]:
    """Return the image files of a folder by COCO id."""
    if not folder.is_dir():
        return {}
    found = {_coco_id(path.name): path for path in sorted(folder.iterdir())}
    return {coco_id: path for coco_id, path in found.items() if coco_id >= 0}


def _images(places: Places, rows: Sequence[Row]) -> tuple[list[FileImage], str]:
    """Return each row's image and, in words, which images these are."""
    pictures = _pictures(places.data / "hierarcaps" / IMAGES)
    images = [
        FileImage(row.image, pictures[_coco_id(row.image)], places.cache)
        for row in rows
        if row.image
    ]
    return images, _image_source(list({image.name: image for image in images}.values()))


def _image_source(images: Sequence[FileImage]) -> str:
    expected = {name: remote.digest for name, remote in published().items()}
    bundled = sum(
        f"sha256:{image.sha256()}" == expected[f"{IMAGES}/{image.name}"] for image in images
    )
    if bundled == len(images):
        return BUNDLED
    if bundled:
        return f"{BUNDLED}: {bundled:,} of {len(images):,}, the others differ"
    squares = any(_is_square_256(image.path) for image in images)
    return "neither bundled nor COCO" if squares else ORIGINALS


def _is_square_256(path: Path) -> bool:
    import PIL.Image

    try:
        with open_image(path) as image:
            return image.size == (256, 256)
    except (OSError, PIL.Image.DecompressionBombError):
        return False
