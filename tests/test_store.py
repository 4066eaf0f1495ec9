from __future__ import annotations

import hashlib
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hiereval import lookup, shards, upkeep
from hiereval.errors import HierevalError
from hiereval.store import Shelf, Store, VanishedError, image_key, image_name_key, text_key
from hiereval.types import ModelId

MODEL = ModelId(adapter="fake", name="a", checkpoint="c", weights_sha256="w")


def test_vectors_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    shelf = Store(tmp_path).shelf(MODEL)
    keys = [text_key(t) for t in ("a", "b", "c")]
    vectors = torch.arange(6.0).reshape(3, 2)
    shelf.put(keys[:2], vectors[:2], [3, 4])
    shelf.put(keys[2:], vectors[2:], [-1])

    again = Store(tmp_path).shelf(MODEL)  # another process
    got, lengths = again.get([keys[2], keys[0], keys[2], keys[1]])

    assert got.tolist() == [[4.0, 5.0], [0.0, 1.0], [4.0, 5.0], [2.0, 3.0]]
    assert lengths.tolist() == [-1, 3, -1, 4]
    assert text_key("d") not in again


def test_text_image_and_name_never_share_an_address() -> None:
    x = hashlib.sha256(b"x").hexdigest()
    keys = {text_key("x"), image_key(x), image_name_key("x"), text_key(x), image_key("00" * 32)}
    assert len(keys) == 5
    assert all(len(key) == 32 for key in keys)


def test_a_lone_surrogate_has_an_address() -> None:
    assert text_key("\ud800") != text_key("?")


@pytest.mark.parametrize(
    "change", [{"weights_sha256": "v"}, {"dtype": "bfloat16"}, {"preprocess_fingerprint": "p"}]
)
def test_another_model_has_another_shelf(tmp_path: Path, change: dict[str, str]) -> None:
    import dataclasses

    Store(tmp_path).shelf(MODEL).put([text_key("a")], torch.ones(1, 2), [1])
    assert text_key("a") not in Store(tmp_path).shelf(dataclasses.replace(MODEL, **change))


def test_a_name_is_no_identity(tmp_path: Path) -> None:
    import dataclasses

    Store(tmp_path).shelf(MODEL).put([text_key("a")], torch.ones(1, 2), [1])
    renamed = dataclasses.replace(MODEL, name="b", checkpoint="/elsewhere")
    assert text_key("a") in Store(tmp_path).shelf(renamed)


def stored(folder: Path, n: int = 40, dimension: int = 3) -> tuple[Shelf, list[bytes], Tensor]:
    shelf = Store(folder).shelf(MODEL)
    keys = [text_key(str(i)) for i in range(n)]
    vectors = torch.randn(n, dimension, generator=torch.Generator().manual_seed(0))
    shelf.put(keys, vectors, list(range(n)))
    return shelf, keys, vectors


def test_a_flipped_bit_anywhere_costs_its_row_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(0)
    for trial in range(60):
        caplog.clear()
        shelf, keys, vectors = stored(tmp_path / str(trial))
        path = shelf.opened[0].path
        flip(path, int(random.integers(8 * path.stat().st_size)))

        again = Store(tmp_path / str(trial)).shelf(MODEL)
        try:
            got = again.get(keys)
        except VanishedError:
            kept = [i for i, key in enumerate(keys) if key in again]
            assert len(kept) in (0, 39)  # all, where the header is hit
            got = again.get([keys[i] for i in kept])
            assert torch.equal(got[0], vectors[kept]) if kept else len(got[0]) == 0
            assert f"The stored embeddings in {path} are damaged" in caplog.text
            assert not path.exists()
            assert path.with_name(f"{path.name}.damaged").exists()
        else:
            assert torch.equal(got[0], vectors)  # only the columns' own checksum can be spared
            assert f"The stored embeddings in {path} are damaged" in caplog.text


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_shard_that_was_cut_short_is_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf, keys, _ = stored(tmp_path)
    path = shelf.opened[0].path
    path.write_bytes(path.read_bytes()[:-3])

    again = Store(tmp_path).shelf(MODEL)

    assert again.missing(keys) == keys
    assert caplog.messages == [
        f"The stored embeddings in {path} are damaged (it has 2,141 bytes where 2,144 were "
        f"written): it is put aside as {path.name}.damaged; the others are encoded again."
    ]


def test_another_layout_and_another_release_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf, keys, _ = stored(tmp_path)
    path = shelf.opened[0].path
    head = bytearray(path.read_bytes()[:60])
    head[8] = 2
    path.write_bytes(bytes(head) + zlib.crc32(head).to_bytes(4, "little") + b"anything")
    (shelf.folder / "x.safetensors").write_bytes(b"old")

    again = Store(tmp_path).shelf(MODEL)

    assert again.missing(keys) == keys
    assert caplog.messages == [
        f"The stored embeddings in {shelf.folder / 'x.safetensors'} are left alone: it is of "
        "hiereval 0.1.0, which laid them out differently.",
        f"The stored embeddings in {path} are left alone: it is of another layout (version 2).",
    ]
    assert path.exists()
    assert (shelf.folder / "x.safetensors").exists()


def test_what_cannot_be_read_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, keys, vectors = stored(tmp_path)
    path = shelf.opened[0].path
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(shards, "open_shard", fail)
        again = Store(tmp_path).shelf(MODEL)
        assert again.missing(keys) == keys
    again.put(keys, vectors, [0] * len(keys))

    assert caplog.messages == [
        f"The stored embeddings in {path} are left alone: it cannot be read (Permission denied)."
    ]
    assert path.read_bytes() == before
    assert len(list(shelf.folder.glob("*.vectors"))) == 2


def test_a_shard_that_is_cut_short_while_it_is_open_is_left_alone_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf, keys, _ = stored(tmp_path)
    path = shelf.opened[0].path
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(VanishedError):
        shelf.get(keys)
    assert shelf.missing(keys) == keys
    assert caplog.messages == [
        f"The stored embeddings in {path} are left alone: it cannot be read (it was cut short)."
    ]


FOUR = """
import os, sys, torch
from pathlib import Path
from hiereval.store import Store, text_key
from hiereval.types import ModelId
torch.set_num_threads(1)
shelf = Store(Path(sys.argv[1])).shelf(ModelId(adapter="fake", name="a", checkpoint="c"))
children = []
for _ in range(4):
    child = os.fork()
    if not child:
        for start in range(0, 100, 10):
            there = shelf.missing([text_key(str(i)) for i in range(start, start + 20)])
            numbers = [i for i in range(start, start + 20) if text_key(str(i)) in there]
            vectors = torch.tensor([[float(i), 1.0] for i in numbers])
            shelf.put([text_key(str(i)) for i in numbers], vectors, numbers)
        os._exit(0)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children))
"""


def test_four_writers_at_once_lose_nothing_and_store_nothing_twice(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", FOUR, str(tmp_path)], check=False)
    assert ended.returncode == 0
    shelf = Store(tmp_path).shelf(ModelId(adapter="fake", name="a", checkpoint="c"))
    vectors, lengths = shelf.get([text_key(str(i)) for i in range(110)])
    assert len(shelf) == 110
    assert vectors[:, 0].tolist() == lengths.tolist() == list(range(110))


def test_two_writers_store_a_vector_once(tmp_path: Path) -> None:
    mine, theirs = Store(tmp_path).shelf(MODEL), Store(tmp_path).shelf(MODEL)
    keys = [text_key(t) for t in "abc"]
    theirs.put(keys[:2], torch.ones(2, 2), [1, 1])
    mine.put(keys, torch.ones(3, 2), [1, 1, 1])
    assert len(mine) == len(Store(tmp_path).shelf(MODEL)) == 3


def test_compaction_keeps_every_vector_once_and_readers_find_them_again(tmp_path: Path) -> None:
    shelf, keys, vectors = stored(tmp_path)
    more = [text_key(f"more {i}") for i in range(10)]
    reader = Store(tmp_path).shelf(MODEL)
    for i, key in enumerate(more):
        shelf.put([key], torch.full((1, 3), float(i)), [i])

    assert upkeep.compact(Store(tmp_path).shelf(MODEL)) == 10

    assert [len(s) for s in Store(tmp_path).shelf(MODEL).opened] == [50]
    with pytest.raises(VanishedError):
        reader.get(keys)
    assert torch.equal(reader.get(keys)[0], vectors)
    assert torch.equal(shelf.get(more[:0])[0], torch.empty(0, 0))


def test_large_shards_are_mapped_and_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "SMALL", 10)
    monkeypatch.setattr(shards, "MAPPED", 100)
    shelf, keys, vectors = stored(tmp_path)
    shelf.put([text_key("x")], torch.ones(1, 3), [7])
    again = Store(tmp_path).shelf(MODEL)
    assert isinstance(again.opened[0].heads, np.memmap) or len(again.opened[0]) == 1
    asked = [keys[5], text_key("x"), keys[0], keys[5]]
    got, lengths = again.get(asked)
    assert torch.equal(got, torch.stack([vectors[5], torch.ones(3), vectors[0], vectors[5]]))
    assert lengths.tolist() == [5, 7, 0, 5]
    assert again.missing([*asked, text_key("y")]) == [text_key("y")]


def test_keys_that_share_eight_bytes_are_told_apart(tmp_path: Path) -> None:
    keys = [bytes(8) + bytes([i]) * 24 for i in (3, 1, 2)]
    shelf = Store(tmp_path).shelf(MODEL)
    shelf.put(keys, torch.arange(3.0).reshape(3, 1), [0, 1, 2])
    assert shelf.get(keys[::-1])[0].tolist() == [[2.0], [1.0], [0.0]]
    assert bytes(8) + bytes([4]) * 24 not in shelf


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    shelf = Store(tmp_path).shelf(MODEL)
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(HierevalError) as caught:
        shelf.put([text_key("a")], torch.ones(1, 2), [1])
    assert str(caught.value) == (
        f"The embeddings cannot be stored in {str(shelf.folder)!r}: "
        "[Errno 28] No space left on device. Another folder can be given with --cache-dir."
    )
    assert [path.name for path in shelf.folder.iterdir()] == [".lock"]
