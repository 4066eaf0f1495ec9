"""The dataset `shapes`: small rendered scenes with caption chains, generated, never downloaded."""

from __future__ import annotations

from dataclasses import dataclass
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
    from hiereval.datasets.chains import assemble

    split = options.split or "test"
    chosen = split_scenes(split)
    return assemble(
        [scene.chain for scene in chosen],
        [scene.negatives for scene in chosen],
        [RenderedImage(f"{split}-{i:04}", scene) for i, scene in enumerate(chosen)],
        name="shapes",
        split=split,
        image_source="rendered scenes, 48 x 48",
    )
