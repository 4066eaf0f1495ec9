"""Checkpoints written once a session, pictures of known pixels, one thread."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import checkpoints

WRITERS: dict[str, Callable[[Path], Path]] = {
    "clip": checkpoints.clip,
    "metaclip2": checkpoints.metaclip2,
    "altclip": checkpoints.altclip,
    "chinese_clip": checkpoints.chinese_clip,
    "align": checkpoints.align,
    "siglip": checkpoints.siglip,
    "siglip2": partial(checkpoints.siglip, generation=2),
    "naflex": checkpoints.naflex,
    "blip": checkpoints.blip,
    "blip-captioning": partial(checkpoints.blip, captioning=True),
    "clip-half": partial(checkpoints.clip, dtype=torch.float16),
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all tests of adapters: what is remembered of a file depends on its content."""
    monkeypatch.setenv("HIEREVAL_CACHE", str(tmp_path_factory.getbasetemp() / "adapters-cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a kind of checkpoint to its folder, which must not be changed."""
    base = tmp_path_factory.mktemp("checkpoints")

    def folder(kind: str) -> Path:
        path = base / kind
        return path if path.is_dir() else WRITERS[kind](path)

    return folder


@pytest.fixture
def copied(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A function from a kind of checkpoint to a copy of its folder, to be spoiled."""

    def folder(kind: str) -> Path:
        return Path(shutil.copytree(checkpoint(kind), tmp_path / kind))

    return folder


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Three pictures of smooth noise, of different shapes."""
    generator = np.random.default_rng(0)
    small = [generator.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in range(3)]
    sizes = [(64, 48), (40, 90), (33, 33)]
    return [Image.fromarray(p).resize(s, 2) for p, s in zip(small, sizes, strict=True)]


@pytest.fixture(scope="session")
def odd_pictures() -> dict[str, Image.Image]:
    """One picture of every mode and of the extreme shapes."""
    grey = Image.linear_gradient("L").resize((40, 30))
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16)) * 257)
    pictures = {mode: grey.convert("RGB").convert(mode) for mode in ("1", "L", "P", "RGBA", "CMYK")}
    return {
        **pictures,
        "LA": grey.convert("LA"),
        "I;16": deep,
        "I": Image.fromarray(np.asarray(deep).astype(np.int32)),
        "F": grey.convert("F"),
        "1x1": Image.new("RGB", (1, 1), (200, 10, 50)),
        "3x3": Image.new("RGB", (3, 3), (200, 10, 50)),
        "1x4000": grey.convert("RGB").resize((1, 4000)),
        "4000x1": grey.convert("RGB").resize((4000, 1)),
    }
