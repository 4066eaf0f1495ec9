from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import checkpoints, openclip_checkpoint
from support.tuning import finetune

from hiereval.finetune.finetuning import FinetuneConfig
from hiereval.finetune.recipe import Recipe

POSITIVE = ("animal", "dog", "small dog", "a small dog on a red carpet")
NEGATIVE = ("vehicle", "car", "old car", "an old car in a narrow street")


def openclip(folder: Path) -> Path:
    """An OpenCLIP checkpoint with random matrices: sines put all texts at nearly one point, where
    angles magnify rounding."""
    openclip_checkpoint.write(folder, openclip_checkpoint.CLIP)
    (file,) = folder.glob("*.safetensors")
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: value
        if value.ndim < 2
        else torch.randn(value.shape, generator=generator) / value.shape[-1] ** 0.5
        for name, value in load_file(file).items()
    }
    save_file(weights, file)
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {
    "hf-clip": checkpoints.clip,
    "siglip": checkpoints.siglip,
    "blip": checkpoints.blip,
    "bridgetower": checkpoints.bridgetower,
    "openclip": openclip,
    "dual-encoder": partial(
        checkpoints.dual_encoder, text="clip_text_model", image="clip_vision_model", old=True
    ),
    "chinese-clip": checkpoints.chinese_clip,  # a text tower with dropout
}
ADAPTERS = {
    "openclip": "openclip:local-dir",
    "chinese-clip": "hf-clip",
    "dual-encoder": "hf-clip",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A function from a family to the `--model` of a tiny checkpoint of it."""
    base = tmp_path_factory.mktemp("models")

    def spec(family: str) -> str:
        folder = base / family
        if not folder.is_dir():
            WRITERS[family](folder)
        return f"{ADAPTERS.get(family, family)}:{folder}"

    return spec


@pytest.fixture(scope="session")
def chains_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """26 chains with contradicting chains, some captions in common."""
    number = random.Random(0)

    def chain(texts: tuple[str, ...]) -> str:
        return " => ".join(f"{text} {number.randrange(9)}" for text in texts)

    lines = ["positive,negative", *(f"{chain(POSITIVE)},{chain(NEGATIVE)}" for _ in range(26))]
    path = tmp_path_factory.mktemp("data") / "chains.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def configure(
    model: Callable[[str], str], chains_csv: Path, tmp_path: Path
) -> Callable[..., FinetuneConfig]:
    def config(family: str = "hf-clip", **fields: Any) -> FinetuneConfig:
        own = {name: fields.pop(name) for name in list(fields) if name in Recipe.__annotations__}
        base = FinetuneConfig(
            model=model(family),
            train_data=str(chains_csv),
            out=tmp_path / "out",
            recipe=Recipe(**{"lr": 1e-3, **own}),
        )
        return replace(base, **fields)

    return config


@pytest.fixture
def tune(configure: Callable[..., FinetuneConfig]) -> Callable[..., Path]:
    """A function that fine-tunes and returns the output folder."""

    def run(family: str = "hf-clip", **fields: Any) -> Path:
        report = fields.pop("report", lambda step, steps, losses: None)
        settings = {key: fields.pop(key) for key in ("precision",) if key in fields}
        config = configure(family, **fields)
        finetune(config, report, **settings)
        return config.out

    return run
