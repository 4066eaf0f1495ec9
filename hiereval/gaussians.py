"""Gaussians of diagonal covariance, one an item: ProLIP's embeddings (Chun et al., ICLR 2025).

A vector [2 e] is a mean and the logarithms of e variances behind it. The means alone lie on a
sphere; with the variances, an item's uncertainty is how general it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from hiereval.geometry import angle_at, normalise


def means(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n e"]:
    """Return the means, the first half of every vector."""
    return x.unflatten(-1, (2, -1))[..., 0, :]


def log_variances(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n e"]:
    """Return the logarithms of the variances, the second half of every vector."""
    return x.unflatten(-1, (2, -1))[..., 1, :]


def of_unit_mean(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Return the vectors with means of length 1, as every comparison of them takes them."""
    return torch.cat([normalise(means(x)), log_variances(x)], -1)


def uncertainty(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """Return the sum of the variances.

    >>> uncertainty(torch.tensor([[1.0, 0.0, 0.0, 0.0]])).tolist()  # two variances of 1
    [2.0]
    """
    return log_variances(x).exp().sum(-1)


@dataclass(frozen=True, eq=False)
class UncertaintySpace:
    """Gaussians of unit mean: an uncertain caption is a general one.

    Radius is the sum of the variances, counted downwards from the most uncertain caption's (at
    least 0); similarity that of ProLIP's loss.
    """

    text: Float[Tensor, "t d"]
    image: Float[Tensor, "i d"] | None
    root: Float[Tensor, " d"]

    @cached_property
    def radius(self) -> Float[Tensor, " t"]:
        uncertain = uncertainty(self.text)
        return uncertain.max() - uncertain

    def similarity(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        """Return mu.mu' - (sum of both variances) / 2, for ranking as the expected distance."""
        both = uncertainty(x)[:, None] + uncertainty(y)[None, :]
        return means(x) @ means(y).T - both / 2

    def exterior_angle(
        self, general: Float[Tensor, "*n d"], specific: Float[Tensor, "*n d"]
    ) -> Float[Tensor, "*n"]:
        """Return that of the means, around the root's."""
        return angle_at(means(general), means(specific), means(self.root))

    def toward_root(
        self, x: Float[Tensor, "n d"], fraction: Float[Tensor, " s"]
    ) -> Float[Tensor, "n s d"]:
        """Return Gaussians on the way: means back on the sphere, logarithms in equal steps."""
        return of_unit_mean(x[:, None] - fraction[None, :, None] * (x - self.root)[:, None])

    def centre(self, x: Float[Tensor, "n m d"]) -> Float[Tensor, "n d"]:
        """Return the normalised mean of the means, and the mean of the variances."""
        variances = log_variances(x).exp().mean(dim=1)
        return torch.cat([normalise(means(x).mean(dim=1)), variances.log()], -1)
