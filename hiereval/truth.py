"""What of an image's chains its predicted captions hit: precision, recall by tier, order.

The rules are those of the released evaluation of HierarCaps (Alper & Averbuch-Elor, ECCV 2024):
an image may have several chains; precision pools their captions, recall counts a tier once any
chain's caption of that tier is predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from hiereval.types import Chains

CHUNK = 1 << 16  # pairs of images whose paths are followed at once


@dataclass(frozen=True, eq=False)
class Found:
    """Per image, NaN where it has no prediction; k tiers."""

    precision: Float64[Tensor, " n"]
    recall: Float64[Tensor, " n"]
    tiers: Float64[Tensor, "n k"]  # 1.0 where the tier is found
    predictions: Float64[Tensor, " n"]  # how many distinct captions


@dataclass(frozen=True, eq=False)
class Truth:
    """The n images that have a chain, and their chains of text indices below `n_texts`.

    Two images of one chain each, of four tiers; texts are numbers, 0 (general) stands in both:

    >>> chains = torch.tensor([[0, 1, 2, 3], [0, 4, 5, 6]])
    >>> truth = Truth(torch.tensor([0, 1]), torch.tensor([0, 1]), chains, n_texts=8)

    Image 0 is given texts 0, 2, 2 and 7: two of three distinct ones are right. Image 1 gets none:

    >>> found = truth.found(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 2, 2, 7]))
    >>> [round(value, 3) for value in found.precision.tolist()], found.recall.tolist()
    ([0.667, nan], [0.5, nan])
    >>> found.tiers.tolist()[0]
    [1.0, 0.0, 1.0, 0.0]

    On the way outward an image meets one text at each level; 7 is no caption of either image:

    >>> paths = torch.tensor([[0, 7, 2, 1, 3], [-1, -1, -1, -1, -1]])
    >>> truth.tier(paths).tolist()
    [[0, -1, 2, 1, 3], [-1, -1, -1, -1, -1]]
    >>> truth.ordered_recall(paths).tolist()  # the longest rises are 0, 2 and 1, 3: two of four
    [0.5, nan]
    """

    images: Int64[Tensor, " n"]  # rows of the dataset's images
    item: Int64[Tensor, " c"]  # each chain's image, as an index into `images`
    chains: Int64[Tensor, "c k"]
    n_texts: int

    @staticmethod
    def of(dataset: Chains) -> Truth:
        """Take the images that have a chain; others cannot be scored."""
        assert dataset.chain_image is not None
        images, item = np.unique(dataset.chain_image, return_inverse=True)
        return Truth(
            torch.from_numpy(images),
            torch.from_numpy(item.reshape(-1)),
            torch.from_numpy(dataset.chains),
            len(dataset.texts),
        )

    def found(self, image: Int64[Tensor, " m"], text: Int64[Tensor, " m"]) -> Found:
        """Score the predicted texts of images (indices into `images`); repeats count once."""
        n = len(self.images)
        predicted = (image * self.n_texts + text).unique()
        true = self.item[:, None] * self.n_texts + self.chains
        size = torch.bincount(predicted // self.n_texts, minlength=n).double()
        right = predicted[torch.isin(predicted, true)]
        hits = torch.bincount(right // self.n_texts, minlength=n).double()
        return self._found(hits, size, torch.isin(true, predicted))

    def found_by_all(self, text: Int64[Tensor, " m"]) -> Found:
        """Score the same predicted texts for every image, as `found` would image by image."""
        predicted = torch.zeros(self.n_texts, dtype=torch.bool)
        predicted[text] = True
        size = predicted.sum().double().expand(len(self.images))
        true = torch.from_numpy(self._tiers[0])
        own = true[predicted[true % self.n_texts]] // self.n_texts
        hits = torch.bincount(own, minlength=len(self.images)).double()
        return self._found(hits, size, predicted[self.chains])

    def _found(
        self, hits: Float64[Tensor, " n"], size: Float64[Tensor, " n"], right: Bool[Tensor, "c k"]
    ) -> Found:
        """Return what hits, predictions of each image and right captions of each chain come to."""
        tiers = torch.zeros(len(self.images), self.chains.shape[1], dtype=torch.float64)
        tiers.index_add_(0, self.item, right.double()).clamp_(max=1.0)
        tiers = tiers.masked_fill(size[:, None] == 0, torch.nan)
        return Found(hits / size, tiers.mean(1), tiers, size.masked_fill(size == 0, torch.nan))

    def tier(
        self, texts: Int64[Tensor, "n l"], item: Int64[Tensor, " n"] | None = None
    ) -> Int64[Tensor, "n l"]:
        """Return each predicted text's tier (from 0) in its image's chains, -1 where it has none.

        Row i is of image i, or of `item[i]`. A text at several tiers counts as the first tier of
        the first chain that holds it.
        """
        item = torch.arange(len(texts)) if item is None else item
        keys, tiers = self._tiers
        wanted = (item[:, None] * self.n_texts + texts).numpy()
        place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        tier = torch.from_numpy(tiers[place])
        return tier.masked_fill(torch.from_numpy(keys[place] != wanted) | (texts < 0), -1)

    @cached_property
    def _tiers(self) -> tuple[np.ndarray, np.ndarray]:
        """Return every true (image, text) as one sorted number, and its tier."""
        true = (self.item[:, None] * self.n_texts + self.chains).reshape(-1)
        keys, first = np.unique(true.numpy(), return_index=True)
        return keys, first % self.chains.shape[1]

    def met(self, i: int, texts: Int64[Tensor, " l"]) -> Iterator[tuple[int, int, int | None]]:
        """Yield (level, text, tier) wherever the path of image i meets another text.

        Tiers count from 1, None for a text that is not true.
        """
        last = -1
        tiers = self.tier(texts[None], torch.tensor([i]))[0]
        for level, (text, tier) in enumerate(zip(texts.tolist(), tiers.tolist(), strict=True)):
            if text not in (-1, last):
                yield level, text, tier + 1 if tier >= 0 else None
                last = text

    def ordered_recall(
        self, texts: Int64[Tensor, "n l"], item: Int64[Tensor, " n"] | None = None
    ) -> Float64[Tensor, " n"]:
        """Return the longest run of strictly increasing tiers in each path of texts, over k.

        Texts that are not true are skipped, then equal tiers that follow each other are one.
        0.0 where no text is true, NaN where there is no prediction (-1 throughout). A text at
        different tiers of several chains makes this depend on the order of the chains.
        """
        tiers = self.tier(texts, item)
        last = torch.full((len(texts),), -1)
        run, longest = torch.zeros_like(last), torch.zeros_like(last)
        for tier in tiers.unbind(1):
            moved: Bool[Tensor, " n"] = (tier >= 0) & (tier != last)
            run = torch.where(moved, torch.where(tier > last, run + 1, 1), run)
            longest = torch.maximum(longest, run)
            last = torch.where(moved, tier, last)
        recall = longest.double() / self.chains.shape[1]
        return recall.masked_fill((texts < 0).all(1), torch.nan)

    def crossed(self, image: Int64[Tensor, " m"], text: Int64[Tensor, " m"]) -> Crossed:
        """Score the predicted texts of images against the truth of every image.

        Only the pairs of images that share a text are kept; there are as many as a text is
        predicted times as it is true, summed over the texts.
        """
        n, k = len(self.images), self.chains.shape[1]
        predicted = (image * self.n_texts + text).unique()
        owner, wanted = predicted // self.n_texts, predicted % self.n_texts
        true, which = (self.item[:, None] * self.n_texts + self.chains).unique(return_inverse=True)
        tiers = torch.zeros(len(true), k, dtype=torch.bool)
        tiers[which, torch.arange(k).expand_as(which)] = True
        held, by_text = (true % self.n_texts).sort(stable=True)
        first = torch.searchsorted(held, wanted)
        count = torch.searchsorted(held, wanted, right=True) - first
        # each prediction meets the `count` images that hold its text, from `first` on
        start = (count.cumsum(0) - count).repeat_interleave(count)
        meets = by_text[first.repeat_interleave(count) + torch.arange(len(start)) - start]
        key = owner.repeat_interleave(count) * n + true[meets] // self.n_texts
        pairs, where, hits = key.unique(return_inverse=True, return_counts=True)
        found = torch.zeros(len(pairs) + 1, k, dtype=torch.float64)
        found.index_add_(0, where, tiers[meets].double()).clamp_(max=1.0)
        size = torch.bincount(owner, minlength=n).double()
        return Crossed(pairs, torch.cat([hits, hits.new_zeros(1)]).double(), found, size)


@dataclass(frozen=True, eq=False)
class Crossed:
    """What the predictions of each of n images find in the truth of every other image.

    Pair e is image pairs[e] // n in the truth of pairs[e] % n; all other pairs find nothing, which
    is the last row of `hits` and `tiers`.

    Of `Truth`'s two images, 0 is given texts 0 and 2, and 1 is given text 4, which is true of 1
    alone. Dealt its own truth, image 0 is all right; dealt the other's, only 0 is true of it:

    >>> chains = torch.tensor([[0, 1, 2, 3], [0, 4, 5, 6]])
    >>> truth = Truth(torch.tensor([0, 1]), torch.tensor([0, 1]), chains, n_texts=8)
    >>> crossed = truth.crossed(torch.tensor([0, 0, 1]), torch.tensor([0, 2, 4]))
    >>> crossed.pairs.tolist()  # 0 in 0, 0 in 1, 1 in 1
    [0, 1, 3]
    >>> precision, _ = crossed.found(crossed.at(torch.tensor([[0, 1], [1, 0]])))
    >>> precision.tolist()
    [[1.0, 1.0], [0.5, 0.0]]
    """

    pairs: Int64[Tensor, " e"]  # sorted
    hits: Float64[Tensor, " f"]  # true captions
    tiers: Float64[Tensor, "f k"]  # 1.0 where the tier is found
    size: Float64[Tensor, " n"]  # predictions of each image

    def at(self, dealt: Int64[Tensor, "b n"]) -> Int64[Tensor, "b n"]:
        """Return the pair of image i and the truth of image dealt[:, i], the last where none."""
        wanted = torch.arange(len(self.size)) * len(self.size) + dealt
        if not len(self.pairs):
            return torch.zeros_like(wanted)
        place = torch.searchsorted(self.pairs, wanted).clamp(max=len(self.pairs) - 1)
        return place.masked_fill(self.pairs[place] != wanted, len(self.pairs))

    def found(self, at: Int64[Tensor, "b n"]) -> tuple[Tensor, Tensor]:
        """Return precision [b, n] and tiers [b, n, k], NaN for an image without predictions."""
        nothing = (self.size == 0)[:, None]
        tiers = self.tiers[at].masked_fill(nothing, torch.nan)
        return self.hits[at] / self.size, tiers

    def ordered_recall(self, truth: Truth, paths: Int64[Tensor, "n l"]) -> Float64[Tensor, " f"]:
        """Return what the path of each pair's first image scores in its second image's truth."""
        image, other = self.pairs // len(self.size), self.pairs % len(self.size)
        paths = without_repeats(paths)
        parts = [
            truth.ordered_recall(paths[i], j)
            for i, j in zip(image.split(CHUNK), other.split(CHUNK), strict=True)
        ]
        return torch.cat([*parts, torch.zeros(1, dtype=torch.float64)])


def without_repeats(texts: Int64[Tensor, "n l"]) -> Int64[Tensor, "n m"]:
    """Return each path of texts without -1 and without a text that follows itself, -1 at the end.

    >>> without_repeats(torch.tensor([[-1, 4, 4, 2], [3, 3, 3, 3]])).tolist()
    [[4, 2], [3, -1]]
    """
    moved = texts >= 0
    moved[:, 1:] &= texts[:, 1:] != texts[:, :-1]
    image, level = moved.nonzero(as_tuple=True)
    place = moved.cumsum(1)[image, level] - 1
    path = torch.full((len(texts), int(place.max()) + 1 if len(place) else 0), -1)
    path[image, place] = texts[image, level]
    return path


def by_image(
    pairs: Int64[Tensor, "p 2"], values: Float64[Tensor, " v"], n: int
) -> Float64[Tensor, "n m"]:
    """Return the values of each of n images side by side, NaN where it has fewer than m.

    `pairs` are (image, index into values), sorted by image.

    >>> values = torch.tensor([0.5, 0.25, 0.75]).double()
    >>> by_image(torch.tensor([[0, 0], [0, 1], [1, 2]]), values, 2).tolist()
    [[0.5, 0.25], [0.75, nan]]
    """
    size = torch.bincount(pairs[:, 0], minlength=n)
    place = torch.arange(len(pairs)) - (size.cumsum(0) - size)[pairs[:, 0]]
    table = torch.full((n, int(size.max())), torch.nan, dtype=torch.float64)
    table[pairs[:, 0], place] = values[pairs[:, 1]]
    return table
