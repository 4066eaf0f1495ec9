"""Hashes of files and settings, each file read once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hiereval import fingerprint
from hiereval.errors import HierevalError


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    state = file.stat()
    first = fingerprint.file_sha256(file)
    assert first == hashlib.sha256(b"one").hexdigest()

    file.write_bytes(b"two")  # same size; the same time, too: taken for unchanged
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert fingerprint.file_sha256(file) == first
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert fingerprint.file_sha256(file) == hashlib.sha256(b"two").hexdigest()
    file.write_bytes(b"three")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert fingerprint.file_sha256(file) == hashlib.sha256(b"three").hexdigest()


def test_a_spoiled_or_missing_cache_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    expected = fingerprint.file_sha256(file)
    (kept,) = (tmp_path / "cache" / "sha256").iterdir()
    kept.write_bytes(b"\xff half a line")
    assert fingerprint.file_sha256(file) == expected
    assert kept.read_text() == expected
    (tmp_path / "no-folder").write_bytes(b"")
    monkeypatch.setenv("HIEREVAL_CACHE", str(tmp_path / "no-folder"))
    assert fingerprint.file_sha256(file) == expected


def test_shards_hash_by_name_and_content(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"2")
    whole = fingerprint.weights_sha256([a, b])
    assert fingerprint.weights_sha256([a]) == hashlib.sha256(b"1").hexdigest()
    a.write_bytes(b"22")
    assert fingerprint.weights_sha256([a, b]) != whole


def test_json_is_hashed_by_value() -> None:
    assert fingerprint.json_sha256({"a": 1, "b": [2]}) == fingerprint.json_sha256(
        {"b": [2], "a": 1}
    )
    assert fingerprint.json_sha256({"a": 1}) != fingerprint.json_sha256({"a": 2})


def test_files_and_settings_count(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1")
    names = ["x", "absent"]
    first = fingerprint.files_sha256(tmp_path, names, {"case": "lower"})
    assert first == fingerprint.files_sha256(tmp_path, ["x"], {"case": "lower"})
    assert first != fingerprint.files_sha256(tmp_path, names, {"case": "kept"})
    (tmp_path / "x").write_bytes(b"22")
    assert first != fingerprint.files_sha256(tmp_path, names, {"case": "lower"})


def test_parameters_are_counted_from_the_header(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    tensors = {
        "a": torch.zeros(2, 3),
        "b": torch.zeros(4, dtype=torch.bfloat16),
        "scale": torch.tensor(1.0),
        "position_ids": torch.arange(9),
    }
    save_file(tensors, file, metadata={"format": "pt"})
    assert fingerprint.safetensors_parameters(file) == 6 + 4 + 1
    os.truncate(file, file.stat().st_size + 8)
    with pytest.raises(HierevalError, match="as their header says"):
        fingerprint.safetensors_parameters(file)
