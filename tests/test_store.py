from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from hiereval.errors import HierevalError
from hiereval.store import Store, image_key, image_name_key, text_key, write_whole
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
    keys = {text_key("x"), image_key(b"x"), image_name_key("x"), text_key(""), image_key(b"")}
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


def test_a_damaged_shard_is_dropped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Store(tmp_path).shelf(MODEL)
    shelf.put([text_key("a")], torch.ones(1, 2), [1])
    shelf.put([text_key("b")], torch.ones(1, 2), [1])
    shard = sorted(shelf.folder.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-3])

    with caplog.at_level(logging.WARNING):
        again = Store(tmp_path).shelf(MODEL)

    assert sum(text_key(t) in again for t in "ab") == 1
    assert f"The stored embeddings in {shard} are damaged" in caplog.text
    assert not shard.exists()


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
    assert list(shelf.folder.iterdir()) == []


def test_write_whole_replaces(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    write_whole(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
