"""The dataset `shapes`: small rendered scenes with caption chains, generated, never downloaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from itertools import islice, takewhile

from hiereval.errors import HierevalError, nearest
from hiereval.toy.drawing import VERSION, png
from hiereval.toy.scenes import Scene, scenes
from hiereval.types import Chains, DataOptions

SEED = 1
SPLITS = {"test": 1000, "validation": 1000, "train": 8000}  # scenes; none stands in two


@dataclass(frozen=True)
class RenderedImage:
    """A picture that is drawn when it is read."""

    name: str
    scene: Scene

    def read(self) -> bytes:
        """Return the picture as PNG."""
        return png(self.scene)

    def sha256(self) -> str:
        """Return a hash of what is drawn and how; a PNG's bytes are those of the zlib at hand."""
        return hashlib.sha256(f"drawing {VERSION} {self.scene!r}".encode()).hexdigest()


@cache
def split_scenes(split: str) -> tuple[Scene, ...]:
    """Return the scenes of a split."""
    if split not in SPLITS:
        raise HierevalError(
            f"The split {split!r} of shapes must be {', '.join(SPLITS)}.{nearest(split, SPLITS)}"
        )
    first = sum(SPLITS[name] for name in takewhile(lambda name: name != split, SPLITS))
    # all splits together are far fewer than there are, so the last scenes are as the first
    return tuple(islice(scenes(SEED), first, first + SPLITS[split]))


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
        training="shapes:train",
        image_source="rendered scenes, 48 x 48",
    )
