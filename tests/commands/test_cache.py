"""`hiereval cache` as a user types it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from support.typed import Cli

from hiereval.store import Shelf, Store, text_key
from hiereval.types import ModelId

MODEL = ModelId(adapter="fake", name="org/a", checkpoint="c", weights_sha256="w")


@pytest.fixture
def run(cli: Cli, tmp_path: Path) -> Cli:
    return lambda *words: cli("cache", *words, "--cache-dir", tmp_path)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Seven vectors of four numbers in three files."""
    shelf = Store(tmp_path).shelf(MODEL)
    for start, end in ((0, 4), (4, 6), (6, 7)):
        keys = [text_key(str(i)) for i in range(start, end)]
        shelf.put(keys, torch.arange(start, end).float()[:, None].expand(-1, 4), [1] * len(keys))
    return shelf


def test_ls(run: Cli, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for shard in shelf.opened:
        os.utime(shard.path, (0, 86_400))
    code, out, err = run("ls")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["model", "fingerprint", "vectors", "width", "files", "MB", "written"],
        ["org/a", shelf.folder.name[:12], "7", "4", "3", "0.0", "1970-01-02"],
    ]
    assert json.loads(run("ls", "--json")[1]) == [
        {
            "model": "org/a",
            "fingerprint": shelf.folder.name,
            "dimension": 4,
            "vectors": 7,
            "shards": 3,
            "bytes": 3 * 64 + 7 * (40 + 16),
            "aside": 0,
            "foreign": 0,
            "written": 86_400.0,
        }
    ]


def test_an_empty_cache_lists_nothing(run: Cli) -> None:
    assert run("ls", "--json") == (0, "[]\n", "")


def test_verify_finds_a_flipped_bit_and_prune_deletes_what_was_put_aside(
    run: Cli, shelf: Shelf
) -> None:
    assert run("verify")[:2] == (0, "org/a: 7 vectors checked, 0 lost\n")
    damaged = max(shelf.opened, key=len).path
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    assert run("verify")[:2] == (1, "org/a: 3 vectors checked, 1 lost\n")
    assert run("verify")[:2] == (0, "org/a: 6 vectors checked, 0 lost\n")
    aside = damaged.with_name(f"{damaged.name}.damaged")
    assert run("ls")[1].splitlines()[-1] == (
        "org/a: 1 damaged files were put aside, 0 files cannot be read or are of another version "
        "(prune --leavings deletes them)."
    )
    assert run("prune", "--leavings", "--dry-run")[1] == f"Would delete {aside}\n"
    assert aside.exists()
    assert run("prune", "--leavings")[1] == f"Deleted {aside}\n"
    assert not aside.exists()


def test_compact(run: Cli, shelf: Shelf, tmp_path: Path) -> None:
    assert run("compact") == (0, "org/a: 3 files are now 1\n", "")
    again = Store(tmp_path).shelf(MODEL)
    assert again.get([text_key(str(i)) for i in range(7)])[0][:, 0].tolist() == list(range(7))


def test_prune_by_name_and_age(run: Cli, shelf: Shelf, tmp_path: Path) -> None:
    assert run("prune", "--model", "org/*", "--older-than", "1") == (0, "", "")
    store = str(tmp_path / "embeddings")
    assert run("prune", "--model", "org/b") == (
        2,
        "",
        f"error: The model 'org/b' must be one whose vectors are in {store!r}."
        " Did you mean 'org/a'? 'hiereval cache ls' lists them.\n",
    )
    assert run("prune") == (
        2,
        "",
        "error: What to delete must be given: --model, --older-than or --leavings. "
        "'hiereval cache ls' shows what there is.\n",
    )
    assert run("prune", "--model", shelf.folder.name[:8]) == (
        0,
        "Deleted org/a: 7 vectors, 0.0 MB\n",
        "",
    )
    assert len(Store(tmp_path).shelf(MODEL)) == 0


def test_prune_says_deleted_of_what_was_deleted(
    run: Cli, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    code, said, error = run("prune", "--model", "org/a")
    assert (code, said) == (2, "")
    assert error.startswith(f"error: The embeddings cannot be stored in {str(shelf.folder)!r}: ")
