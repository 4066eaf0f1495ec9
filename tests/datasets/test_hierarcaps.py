"""HierarCaps: made-up files in its form, then the published ones where they are at hand."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.loopback import Loopback

from hiereval import download
from hiereval.datasets import hierarcaps, open_dataset
from hiereval.errors import HierevalError
from hiereval.places import Places
from hiereval.types import Chains, DataOptions


def picture(shade: int, size: int = 256) -> bytes:
    out = io.BytesIO()
    Image.new("L", (size, size), shade).save(out, "PNG")
    return out.getvalue()


def url(coco_id: int) -> str:
    return f"http://images.cocodataset.org/val2014/COCO_val2014_{coco_id:012d}.jpg"


CSV = "id,captions,image_url\n" + "".join(
    f"{n},a{n} => b => c => d{n},{url(coco_id)}\n" for n, coco_id in enumerate((7, 3, 7))
)
EXPANDED = "positive,negative,image_url\n" + "".join(
    f"p{n} => q => r => s{n},x => y => z => w{n},{url(coco_id)}\n"
    for n, coco_id in enumerate((9, 3, 8, 7, 9))
)
TRAIN = "positive,negative\nt => u => v => w,e => f => g => h\n"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server with small files in HierarCaps' form, and their hashes as the published ones."""
    served = {
        "data/hierarcaps_test.csv": CSV.encode(),
        "data/hierarcaps_test_expanded.csv.gz": gzip.compress(EXPANDED.encode(), mtime=0),
        "data/hierarcaps_train.csv.gz": gzip.compress(TRAIN.encode(), mtime=0),
        "assets/test_imgs/COCO_val2014_000000000003.jpg": picture(30),
        "assets/test_imgs/COCO_val2014_000000000007.jpg": picture(70),
    }
    manifest = tuple(
        (path, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
        for path, data in served.items()
    )
    monkeypatch.setattr(hierarcaps, "_manifest", lambda: manifest)
    monkeypatch.setattr(hierarcaps, "_test_images", lambda: frozenset({3, 7}))
    monkeypatch.setattr(download, "PAUSE", 0.0)
    with Loopback({f"/{path}": data for path, data in served.items()}) as server:
        monkeypatch.setenv("HIEREVAL_MIRROR", server.url + "/")
        monkeypatch.delenv("HF_HUB_OFFLINE")
        yield server


@pytest.fixture
def options(published: Loopback, tmp_path: Path) -> DataOptions:
    """All of these files, fetched."""
    hierarcaps.download(Places.of(data_dir=tmp_path))
    published.requests.clear()
    return DataOptions(places=Places.of(data_dir=tmp_path, offline=True))


def captions(data: Chains, index: np.ndarray) -> list[list[str]]:
    return [[data.texts[i] for i in chain] for chain in index.tolist()]


def test_first_use_fetches_what_the_dataset_needs(published: Loopback, tmp_path: Path) -> None:
    data = open_dataset("hierarcaps", DataOptions(places=Places.of(data_dir=tmp_path)))
    assert sorted(path for path, _ in published.requests) == [
        "/assets/test_imgs/COCO_val2014_000000000003.jpg",
        "/assets/test_imgs/COCO_val2014_000000000007.jpg",
        "/data/hierarcaps_test.csv",
    ]
    assert isinstance(data, Chains)
    assert (
        open_dataset("hierarcaps", DataOptions(places=Places.of(data_dir=tmp_path))).sha256
        == data.sha256
    )
    assert len(published.requests) == 3


def test_rows_keep_their_order_and_share_images(options: DataOptions) -> None:
    data = hierarcaps.test(options)
    assert (data.name, data.split, data.revision) == ("hierarcaps", "test", hierarcaps.COMMIT)
    assert data.texts == ("a0", "b", "c", "d0", "a1", "d1", "a2", "d2")
    assert data.chains.tolist() == [[0, 1, 2, 3], [4, 1, 2, 5], [6, 1, 2, 7]]
    assert data.pool.tolist() == [0, 1, 2, 3, 4, 1, 2, 5, 6, 1, 2, 7]
    assert data.chain_image is not None
    assert data.chain_image.tolist() == [0, 1, 0]
    names = [f"COCO_val2014_{coco_id:012d}.jpg" for coco_id in (7, 3)]
    assert [image.name for image in data.images] == names
    assert data.images[0].read() == picture(70)
    assert (data.image_source, data.negatives) == (hierarcaps.BUNDLED, None)


def test_expanded_keeps_the_chains_of_test_images(options: DataOptions) -> None:
    data = hierarcaps.expanded(options)
    assert captions(data, data.chains) == [["p1", "q", "r", "s1"], ["p3", "q", "r", "s3"]]
    assert data.negatives is not None
    assert captions(data, data.negatives) == [["x", "y", "z", "w1"], ["x", "y", "z", "w3"]]
    assert len(data.pool) == 8


def test_the_expanded_pool_is_every_distinct_positive_caption(options: DataOptions) -> None:
    data = hierarcaps.expanded_pool(options)
    assert captions(data, data.chains) == [["p1", "q", "r", "s1"], ["p3", "q", "r", "s3"]]
    pool = " ".join(data.texts[i] for i in data.pool)
    assert pool == "p0 q r s0 p1 s1 p2 s2 p3 s3 p4 s4"
    assert data.negatives is None
    assert set(data.texts) == {data.texts[i] for i in data.pool}


def test_training_chains_share_no_image_with_the_test_split(options: DataOptions) -> None:
    (options.root / "hierarcaps" / "hierarcaps_train.csv.gz").unlink()
    data = hierarcaps.train(options)
    assert [chain[0] for chain in captions(data, data.chains)] == ["p0", "p2", "p4"]
    assert [image.name for image in data.images] == [url(9)[-29:], url(8)[-29:]]
    assert (data.name, data.split) == ("hierarcaps-train", "train")


def test_the_published_training_file_is_used_where_it_is(options: DataOptions) -> None:
    data = hierarcaps.train(options)
    assert captions(data, data.chains) == [["t", "u", "v", "w"]]
    assert data.negatives is not None
    assert captions(data, data.negatives) == [["e", "f", "g", "h"]]
    assert (data.images, data.chain_image) == ((), None)


def test_images_are_paired_by_coco_id(options: DataOptions) -> None:
    folder = options.root / "hierarcaps" / "test_imgs"
    (folder / "COCO_val2014_000000000007.jpg").rename(folder / "000000000007.png")
    data = hierarcaps.test(options)
    assert data.images[0].read() == picture(70)
    assert data.image_source == hierarcaps.BUNDLED


def test_which_images_is_said(options: DataOptions) -> None:
    folder = options.root / "hierarcaps" / "test_imgs"
    (folder / "COCO_val2014_000000000007.jpg").write_bytes(picture(0, 300))
    assert hierarcaps.test(options).image_source == (
        f"{hierarcaps.BUNDLED}: 1 of 2, the others differ"
    )
    (folder / "COCO_val2014_000000000003.jpg").write_bytes(picture(0, 200))
    assert hierarcaps.test(options).image_source == hierarcaps.ORIGINALS
    (folder / "COCO_val2014_000000000003.jpg").write_bytes(picture(0, 256))
    assert hierarcaps.test(options).image_source == "neither bundled nor COCO"


def test_offline_and_no_data(published: Loopback, tmp_path: Path) -> None:
    options = DataOptions(places=Places.of(data_dir=tmp_path, offline=True))
    with pytest.raises(HierevalError) as caught:
        open_dataset("hierarcaps", options)
    advice = (
        "Run 'hiereval download hierarcaps' with a connection, or name the folder that holds "
        "'hierarcaps' with --data-dir."
    )
    folder = str(tmp_path / "hierarcaps")
    assert str(caught.value) == (
        f"HierarCaps must be complete under {folder!r} when offline; missing: "
        f"hierarcaps_test.csv and 2 images. {advice}"
    )
    hierarcaps.download(Places.of(data_dir=tmp_path))
    (tmp_path / "hierarcaps" / "test_imgs" / "COCO_val2014_000000000007.jpg").unlink()
    with pytest.raises(HierevalError) as caught:
        open_dataset("hierarcaps-expanded", options)
    assert str(caught.value) == (
        f"HierarCaps must be complete under {folder!r} when offline; missing: 1 image. {advice}"
    )


def test_a_truncated_csv(options: DataOptions) -> None:
    path = options.root / "hierarcaps" / "hierarcaps_test.csv"
    path.write_text(CSV[: CSV.index("=> d1") + 2], "utf-8")
    with pytest.raises(HierevalError) as caught:
        hierarcaps.test(options)
    assert str(caught.value) == (
        f"The data file {str(path)!r} has 1 problem:\n"
        "  row 2 (line 3): 2 fields where the header has 3\n"
        "Delete it and run 'hiereval download hierarcaps' for the published one, or score it as "
        "your own data with '--dataset PATH'."
    )


def test_a_csv_with_another_caption(options: DataOptions) -> None:
    path = options.root / "hierarcaps" / "hierarcaps_test.csv"
    path.write_text(CSV.replace("a0", "other"), "utf-8")
    with pytest.raises(HierevalError) as caught:
        hierarcaps.test(options)
    assert str(caught.value) == (
        f"The data file {str(path)!r} differs from the published one. Delete it and run 'hiereval "
        "download hierarcaps' for the published one, or score it as your own data with "
        "'--dataset PATH'."
    )
    assert open_dataset(str(path), options).texts[0] == "other"


def test_splits(options: DataOptions) -> None:
    assert open_dataset("hierarcaps:test", options).split == "test"
    assert open_dataset("hierarcaps-train:train", options).split == "train"
    with pytest.raises(HierevalError) as caught:
        open_dataset("hierarcaps:train", options)
    assert str(caught.value) == (
        "The split 'train' of hierarcaps must be 'test'. The training chains are "
        "'hierarcaps-train'."
    )
    with pytest.raises(HierevalError, match=r"^The split 'test' of hierarcaps-train must be 'tr"):
        open_dataset("hierarcaps-train:test", options)


def test_the_hashes_name_every_published_file() -> None:
    files = hierarcaps.published()
    assert len(files) == 1_003
    assert sum(name.startswith("test_imgs/COCO_val2014_") for name in files) == 1_000
    assert files["hierarcaps_test.csv"].digest == (
        "sha256:3474564194fd2a85e1d8f4dbe6e040c795e94677b2982cfb161b14908cae33b0"
    )
    assert files["hierarcaps_test_expanded.csv.gz"].digest == (
        "sha256:746a0fee51ee4554d7f050a9d6838699375f7175c12655cbd98562f42afe8590"
    )
    assert files["test_imgs/COCO_val2014_000000000139.jpg"].url == (
        "https://raw.githubusercontent.com/TAU-VAILab/hierarcaps/"
        "ba22b8914db10973e38d2c03f08bb4dce7ba118e/assets/test_imgs/COCO_val2014_000000000139.jpg"
    )


@pytest.fixture(scope="module")
def real(hierarcaps_root: Path) -> DataOptions:
    return DataOptions(places=Places.of(data_dir=hierarcaps_root, offline=True))


@pytest.fixture(scope="module")
def data(real: DataOptions) -> Chains:
    return hierarcaps.test(real)


@pytest.mark.data
def test_counts(data: Chains) -> None:
    assert data.chains.shape == (1_000, 4)
    assert (len(data.texts), len(data.images), len(data.pool)) == (3_132, 1_000, 4_000)
    assert data.image_source == hierarcaps.BUNDLED


@pytest.mark.data
def test_pairs_that_word_count_orders_wrong(data: Chains) -> None:
    words = np.array([len(text.split()) for text in data.texts])[data.chains]
    shorter = sum((words[:, j] < words[:, i]).sum() for i in range(4) for j in range(i + 1, 4))
    no_longer = sum((words[:, j] <= words[:, i]).sum() for i in range(4) for j in range(i + 1, 4))
    assert (no_longer, shorter) == (475, 185)


@pytest.mark.data
def test_expanded(real: DataOptions, data: Chains) -> None:
    expanded = hierarcaps.expanded(real)
    assert expanded.negatives is not None
    assert expanded.chains.shape == expanded.negatives.shape == (4_709, 4)
    assert {i.name for i in expanded.images} == {i.name for i in data.images}


@pytest.mark.data
def test_expanded_pool(real: DataOptions) -> None:
    pool = hierarcaps.expanded_pool(real)
    assert pool.chains.shape == (4_709, 4)
    assert len(pool.pool) == len(set(pool.pool.tolist())) == len(pool.texts) == 52_401


@pytest.mark.data
def test_train(real: DataOptions, data: Chains, tmp_path: Path) -> None:
    (tmp_path / "hierarcaps").mkdir()
    name = "hierarcaps_test_expanded.csv.gz"
    shutil.copy(real.root / "hierarcaps" / name, tmp_path / "hierarcaps" / name)
    train = hierarcaps.train(DataOptions(places=Places.of(data_dir=tmp_path, offline=True)))
    assert train.chains.shape == (18_770, 4)
    assert len(train.images) == 4_000
    assert not {i.name for i in train.images} & {i.name for i in data.images}


@pytest.mark.data
def test_the_training_files_form(real: DataOptions) -> None:
    sample = real.root / "hierarcaps" / "hierarcaps_train_sample.csv"
    if not sample.is_file():
        pytest.skip("no sample of the training file")
    data = open_dataset(str(sample), real)
    assert isinstance(data, Chains)
    assert data.negatives is not None
    assert data.chains.shape == data.negatives.shape == (100, 4)
