from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hiereval import files
from hiereval.errors import HierevalError
from hiereval.probes import artefacts
from hiereval.probes.learned import LearnedRoot
from hiereval.probes.radial_linear import RadialLinear
from hiereval.types import Chains, Embeddings

Tree = Callable[..., tuple[Embeddings, Chains]]


def fails(message: str) -> pytest.RaisesExc[HierevalError]:
    return pytest.raises(HierevalError, match=f"^{re.escape(message)}$")


def kept(tree: Tree, folder: Path, seed: int = 3) -> tuple[RadialLinear, Embeddings]:
    given, data = tree()
    probe = RadialLinear(device="cpu", rank=4, epochs=2, seed=seed, shuffled=True)
    probe.fit(given, data, torch.Generator().manual_seed(seed))
    artefacts.save(probe, folder, given.model, data)
    return probe, given


def test_a_probe_comes_back_as_it_was(tree: Tree, tmp_path: Path) -> None:
    probe, given = kept(tree, tmp_path / "one")
    (loaded,) = artefacts.load(tmp_path / "one", given.model)
    assert loaded.probe == probe
    old, new = probe.space(given), loaded.probe.space(given)
    assert torch.equal(old.text, new.text)
    assert torch.equal(old.root, new.root)
    assert loaded.seed == 3
    assert loaded.training.shuffled
    assert loaded.training.dataset == "tree"
    assert loaded.training.n == 60
    assert len(loaded.training.probe_sha256 or "") == 64
    assert loaded.images == {f"{i}.jpg" for i in range(20)}


def test_the_card_says_what_happened(tree: Tree, tmp_path: Path) -> None:
    probe, given = kept(tree, tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["model"]["fingerprint"] == given.model.fingerprint()
    assert card["training"] == {
        "dataset": "tree",
        "split": "train",
        "sha256": "a" * 64,
        "n": 60,
        "shuffled": True,
    }
    assert card["parameters"]["rank"] == 4
    assert card["losses"] == probe.descent_.log
    assert [line["step"] for line in card["development"]] == [0, 1, 2]


def test_a_folder_of_probes_is_loaded_by_name(tree: Tree, tmp_path: Path) -> None:
    for seed in (1, 0):
        _, given = kept(tree, tmp_path / f"seed-{seed}", seed)
    assert [one.seed for one in artefacts.load(tmp_path, given.model)] == [0, 1]


def test_another_model_is_refused(tree: Tree, tmp_path: Path) -> None:
    _, given = kept(tree, tmp_path)
    other = replace(given.model, name="other", weights_sha256="1" * 64)
    with fails(
        f"The probe {str(tmp_path)!r} must be used with the model it was fitted on, 'synthetic' "
        f"(fingerprint {given.model.fingerprint()[:12]}); 'other' is another (fingerprint "
        f"{other.fingerprint()[:12]}). 'hiereval fit' fits one on it."
    ):
        artefacts.load(tmp_path, other)


def test_a_model_that_was_renamed_or_moved_is_the_same(tree: Tree, tmp_path: Path) -> None:
    _, given = kept(tree, tmp_path)
    moved = replace(given.model, name="new name", checkpoint="/elsewhere")
    assert len(artefacts.load(tmp_path, moved)) == 1


def test_a_folder_without_a_probe_is_refused(tree: Tree, tmp_path: Path) -> None:
    with fails(
        f"The probe folder {str(tmp_path)!r} must hold card.json and probe.safetensors, or folders "
        "that do. 'hiereval fit' makes one."
    ):
        artefacts.load(tmp_path, tree()[0].model)


@pytest.mark.parametrize("damage", ["weights cut short", "weights gone"])
def test_a_damaged_probe_is_refused(tree: Tree, tmp_path: Path, damage: str) -> None:
    _, given = kept(tree, tmp_path)
    weights = tmp_path / "probe.safetensors"
    if damage == "weights cut short":
        os.truncate(weights, weights.stat().st_size // 2)
    else:
        weights.unlink()
    with pytest.raises(
        HierevalError, match=rf"^The probe in {re.escape(repr(str(tmp_path)))} must be whole: \w+"
    ):
        artefacts.load(tmp_path, given.model)


def test_a_flipped_bit_is_refused(tree: Tree, tmp_path: Path) -> None:
    _, given = kept(tree, tmp_path)
    weights, card = tmp_path / "probe.safetensors", tmp_path / "card.json"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with fails(
        f"The probe in {str(tmp_path)!r} must be whole: ValueError: probe.safetensors is not what "
        "was written: its hash is another."
    ):
        artefacts.load(tmp_path, given.model)
    weights.write_bytes(before)
    card.write_text(card.read_text().replace('"seed": 3', '"seed": 1'))
    with fails(
        f"The file '{card}' must be as it was written: a bit was flipped or a value edited."
    ):
        artefacts.load(tmp_path, given.model)


def test_a_full_disk_is_one_line(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_whole", full)
    with fails(f"The probe cannot be written to {str(tmp_path)!r}: No space left on device."):
        kept(tree, tmp_path)


def test_a_probe_of_another_kind_comes_back_too(tree: Tree, tmp_path: Path) -> None:
    given, data = tree()
    probe = LearnedRoot(device="cpu", epochs=1).fit(given, data, torch.Generator().manual_seed(0))
    artefacts.save(probe, tmp_path, given.model, data)
    (loaded,) = artefacts.load(tmp_path, given.model)
    assert isinstance(loaded.probe, LearnedRoot)
    assert torch.equal(loaded.probe.space(given).root, probe.space(given).root)
