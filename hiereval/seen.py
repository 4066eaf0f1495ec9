"""Strings that were trained on: how many of a dataset's there are, and the part without any.

On HierarCaps most captions of the general tiers are training captions as well, so what a trained
probe or a fine-tuned model reaches on all chains is partly remembered.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hiereval.datasets.chains import subset
from hiereval.lineage import text_hash
from hiereval.records import SeenInfo
from hiereval.types import Chains

if TYPE_CHECKING:
    import numpy as np

UNSEEN = "-unseen"  # ends the name of a split of which only such strings are measured


def seen(dataset: Chains, trained_on: frozenset[str]) -> SeenInfo:
    """Count, by tier, the distinct strings of the chains and those whose hash was trained on."""
    import numpy as np

    known = _known(dataset, trained_on)
    tiers = [np.unique(tier) for tier in dataset.chains.T]
    return SeenInfo(
        texts=[len(tier) for tier in tiers],
        seen=[int(known[tier].sum()) for tier in tiers],
        chains=len(dataset.chains),
        unseen_chains=int((~_hits(dataset, known).any(axis=1)).sum()),
    )


def unseen(dataset: Chains, trained_on: frozenset[str]) -> Chains | None:
    """Return the chains, from the tier on where half of them are left, that hold no trained string.

    The most general tiers are dropped one by one until at least half of the chains remain, or two
    tiers. A chain's negatives are its strings too. None if nothing was seen, or fewer than two
    chains are left.
    """
    import numpy as np

    hits = _hits(dataset, _known(dataset, trained_on))
    first, k = 0, hits.shape[1]
    while first < k - 2 and 2 * int((~hits[:, first:].any(axis=1)).sum()) < len(hits):
        first += 1
    rows = np.flatnonzero(~hits[:, first:].any(axis=1))
    if len(rows) < 2 or not hits.any():
        return None
    tiers = "" if first == 0 else f"-tiers-{first + 1}-{k}"
    cut = replace(
        dataset,
        split=f"{dataset.split}{UNSEEN}{tiers}",
        chains=dataset.chains[:, first:],
        negatives=None if dataset.negatives is None else dataset.negatives[:, first:],
    )
    return subset(cut, rows)


def _known(dataset: Chains, trained_on: frozenset[str]) -> np.ndarray:
    """Return [t] bool: which texts were trained on."""
    import numpy as np

    return np.array([text_hash(text) in trained_on for text in dataset.texts], bool)


def _hits(dataset: Chains, known: np.ndarray) -> np.ndarray:
    """Return [c, k] bool: where a chain, or what contradicts it, was trained on."""
    hits: np.ndarray = known[dataset.chains]
    return hits if dataset.negatives is None else hits | known[dataset.negatives]
