from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.fakes import HashAdapter, vector
from support.pictures import Picture
from support.pictures import painted as dataset

from hiereval import hashes
from hiereval.datasets.image_files import FileImage
from hiereval.embed import embed
from hiereval.errors import HierevalError
from hiereval.store import Store
from hiereval.types import LoadOptions

NO_IMAGE = "is empty or not an image (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP)"


@pytest.fixture
def fake() -> HashAdapter:
    HashAdapter.calls.clear()
    return HashAdapter("c", LoadOptions())


def test_rows_are_in_the_datasets_order(tmp_path: Path, fake: HashAdapter) -> None:
    data = dataset()
    got, stats = embed(
        fake, data, images=True, anchors=["", data.texts[3]], store=Store(tmp_path), batch_size=7
    )
    assert torch.equal(got.text, torch.stack([vector(t.encode()) for t in data.texts]))
    assert got.image is not None
    colours = [bytes(picture.colour) for picture in data.images]
    assert torch.equal(got.image, torch.stack([vector(c) for c in colours]))
    assert torch.equal(got.anchors[""], vector(b""))
    assert torch.equal(got.anchors[data.texts[3]], got.text[3])
    assert (stats.n_texts, stats.n_images, stats.batch_size) == (41, 30, 7)
    too_long = sum(len(t.split()) + 2 > 6 for t in data.texts)
    assert stats.n_truncated == too_long > 0


def test_a_second_call_encodes_nothing(tmp_path: Path, fake: HashAdapter) -> None:
    data, store = dataset(), Store(tmp_path)
    first, _ = embed(fake, data, images=True, anchors=[""], store=store)
    HashAdapter.calls.clear()
    second, stats = embed(fake, data, images=True, anchors=[""], store=store)
    assert HashAdapter.calls == []
    assert torch.equal(first.text, second.text)
    assert (stats.n_texts, stats.n_images, stats.texts_per_s) == (0, 0, None)
    assert stats.n_truncated is not None  # known without a tokenizer


def test_only_what_is_missing_is_encoded(tmp_path: Path, fake: HashAdapter) -> None:
    store = Store(tmp_path)
    embed(fake, dataset(20, 10), images=False, store=store)
    HashAdapter.calls.clear()
    embed(fake, dataset(40, 10), images=True, store=store)
    assert sum(n for what, n in HashAdapter.calls if what == "texts") == 20
    assert sum(n for what, n in HashAdapter.calls if what == "images") == 10


def test_equal_images_are_encoded_once(tmp_path: Path, fake: HashAdapter) -> None:
    import dataclasses

    same = tuple(Picture(f"{i}.png", (9, 9, 9)) for i in range(5))
    data = dataclasses.replace(dataset(), images=same)
    got, stats = embed(fake, data, images=True, store=Store(tmp_path))
    assert stats.n_images == 1
    assert got.image is not None
    assert torch.equal(got.image, vector(bytes([9, 9, 9])).expand(5, -1))


def test_a_second_run_reads_no_image_file(
    tmp_path: Path, fake: HashAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it changed: the hash of a file is remembered, and its state checked."""
    import dataclasses

    monkeypatch.setattr(hashes, "RECENT", float("-inf"))  # a file written now counts as old
    painted = dataset()
    for picture in painted.images:
        (tmp_path / picture.name).write_bytes(picture.read())
    files = tuple(FileImage(p.name, tmp_path / p.name, tmp_path / "memory") for p in painted.images)
    data = dataclasses.replace(painted, images=files)
    first, _ = embed(fake, data, images=True, store=Store(tmp_path / "store"))
    with monkeypatch.context() as patched:
        patched.setattr(FileImage, "read", lambda image: pytest.fail(f"{image.name} is read"))
        patched.setattr(hashes.hashlib, "file_digest", lambda *_: pytest.fail("a file is read"))
        again, stats = embed(fake, data, images=True, store=Store(tmp_path / "store"))
    assert stats.n_images == 0
    assert first.image is not None
    assert again.image is not None
    assert torch.equal(again.image, first.image)

    files[3].path.write_bytes(painted.images[4].read())
    changed, stats = embed(fake, data, images=True, store=Store(tmp_path / "store"))
    assert stats.n_images == 0  # another's content, which is known
    assert changed.image is not None
    assert torch.equal(changed.image[3], first.image[4])


def test_an_interrupted_run_keeps_what_it_encoded(
    tmp_path: Path, fake: HashAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, batches = fake.encode_texts, []

    def interrupted(texts: list[str]) -> torch.Tensor:
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(texts)
        return encode(texts)

    monkeypatch.setattr(fake, "encode_texts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed(fake, dataset(), images=False, store=Store(tmp_path), batch_size=2)
    monkeypatch.undo()
    _, stats = embed(fake, dataset(), images=False, store=Store(tmp_path), batch_size=2)
    assert stats.n_texts == 40 - 16  # two batches of 4 x 2 texts were kept


def test_every_bad_image_is_named_before_any_is_encoded(tmp_path: Path, fake: HashAdapter) -> None:
    import dataclasses

    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "words.jpg").write_text("this is a text")
    bad = tuple(FileImage(name, tmp_path / name) for name in ("empty.jpg", "words.jpg"))
    data = dataclasses.replace(dataset(), images=(*dataset().images, *bad))
    with pytest.raises(HierevalError) as caught:
        embed(fake, data, images=True, store=Store(tmp_path))
    assert str(caught.value) == (
        "2 images cannot be used:\n"
        f"  The image 'empty.jpg' {NO_IMAGE}.\n"
        f"  The image 'words.jpg' {NO_IMAGE}."
    )
    assert [what for what, _ in HashAdapter.calls if what == "images"] == []


def test_batches_stay_small_once_memory_did_not_suffice(
    tmp_path: Path, fake: HashAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device holds 5 inputs: 16 are halved twice, and nothing larger than 4 is tried again."""
    expected, _ = embed(fake, dataset(), images=True, store=Store(tmp_path / "plain"))
    encode_texts, tried = fake.encode_texts, []

    def small(texts: list[str]) -> torch.Tensor:
        tried.append(len(texts))
        if len(texts) > 5:
            raise torch.OutOfMemoryError
        return encode_texts(texts)

    monkeypatch.setattr(fake, "encode_texts", small)
    got, stats = embed(fake, dataset(), images=True, store=Store(tmp_path), batch_size=4)
    assert tried == [16, 8, 4, 4, 8, 4, 4] + [4] * 6
    assert torch.equal(got.text, expected.text)
    assert (stats.batch_size, stats.n_texts) == (4, 40)
