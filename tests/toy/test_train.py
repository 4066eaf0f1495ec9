"""The script that trains the toy: the same seed gives the same files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from hiereval.datasets.chains import head
from hiereval.toy.shapes import shapes
from hiereval.toy.train import (
    Recipe,
    batches,
    load_pixels,
    make_checkpoint,
    make_processor,
    make_tokenizer,
    rate,
)
from hiereval.types import Chains, DataOptions


@pytest.fixture(scope="module")
def data() -> Chains:
    return head(shapes(DataOptions(split="train")), 48)


@pytest.fixture(autouse=True)
def _global_settings() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_the_same_seed_gives_the_same_files(
    data: Chains, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        make_checkpoint(data, tmp_path / name, Recipe(seed=seed, steps=2, batch=16, width=16))
        files = sorted((tmp_path / name).iterdir())
        written.append({file.name: file.read_bytes() for file in files})
    assert written[0] == written[1]
    assert {name for name in written[0] if written[0][name] != written[2][name]} == {
        "model.safetensors"
    }
    lines = capsys.readouterr().err.split("\r")
    assert re.match(r"step 1 of 2  loss \d\.\d{3}  \d+ s$", lines[1])
    assert re.match(r"step 2 of 2  loss \d\.\d{3}  \d+ s\n", lines[2])


def test_training_sees_the_pixels_that_the_processor_makes(data: Chains, tmp_path: Path) -> None:
    import io

    from PIL import Image

    make_processor().save_pretrained(tmp_path)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    pictures = [Image.open(io.BytesIO(image.read())) for image in data.images]
    made = processor(pictures, return_tensors="pt")["pixel_values"]
    assert torch.allclose(made, load_pixels(data), atol=1e-6)


def test_an_epoch_draws_no_picture_twice() -> None:
    drawn = list(batches(10, Recipe(steps=6, batch=3)))
    assert [len(rows) for rows in drawn] == [3] * 6
    for epoch in (drawn[:3], drawn[3:]):
        assert len(set(torch.cat(epoch).tolist())) == 9


def test_the_rate_warms_up_and_ends_near_zero() -> None:
    recipe = Recipe(steps=110, warmup=10)
    rates = [rate(step, recipe) for step in range(110)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.5 * (1 + np.cos(np.pi * 0.99)))
    assert np.all(np.diff(rates[9:]) <= 0)


def test_the_tokenizer_spells_what_it_never_saw() -> None:
    tokenizer = make_tokenizer(["a red star", "red car"])
    end = tokenizer.eos_token_id
    for text in ("red", "Zürich 東京 🚲 naïve", "a" * 300, "!?'s 42"):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert ids.index(end) == len(ids) - 1
    assert tokenizer.tokenize("A  RED star") == ["a</w>", "red</w>", "star</w>"]
    assert tokenizer("")["input_ids"] == [tokenizer.bos_token_id, end]
