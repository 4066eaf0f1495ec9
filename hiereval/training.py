"""Training chains: what may be trained on, how a development part is held out, shuffling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from hiereval.errors import HierevalError
from hiereval.types import Chains, Dataset

if TYPE_CHECKING:
    import numpy as np
    from torch import Generator

HELD_OUT = ("hierarcaps", "shapes")  # scored data with images that training must not touch


def checked(data: Dataset, *, negatives: bool = True) -> Chains:
    """Return data that can be trained on; raises HierevalError for what cannot."""
    if not isinstance(data, Chains):
        raise HierevalError(
            f"The training data {data.name!r} must be caption chains, and is "
            f"{type(data).__name__}. 'hiereval ls datasets' describes the datasets."
        )
    if len(data.chains) < 2:
        raise HierevalError(
            f"The training data {data.name!r} must have at least 2 chains; "
            f"it has {len(data.chains)}."
        )
    if negatives and data.negatives is None:
        raise HierevalError(
            f"The training data {data.name!r} must have negatives (a contradicting chain for each "
            "chain: the column 'negative' of a CSV). 'hierarcaps-train' and 'shapes:train' do."
        )
    return data


def refuse_shared_images(training: str, names: frozenset[str], test: Dataset) -> None:
    """Raise HierevalError if a name of the training images is one of the test data's."""
    shared = sorted(names.intersection(image.name for image in test.images))
    if shared:
        raise HierevalError(
            f"The training data {training!r} must share no image with the test data "
            f"{test.name!r}; they share {len(shared):,}, the first is {shared[0]!r}."
        )


def refuse_test_images(data: Chains, open_dataset: Callable[[str], Dataset]) -> None:
    """Raise HierevalError if the chains describe an image of a test split that is at hand.

    `open_dataset` raises HierevalError for what is not: nothing was taken from it here.
    """
    if not data.images:
        return
    for name in HELD_OUT:
        try:
            test = open_dataset(name)
        except HierevalError:
            continue
        refuse_shared_images(data.name, image_names(data), test)


def image_names(data: Chains) -> frozenset[str]:
    """Return the names of the images that the chains describe."""
    return frozenset(image.name for image in data.images)


def hold_out(data: Chains, share: float, generator: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return (training, development) chain numbers, ascending, that share no image.

    About `share` of the images, or of the chains where there are no images, are held out: at
    least one and never all, none if `share` is 0.
    """
    import numpy as np
    import torch

    group = np.arange(len(data.chains)) if data.chain_image is None else data.chain_image
    groups = np.unique(group)
    if share == 0:
        return np.arange(len(group)), np.arange(0)
    if len(groups) < 2:
        raise HierevalError(
            f"The training data {data.name!r} must describe at least 2 images, so that a "
            f"development part can be held out; it describes {len(groups)}."
        )
    size = min(max(1, round(share * len(groups))), len(groups) - 1)
    held = groups[torch.randperm(len(groups), generator=generator)[:size].numpy()]
    inside = np.isin(group, held)
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def shuffle_tiers(data: Chains, generator: Generator) -> Chains:
    """Return the same chains, each with its tiers in a random order, its negatives in the same.

    Trained on these, a probe shows what its capacity reaches without knowing what is general.
    """
    import numpy as np
    import torch

    order = torch.rand(data.chains.shape, generator=generator).argsort(dim=1).numpy()
    negatives = data.negatives
    return replace(
        data,
        chains=np.take_along_axis(data.chains, order, axis=1),
        negatives=None if negatives is None else np.take_along_axis(negatives, order, axis=1),
    )
