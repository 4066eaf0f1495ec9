"""An adapter's vectors as its checks see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hiereval.testing.checks import Failed, require
from hiereval.types import Adapter

if TYPE_CHECKING:
    from torch import Tensor

EXACT = 1e-5  # between vectors of one text in different batches, computed in float32
ROUNDED = 5e-2  # computed in half precision


@dataclass(frozen=True)
class Vectors:
    """What an adapter gives for texts and pictures: of length 1 on a sphere, to be compared."""

    adapter: Adapter

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of texts, as they are compared."""
        return self._unit(self.adapter.encode_texts(list(texts)))

    def pictures(self, pictures: Sequence[Any]) -> Tensor:
        """Return the vectors of pictures, as they are compared."""
        return self._unit(self.pictures_raw(pictures))

    def pictures_raw(self, pictures: Sequence[Any]) -> Tensor:
        """Return the vectors of pictures as the adapter gives them."""
        return self.adapter.encode_images([self.adapter.preprocess(p) for p in pictures])

    def _unit(self, vectors: Tensor) -> Tensor:
        """Return vectors as they are compared: of length 1 on a sphere."""
        vectors = vectors.detach().float().cpu()
        if self.adapter.id.geometry == "sphere":
            vectors = vectors / vectors.norm(dim=-1, keepdim=True)
        return vectors

    def close(self, a: Tensor, b: Tensor, what: str) -> str:
        """Say how far two sets of vectors are apart; fail where that is more than rounding."""
        limit = EXACT if self.adapter.id.dtype in ("float32", "float64") else ROUNDED
        if a.shape != b.shape:
            raise Failed(f"vectors {what} have shapes {list(a.shape)} and {list(b.shape)}")
        scale = max(1.0, float(a.abs().max()))
        difference = float((a - b).abs().max()) / scale
        require(difference <= limit, f"vectors {what} differ by {difference:.1e}, over {limit:g}")
        return f"within {difference:.1e}"

    def check(self, vectors: Any, n: int, *, direction: bool = True) -> None:
        """Fail unless vectors are [n, d] float32, finite, and have a direction on a sphere."""
        import torch

        require(
            isinstance(vectors, torch.Tensor), f"must be a tensor, not {type(vectors).__name__}"
        )
        shape = list(vectors.shape)
        require(vectors.ndim == 2 and shape[0] == n, f"shape must be [{n}, d], not {shape}")
        require(vectors.dtype == torch.float32, f"type must be float32, not {vectors.dtype}")
        bad = int((~vectors.isfinite().all(dim=1)).sum())
        require(bad == 0, f"{bad} of {n} vectors are not finite")
        if direction and self.adapter.id.geometry == "sphere":
            zeros = int((vectors.norm(dim=1) == 0).sum())
            require(zeros == 0, f"{zeros} of {n} vectors are zero and have no direction")
