"""Scoring from the store alone: no network is loaded, what is missing is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.typed import Cli

from hiereval.errors import HierevalError
from hiereval.stored import StoredByName, stored_only
from hiereval.types import ModelId

CSV = """\
captions
animal => bird => blue bird => a blue bird
thing => car => red car => a red car
"""


class Fake:
    """An adapter with vectors by image name, as `precomputed` has."""

    id = ModelId(adapter="fake", name="fake", checkpoint="here")
    modalities = frozenset({"text", "image"})

    def encode_image_names(self, names: list[str]) -> torch.Tensor:
        return torch.zeros(len(names), 2)


def test_every_way_to_encode_is_refused() -> None:
    adapter = stored_only(Fake())  # type: ignore[arg-type]
    assert isinstance(adapter, StoredByName)
    texts = (
        "The store must hold every vector of 'fake'; 2 texts are missing, the first is 'a'. "
        "'hiereval run' encodes them."
    )
    images = (
        "The store must hold every vector of 'fake'; 3 images are missing. 'hiereval run' encodes "
        "them."
    )
    for refused, given, message in (
        (adapter.text_lengths, ["a", "b"], texts),
        (adapter.encode_texts, ["a", "b"], texts),
        (adapter.encode_images, ["x"] * 3, images),
        (adapter.encode_image_names, ["x"] * 3, images),
        (adapter.preprocess, None, images.replace("3 ", "")),
    ):
        with pytest.raises(HierevalError) as raised:
            refused(given)  # type: ignore[operator]
        assert str(raised.value) == message


def test_score_runs_on_stored_vectors_alone(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(CSV)
    asked = ["--model", "control:words", "--dataset", "mine.csv", "--tasks", "ordering"]
    code, _, err = cli("score", *asked)
    assert code == 2
    assert err == (
        "error: The store must hold every vector of 'control:words'; 9 texts are missing, the "
        "first is 'animal'. 'hiereval run' encodes them.\n"
    )
    assert cli("run", *asked, "--controls", "none")[0] == 0
    again = ["--output-path", "again", "--resamples", "50", "--log-samples"]
    assert cli("score", *asked, *again)[0] == 0
    one, two = (
        json.loads(next((tmp_path / folder).glob("*.jsonl")).read_text())
        for folder in ("results", "again")
    )
    # 1 1 2 3 words: 5 pairs right, 1 tied: tau-b = 5 / sqrt(6 * 5)
    assert two["metrics"]["tau_d"]["value"] == pytest.approx(5 / 30**0.5, abs=1e-12)
    assert one["metrics"]["tau_d"]["value"] == two["metrics"]["tau_d"]["value"]
    assert two["bootstrap_resamples"] == 50
    assert two["timings"]["texts_per_s"] is None
    assert len(list((tmp_path / "again" / "samples").iterdir())) == 1


def test_source_and_model_exclude_each_other(cli: Cli) -> None:
    neither = "error: The command must have either a SOURCE or --model.\n"
    assert cli("score")[::2] == (2, neither)
    assert cli("score", "x.jsonl", "--model", "toy")[::2] == (2, neither)
    assert cli("score", "x.jsonl", "--probes", "origin")[::2] == (
        2, "error: The option --probes must stand with --model, not with a SOURCE.\n"
    )  # fmt: skip
