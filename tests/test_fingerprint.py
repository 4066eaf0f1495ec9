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


def test_json_that_is_too_deep_too_large_or_none_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.json"
    file.write_text("[" * 100_000)
    with pytest.raises(HierevalError) as caught:
        fingerprint.read_json(file)
    assert str(caught.value) == f"The file '{file}' must be JSON of fewer levels."
    monkeypatch.setattr(fingerprint, "LARGEST_JSON", 1_000)
    with pytest.raises(HierevalError) as caught:
        fingerprint.read_json(file)
    assert str(caught.value) == (
        f"The file '{file}' must be readable JSON: it has more than 1,000 bytes."
    )


def test_a_header_that_claims_too_much_is_no_safetensors_file(tmp_path: Path) -> None:
    for content in (
        b"\xff" * 8,
        (1 << 40).to_bytes(8, "little") + b"{}",
        b"\x02" + b"\0" * 7 + b"[]",
    ):
        (tmp_path / "w").write_bytes(content)
        with pytest.raises(HierevalError, match="must be a safetensors file"):
            fingerprint.safetensors_parameters(tmp_path / "w")


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
