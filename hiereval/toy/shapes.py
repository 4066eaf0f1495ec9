"""The dataset `shapes`: small rendered scenes with caption chains, generated, never downloaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice

from hiereval.errors import HierevalError, nearest
from hiereval.toy.drawing import png
from hiereval.toy.scenes import Scene, scenes
from hiereval.types import Chains, DataOptions

SEED = 1
TEST, TRAIN = 400, 8000  # scenes, in this order: no scene stands in both


@dataclass(frozen=True)
class RenderedImage:
    """A picture that is drawn when it is read."""

    name: str
    scene: Scene

    def read(self) -> bytes:
        """Return the picture as PNG."""
        return png(self.scene)


@cache
def split_scenes(split: str) -> tuple[Scene, ...]:
    """Return the scenes of a split, "test" or "train"."""
    parts = {"test": (0, TEST), "train": (TEST, TEST + TRAIN)}
    if split not in parts:
        raise HierevalError(
            f"The split {split!r} of shapes must be test or train.{nearest(split, parts)}"
        )
    return tuple(islice(scenes(SEED), *parts[split]))


def shapes(options: DataOptions) -> Chains:
    """Rendered scenes of shapes, four-tier chains and contradicting negatives, one chain each."""
    import numpy as np

    split = options.split or "test"
    chosen = split_scenes(split)
    captions = [text for scene in chosen for text in (*scene.chain, *scene.negatives)]
    index = {text: i for i, text in enumerate(dict.fromkeys(captions))}
    rows = np.array([index[text] for text in captions], np.int64).reshape(len(chosen), 2, -1)
    content = json.dumps([asdict(scene) for scene in chosen], sort_keys=True)
    return Chains(
        name="shapes",
        split=split,
        revision=None,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        image_source="rendered scenes, 48 x 48",
        texts=tuple(index),
        images=tuple(RenderedImage(f"{split}-{i:05}", s) for i, s in enumerate(chosen)),
        chains=rows[:, 0].copy(),
        negatives=rows[:, 1].copy(),
        chain_image=np.arange(len(chosen)),
        pool=rows[:, 0].reshape(-1).copy(),
    )
