"""Chains whose pictures are painted when they are read."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hiereval.types import Chains


@dataclass(frozen=True)
class Picture:
    name: str
    colour: tuple[int, int, int]

    def read(self) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (4, 4), self.colour).save(file, "PNG")
        return file.getvalue()


def painted(texts: int = 40, images: int = 30) -> Chains:
    return Chains(
        name="d",
        split="test",
        revision=None,
        sha256="s",
        image_source="painted",
        texts=tuple(f"text {'very ' * (i % 7)}{i}" for i in range(texts)),
        images=tuple(Picture(f"{i}.png", (i, 2 * i, 3 * i)) for i in range(images)),
        chains=np.arange(texts).reshape(-1, 4),
        chain_image=np.arange(texts // 4),
        pool=np.arange(texts),
    )
