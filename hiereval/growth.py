"""Chains of growing captions as tensors, and what their similarities to an image say of them.

What HiMo@K is made of (see the task `himo`): the correlation of a caption's place in its chain and
its similarity to the chain's image, over all captions, over what the model does not cut, and less
the similarity of other images' captions that are as long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Generator, Tensor

from hiereval.datasets.himo_docci import GrowingCaptions
from hiereval.nulls import word_counts

ROUNDING = 1e-12  # of float64: values that differ by less, as a share of themselves, are equal


@dataclass(frozen=True, eq=False)
class Grown:
    """A dataset's chains as tensors, and for each caption others' captions of its word count."""

    dataset: GrowingCaptions
    captions: Int64[Tensor, "c k"]  # -1 beyond a chain's end
    image: Int64[Tensor, " c"]
    matched: Int64[Tensor, "c k m"]  # -1 where no other image has a caption of that length

    @staticmethod
    def of(dataset: GrowingCaptions, m: int, generator: Generator) -> Grown:
        """Draw m captions for each."""
        captions = torch.from_numpy(dataset.captions)
        image = torch.from_numpy(dataset.caption_image)
        return Grown(dataset, captions, image, as_long(dataset, m, generator))

    @property
    def there(self) -> Bool[Tensor, "c k"]:
        """Which places hold a caption."""
        return self.captions >= 0

    def placed(self, values: Float[Tensor, "*n k"]) -> Float64[Tensor, "*n k"]:
        """Return the values with NaN beyond each chain's end."""
        return values.double().masked_fill(~self.there, torch.nan)

    def others(self, values: Float[Tensor, "*n k m"]) -> Float64[Tensor, "*n k"]:
        """Return the mean over the matched captions, NaN where there is none."""
        return values.double().masked_fill(self.matched < 0, torch.nan).nanmean(-1)

    def items(
        self,
        similarity: Float64[Tensor, "n k"],
        others: Float64[Tensor, "n k"],
        flat: Bool[Tensor, " n"],
    ) -> dict[str, Float64[Tensor, " n"]]:
        """Return the items of the chains, or of n / c samples of them one after another."""
        there = self.there.repeat(len(similarity) // len(self.captions), 1)
        pearson = place_correlation(similarity).masked_fill(flat, 0.0)
        gain = similarity - others
        rounding = ROUNDING * torch.maximum(similarity.abs(), others.abs())
        matched = place_correlation(gain.masked_fill(gain.abs() <= rounding, 0.0))
        rises = (similarity.diff() > 0) | ~there[:, 1:]
        return {
            "pearson": pearson,
            "pearson_over_3": pearson.masked_fill(there.sum(1) <= 3, torch.nan),
            "pearson_matched": torch.where(flat & matched.isfinite(), 0.0, matched),
            "rises": (rises.all(1) & ~flat).double(),
            **self._truncation(similarity, flat),
        }

    def _truncation(
        self, similarity: Float64[Tensor, "n k"], flat: Bool[Tensor, " n"]
    ) -> dict[str, Float64[Tensor, " n"]]:
        """Return what the model cuts of each chain, and the correlation over what it does not."""
        names = ("pearson_within_context", "truncated", "truncated_ends")
        if self.dataset.truncated is None:
            return dict.fromkeys(names, similarity.new_full(flat.shape, torch.nan))
        times = len(similarity) // len(self.captions)
        cut = torch.from_numpy(self.dataset.truncated)[self.captions] & self.there
        last = self.there.sum(1, keepdim=True) - 1
        ends = (cut.gather(1, last) & cut.gather(1, last - 1))[:, 0]
        within = place_correlation(similarity.masked_fill(cut.repeat(times, 1), torch.nan))
        values = (
            torch.where(flat & within.isfinite(), 0.0, within),
            cut.sum(1).double().repeat(times),
            ends.double().repeat(times),
        )
        return dict(zip(names, values, strict=True))


def as_long(dataset: GrowingCaptions, m: int, generator: Generator) -> Int64[Tensor, "c k m"]:
    """Return for each caption m of as many words that no chain of its image holds, -1: none.

    Uniform over texts, with replacement.
    """
    words = word_counts(dataset.texts).numpy()
    of_length = {n: np.flatnonzero(words == n) for n in np.unique(words).tolist()}
    own = [dataset.captions[dataset.caption_image == i] for i in range(len(dataset.images))]
    where = torch.rand(*dataset.captions.shape, m, generator=generator, dtype=torch.float64).numpy()
    drawn = np.full(where.shape, -1)
    for c, j in np.argwhere(dataset.captions >= 0):
        others = of_length[words[dataset.captions[c, j]]]
        others = others[~np.isin(others, own[dataset.caption_image[c]])]
        if len(others):
            drawn[c, j] = others[(where[c, j] * len(others)).astype(np.int64)]
    return torch.from_numpy(drawn)


def place_correlation(values: Float64[Tensor, "c k"]) -> Float64[Tensor, " c"]:
    """Return Pearson's correlation of each row's values with 1, 2, ...; NaN entries are left out.

    0 where the values are all equal, NaN where fewer than two are left.

    >>> place_correlation(torch.tensor([[1.0, 2.0, 4.0], [3.0, 3.0, torch.nan]]).double())
    tensor([0.9820, 0.0000], dtype=torch.float64)
    """
    there = values.isfinite()
    n = there.sum(1, keepdim=True).double()
    place = torch.arange(1.0, values.shape[1] + 1, dtype=torch.float64).expand_as(values)
    x, y = (_centred(side, there) for side in (place, values))
    spread = x.square().sum(1).sqrt() * y.square().sum(1).sqrt()
    low = values.masked_fill(~there, torch.inf).amin(1)
    high = values.masked_fill(~there, -torch.inf).amax(1)
    level = high - low <= ROUNDING * torch.maximum(low.abs(), high.abs())
    correlation = ((x * y).sum(1) / spread).clamp(-1.0, 1.0).masked_fill(level, 0.0)
    return correlation.masked_fill(n[:, 0] < 2, torch.nan)


def _centred(values: Float64[Tensor, "c k"], there: Bool[Tensor, "c k"]) -> Float64[Tensor, "c k"]:
    """Return values less their row's mean, 0 where they do not enter."""
    kept = values.masked_fill(~there, 0.0)
    mean = kept.sum(1, keepdim=True) / there.sum(1, keepdim=True)
    return (kept - mean).masked_fill(~there, 0.0)
