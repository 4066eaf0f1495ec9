"""Small shards joined by themselves: by whom, when, and what kills, crowds and full disks leave."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fakes import HashAdapter
from support.pictures import painted

from hiereval import lookup, shards, upkeep
from hiereval.embed import embed
from hiereval.shards import Shard
from hiereval.store import Shelf, Store, text_key
from hiereval.types import LoadOptions, ModelId

MODEL = ModelId(adapter="fake", name="a", checkpoint="c")


def small(folder: Path, n: int) -> tuple[Shelf, list[bytes]]:
    """Return a shelf of n vectors, those that are missing each in a shard."""
    shelf, keys = Store(folder).shelf(MODEL), [text_key(str(i)) for i in range(n)]
    for key in shelf.missing(keys):
        shelf.put([key], torch.full((1, 3), float(keys.index(key))), [keys.index(key)])
    return shelf, keys


def whole(shelf: Shelf, keys: list[bytes]) -> bool:
    vectors, lengths = shelf.get(keys)
    expected = list(range(len(keys)))
    return vectors.tolist() == [[i] * 3 for i in expected] and lengths.tolist() == expected


def test_many_small_shards_are_joined_and_large_ones_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MANY", 4)
    monkeypatch.setattr(upkeep, "SMALL", 3)
    shelf, keys = small(tmp_path, 3)
    upkeep.tidy(shelf)
    assert [len(shard) for shard in shelf.opened] == [1, 1, 1]
    shelf, keys = small(tmp_path, 4)
    upkeep.tidy(shelf)
    assert [len(shard) for shard in shelf.opened] == [4]
    large = shelf.opened[0].path
    shelf, keys = small(tmp_path, 9)
    upkeep.tidy(shelf)
    assert sorted(map(len, shelf.opened)) == [4, 5]
    assert large.exists()
    assert whole(shelf, keys)
    assert whole(Store(tmp_path).shelf(MODEL), keys)


def test_a_run_joins_what_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, adapter = painted(texts=12, images=0), HashAdapter("c", LoadOptions())
    for text in data.texts:
        shelf = Store(tmp_path).shelf(adapter.id)
        shelf.put([text_key(text)], adapter.encode_texts([text]), [1])
    expected, _ = embed(adapter, data, images=False, store=Store(tmp_path))
    assert len(Store(tmp_path).shelf(adapter.id).opened) == 12
    monkeypatch.setattr(upkeep, "MANY", 12)
    HashAdapter.calls.clear()
    found, _ = embed(adapter, data, images=False, store=Store(tmp_path))
    assert torch.equal(found.text, expected.text)
    assert HashAdapter.calls == []
    assert len(Store(tmp_path).shelf(adapter.id).opened) == 1


def test_a_full_disk_leaves_them_apart_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(upkeep, "MANY", 4)
    shelf, keys = small(tmp_path, 4)
    before = sorted(path.name for path in shelf.folder.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        upkeep.tidy(shelf)
    assert sorted(path.name for path in shelf.folder.iterdir()) == before
    assert caplog.messages == [
        f"The stored embeddings in {shelf.folder} stay in 4 files, in which they are found slowly: "
        f"The embeddings cannot be stored in {str(shelf.folder)!r}: [Errno 28] No space left on "
        "device. Another folder can be given with --cache-dir."
    ]
    assert whole(shelf, keys)


def test_a_kill_before_the_old_ones_are_deleted_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, keys = small(tmp_path, 6)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            upkeep.compact(shelf)
    again = Store(tmp_path).shelf(MODEL)
    assert (len(again.opened), len(again)) == (7, 12)
    assert whole(again, keys)
    upkeep.compact(again)
    assert (len(again.opened), len(again)) == (1, 6)
    assert whole(again, keys)


def test_a_damaged_row_is_not_carried_over(tmp_path: Path) -> None:
    shelf, keys = small(tmp_path, 6)
    path = shelf.opened[2].path
    lost = int(shelf.opened[2].lengths[0])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    upkeep.compact(shelf)
    assert shelf.missing(keys) == [keys[lost]]
    assert path.with_name(f"{path.name}.damaged").exists()
    assert [len(shard) for shard in shelf.opened] == [5]


CROWD = """
import os, random, signal, sys, time, torch
from pathlib import Path
from hiereval import upkeep
from hiereval.store import Store, VanishedError, text_key
from hiereval.types import ModelId
torch.set_num_threads(1)
upkeep.MANY = 4

def write(first):
    shelf = Store(Path(sys.argv[1])).shelf(ModelId(adapter="fake", name="a", checkpoint="c"))
    for i in range(first, first + 16):
        key = text_key(str(i))
        if shelf.missing([key]):
            shelf.put([key], torch.full((1, 3), float(i)), [i])
        upkeep.tidy(shelf)
        try:
            assert shelf.get([key])[0].tolist() == [[i] * 3]
        except VanishedError:
            assert not shelf.missing([key])

def start(first):
    child = os.fork()
    if child:
        return child
    try:
        write(first)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)

numbers, left = random.Random(0), start(16)
for first in (0, 8) * 4:
    child = start(first)
    time.sleep(numbers.uniform(0.0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
sys.exit(sum(os.waitpid(child, 0)[1] for child in (left, start(0), start(8))))
"""


def test_crowds_that_write_and_join_lose_nothing_whoever_is_killed(tmp_path: Path) -> None:
    """Writers that each join what all have written, eight of them killed at any moment."""
    ended = subprocess.run([sys.executable, "-c", CROWD, str(tmp_path), "0"], check=False)
    assert ended.returncode == 0
    shelf = Store(tmp_path).shelf(MODEL)
    assert whole(shelf, [text_key(str(i)) for i in range(32)])
    assert len(shelf.opened) < 12
    assert {p.name for p in shelf.folder.iterdir() if not p.name.endswith(".vectors")} == {
        ".lock", "model.json",
    }  # fmt: skip


def test_shards_are_found_however_they_were_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a dictionary: one by one, several, empty ones and large ones, equal heads."""
    monkeypatch.setattr(lookup, "SMALL", 40)
    random_ = np.random.default_rng(0)
    found, truth = lookup.Lookup(), {}
    opened: list[Shard] = []
    for n in (3, 0, 50, 1, 1, 7, 20, 60, 2, 5, 5, 9):
        keys = random_.integers(0, 2, (n, 32), np.uint8)  # 256 heads in all
        keys[:, 8:] = random_.integers(0, 255, (n, 24), np.uint8)
        heads = shards.heads_of(keys)
        order = np.argsort(heads)
        empty = np.empty(0, np.int32)
        opened.append(
            Shard(Path(), 0, heads[order], keys[order, 8:], empty, empty.astype(np.uint32))
        )
        truth |= {keys[row].tobytes(): (len(opened) - 1, i) for i, row in enumerate(order)}
        if n != 1:
            found.add(opened[len(found.shards) :])
    found.add(opened[len(found.shards) :])
    keys = [*truth, bytes(32), b"\1" * 32]
    shard_of, row_of = found.find(shards.split(keys))
    assert list(zip(shard_of.tolist(), row_of.tolist(), strict=True)) == [
        *truth.values(), (-1, -1), (-1, -1),
    ]  # fmt: skip
    assert len(found.runs) < 4
