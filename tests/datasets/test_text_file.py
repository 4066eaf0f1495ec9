"""Users' text files in the wrong encoding, or unreadable, wherever one is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hiereval.datasets import hierarchy, imagenet, predictions, ranked_names
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError
from hiereval.tasks import hyperlex

READERS = [
    hierarchy.read_edges, hyperlex.read, imagenet.read_templates, predictions.read,
    ranked_names.read, read_text,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_the_line_that_is_not_utf8_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes("chien,été\n".encode() + "chat,été\n".encode("latin-1"))
    with pytest.raises(HierevalError) as raised:
        read(path)
    assert str(raised.value) == f"{path}:2: the line must be UTF-8."


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"\xef\xbb\xbfrank1")
    assert read_text(path) == "rank1"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HierevalError) as raised:
        read_text(tmp_path / "none")
    assert str(raised.value) == (
        f"The file '{tmp_path}/none' cannot be read: No such file or directory."
    )
