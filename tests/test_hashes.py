"""Hashes that are remembered, and what must be read again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hiereval import hashes
from hiereval.errors import HierevalError


@pytest.fixture(autouse=True)
def _new_process() -> Iterator[None]:
    hashes.memory.cache_clear()
    yield
    hashes.memory.cache_clear()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file written now counts as old."""
    monkeypatch.setattr(hashes, "RECENT", float("-inf"))


def of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_size_and_time_kept_is_another_content(tmp_path: Path, settled: None) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    os.utime(file, ns=(0, 1_700_000_000_000_000_000))
    before = file.stat()
    assert hashes.of_file(file, tmp_path) == of(b"one")
    time.sleep(0.02)  # over the tick of this file system's clock
    file.write_bytes(b"two")  # in place: the same inode
    os.utime(file, ns=(0, 1_700_000_000_000_000_000))
    after = file.stat()
    same = ("st_size", "st_mtime_ns", "st_ino", "st_dev")
    assert [getattr(before, key) for key in same] == [getattr(after, key) for key in same]
    assert hashes.of_file(file, tmp_path) == of(b"two")


def test_a_file_that_replaces_another_is_another(tmp_path: Path, settled: None) -> None:
    file, other = tmp_path / "weights", tmp_path / "other"
    for path, content in ((file, b"one"), (other, b"two")):
        path.write_bytes(content)
        os.utime(path, ns=(0, 1_700_000_000_000_000_000))
    assert hashes.of_file(file, tmp_path) == of(b"one")
    other.replace(file)
    assert hashes.of_file(file, tmp_path) == of(b"two")


def test_it_is_read_once(tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert hashes.of_file(file, tmp_path / "cache") == of(b"one")
    hashes.memory.cache_clear()  # another process
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert hashes.of_file(file, tmp_path / "cache") == of(b"one")


def test_what_changed_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert hashes.of_file(file, tmp_path) == of(b"one")
    assert not (tmp_path / hashes.FILE).exists()
    assert hashes.memory(tmp_path).known == {}


def test_a_damaged_line_is_no_line(tmp_path: Path, settled: None) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    hashes.of_file(file, tmp_path)
    log = tmp_path / hashes.FILE
    whole = log.read_bytes().strip()
    for position in (3, 70, 140):  # the key, the hash, the check
        for flipped in (1, 2, 64):
            spoiled = bytearray(whole)
            spoiled[position] ^= flipped
            log.write_bytes(bytes(spoiled))
            hashes.memory.cache_clear()
            assert hashes.memory(tmp_path).known == {}
            assert hashes.of_file(file, tmp_path) == of(b"one")
    log.write_bytes(whole[:100])  # a killed process
    hashes.memory.cache_clear()
    hashes.of_file(file, tmp_path)
    hashes.memory.cache_clear()
    assert list(hashes.memory(tmp_path).known.values()) == [of(b"one")]


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path, settled: None) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert hashes.of_file(file, file / "no-folder") == of(b"one")
    assert hashes.of_file(file) == of(b"one")


def test_a_log_that_has_grown_too_long_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "LONGEST", 1_000)
    for i in range(20):
        hashes.memory(tmp_path).put(of(b"%d" % i), of(b"value"))
    assert (tmp_path / hashes.FILE).stat().st_size <= 1_200


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HierevalError) as caught:
        hashes.of_file(tmp_path / "pipe")
    assert str(caught.value) == f"The file '{tmp_path / 'pipe'}' must be a regular file."


def test_a_set_has_no_order() -> None:
    assert hashes.of_all([("a", "1"), ("b", "2")]) == hashes.of_all([("b", "2"), ("a", "1")])
    assert hashes.of_all([("a", "1"), ("b", "2")]) != hashes.of_all([("a", "2"), ("b", "1")])
