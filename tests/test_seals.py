from __future__ import annotations

import json
from pathlib import Path

import pytest

from hiereval import seals
from hiereval.errors import HierevalError


def test_a_seal_holds_for_what_was_written(tmp_path: Path) -> None:
    line = seals.sealed(json.dumps({"a": 1.5, "b": "é"}))
    assert line == b'{"a": 1.5, "b": "\\u00e9","checksum":"e7b4e5e12edb3842"}\n'
    assert seals.unsealed(line) == {"a": 1.5, "b": "é"}
    for bit in range(8 * (len(line) - 1)):
        flipped = bytearray(line)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"."):
            seals.unsealed(bytes(flipped))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "this line is not JSON; delete it, or move the file away"),
        (b"\xff", "this line is not JSON; delete it, or move the file away"),
        (b"[" * 100_000, "JSON must be at most 64 levels deep"),
        (b"[" * 65 + b"]" * 65, "JSON must be at most 64 levels deep"),
        (b'{"a": 9223372036854775808}', "whole numbers must fit into 64 bits"),
        (b"9" * 5000, "whole numbers must fit into 64 bits"),
        (b'"\\ud800"', "text must not hold half of a surrogate pair"),
    ],
)
def test_a_line_that_cannot_be_believed_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'\n{"a": 1}\n' + line)
    lines = seals.json_lines(path)
    assert next(lines) == (2, {"a": 1})
    with pytest.raises(HierevalError) as caught:
        next(lines)
    assert str(caught.value) == f"{path}:3: {message}"


def test_a_line_that_is_too_long_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "LONGEST_LINE", 10)
    (tmp_path / "f").write_text('"' + "a" * 20 + '"')
    with pytest.raises(HierevalError) as caught:
        list(seals.json_lines(tmp_path / "f"))
    assert str(caught.value) == f"{tmp_path / 'f'}:1: the line must have at most 10 bytes"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(HierevalError) as caught:
        list(seals.json_lines(tmp_path))
    assert str(caught.value) == f"The file {str(tmp_path)!r} cannot be read: Is a directory."
