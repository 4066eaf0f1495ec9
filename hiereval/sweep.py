"""Sweeps over the radius: for each image the most similar caption within every radius.

Candidates are sorted by radius, so the prediction at a level is a prefix maximum of similarity.
Only the points where that maximum changes are kept: a few per image, from which the predictions
at any levels follow. One pass over blocks of similarities that stay in the cache; memory does not
grow with candidates x images.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import pad

from hiereval.geometry import first_alike
from hiereval.types import Space

CANDIDATES, IMAGES = 4096, 1024  # a block of similarities
STRIP = 128  # candidates whose maximum says whether to look at them one by one


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where each image's best candidate changes as the radius grows.

    Change e: image[e] prefers order[position[e]] over all candidates of smaller radius. Sorted
    by image, then position. An image whose similarities are all NaN has no change.

    One image at (1, 0) and four captions around the root at 0. Caption 2 lies nearest to it and 1
    off its way; 3 stands beyond the image and no nearer than 2, so that nothing changes there:

    >>> from hiereval.geometry import EuclideanSpace
    >>> captions = torch.tensor([[0.25, 0.0], [0.0, 0.5], [0.75, 0.0], [1.25, 0.0]])
    >>> space = EuclideanSpace(captions, None, torch.zeros(2))
    >>> path = sweep(space, torch.tensor([[1.0, 0.0]]), captions, space.radius)
    >>> path.image.tolist(), path.position.tolist()
    ([0, 0], [0, 2])
    >>> path.count_within(torch.tensor([0.0, 0.25, 0.5, 1.25])).tolist()  # captions in each ball
    [0, 1, 2, 4]
    >>> path.at(torch.tensor([0, 1, 2, 4])).tolist()  # the nearest of them, none in the first
    [[-1, 0, 0, 2]]
    >>> path.everywhere()[1].tolist()
    [0, 2]
    """

    order: Int64[Tensor, " p"]  # distinct candidates by ascending radius, equal radii as given
    radius: Float[Tensor, " p"]  # sorted
    n_images: int
    image: Int64[Tensor, " e"]
    position: Int64[Tensor, " e"]

    def at(self, counts: Int64[Tensor, " l"]) -> Int64[Tensor, "i l"]:
        """Return the best among the first `counts` candidates of the order, -1 if there is none.

        `counts` must not split candidates of equal radius (`count_within` never does).
        """
        image = torch.arange(self.n_images)[:, None]
        if not len(self.image):
            return torch.full((self.n_images, len(counts)), -1)
        stride = len(self.order) + 1
        before = torch.searchsorted(self.image * stride + self.position, image * stride + counts)
        change = (before - 1).clamp(min=0)
        own = (self.image[change] == image) & (self.position[change] < counts)
        return self.order[self.position[change]].masked_fill(~own, -1)

    def everywhere(self) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
        """Return (image, best candidate) where it changes if every distinct radius is a level."""
        radius = self.radius[self.position]
        last = torch.ones(len(radius), dtype=torch.bool)  # of its image and radius
        last[:-1] = (self.image[1:] != self.image[:-1]) | (radius[1:] != radius[:-1])
        return self.image[last], self.order[self.position[last]]

    def count_within(self, levels: Float[Tensor, " l"]) -> Int64[Tensor, " l"]:
        """Return how many candidates have a radius of at most each level."""
        return torch.searchsorted(self.radius, levels, right=True)


def radius_levels(radius: Float[Tensor, " p"], steps: int) -> Float[Tensor, " steps"]:
    """Return levels from the least to the largest radius, equally spaced (the official protocol).

    Spaced in float64, then rounded to the radii's own precision, as the released code compares.

    >>> radius_levels(torch.tensor([0.0, 0.125, 0.25, 0.75]), 4).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    low, high = radius.min().item(), radius.max().item()
    spaced = torch.linspace(low, high, steps, dtype=torch.float64)
    if steps > 1:  # NumPy's arithmetic, so that a level rounds as it does there
        spaced = torch.arange(steps, dtype=torch.float64) * ((high - low) / (steps - 1)) + low
        spaced[-1] = high
    return spaced.to(radius.dtype)


def rank_levels(radius: Float[Tensor, " p"], steps: int) -> Float[Tensor, " steps"]:
    """Return the radii of rank ceil(p j / steps), j = 1..steps: each level adds equally many.

    Any strictly increasing map of the radii maps these levels with them.

    >>> rank_levels(torch.tensor([0.75, 0.125, 0.25, 0.0]), 2).tolist()  # 2 captions, then 4
    [0.125, 0.75]
    """
    rank = (torch.arange(1, steps + 1) * len(radius) + steps - 1) // steps
    return radius.sort().values[rank - 1]


def sweep(
    space: Space,
    images: Float[Tensor, "i d"],
    candidates: Float[Tensor, "p d"],
    radius: Float[Tensor, " p"],
    block: tuple[int, int] = (CANDIDATES, IMAGES),
) -> Trajectory:
    """Return every image's path; at equal similarity the candidate given earlier is better.

    Of candidates that are one point the first alone can be best: the others are left out, since
    rounding could tell them apart.
    """
    kept = first_alike(candidates).unique()
    ordered, order = radius[kept].sort(stable=True)
    order = kept[order]
    best = images.new_full((len(images),), -torch.inf)
    given = torch.full((len(images),), len(candidates))  # the best one's place as it was given
    found = array("q"), array("q")  # not small tensors, each of which pins a freed block in memory
    width, height = block
    for start in range(0, len(order), width):
        chosen = order[start : start + width]
        points = candidates[chosen]
        for first in range(0, len(images), height):
            part = slice(first, first + height)
            similarity = space.similarity(images[part], points)
            row, column = _changes(similarity, chosen, best[part], given[part])
            found[0].frombytes((row + first).cpu().numpy().tobytes())
            found[1].frombytes((column + start).cpu().numpy().tobytes())
            last = torch.ones_like(row, dtype=torch.bool)
            last[:-1] = row[1:] != row[:-1]
            row, column = row[last], column[last]
            best[row + first] = similarity[row, column]
            given[row + first] = chosen[column]
    image, position = (torch.from_numpy(np.array(numbers, np.int64)) for numbers in found)
    by_image = image.sort(stable=True).indices
    return Trajectory(order, ordered, len(images), image[by_image], position[by_image])


def _changes(
    similarity: Float[Tensor, "i w"],
    given: Int64[Tensor, " w"],
    best: Float[Tensor, " i"],
    best_given: Int64[Tensor, " i"],
) -> tuple[Int64[Tensor, " e"], Int64[Tensor, " e"]]:
    """Return (row, column), row by row, where the best of a row so far changes.

    It changes to what is more similar, or equally similar and given earlier. Most strips hold
    nothing of the kind, and are passed over by their maximum.

    One row, four columns; the best so far is 0.25. Column 0 beats it, 1 does not beat 0, 2 beats
    0, and 3 is as similar as 2 and was given earlier (as number 1, not 3):

    >>> similarity, given = torch.tensor([[0.5, 0.25, 0.75, 0.75]]), torch.tensor([2, 0, 3, 1])
    >>> row, column = _changes(similarity, given, torch.tensor([0.25]), torch.tensor([9]))
    >>> row.tolist(), column.tolist()
    ([0, 0, 0], [0, 2, 3])
    """
    width = similarity.shape[1]
    strips = pad(similarity, (0, -width % STRIP), value=-torch.inf).unflatten(1, (-1, STRIP))
    top = strips.amax(2)
    before = torch.cat([best[:, None], top], 1).cummax(1).values[:, :-1]
    row, strip = (top >= before).nonzero(as_tuple=True)
    inside = strips[row, strip]
    reached = torch.maximum(inside.cummax(1).values, before[row, strip, None])
    piece, offset = (inside == reached).nonzero(as_tuple=True)
    # these are at least as good as all before; the best of before goes first, in column -1
    rows = row.unique()
    row, column = torch.cat([rows, row[piece]]), strip[piece] * STRIP + offset
    column = torch.cat([torch.full_like(rows, -1), column])
    order = (row * (width + 1) + column).argsort()
    row, column = row[order], column[order]
    old, at = column < 0, column.clamp(min=0)
    value = torch.where(old, best[row], similarity[row, at])
    rank = torch.where(old, best_given[row], given[at])
    new = torch.ones_like(row)  # a larger value, or another row
    new[1:] = (row[1:] != row[:-1]) | (value[1:] != value[:-1])
    key = rank - new.cumsum(0) * (best_given.max() + given.max() + 1)  # falls from group to group
    change = ~old
    change[1:] &= key[1:] < key.cummin(0).values[:-1]
    return row[change], column[change]
