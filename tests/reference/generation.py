"""What a generated chain is worth, slowly: strings and sets, one image at a time."""

from __future__ import annotations

import math


def longest_increasing_run(tiers: list[int]) -> int:
    """The longest run of strictly increasing tiers, equal neighbours counted once."""
    path = [tier for i, tier in enumerate(tiers) if i == 0 or tier != tiers[i - 1]]
    best = 0
    for start in range(len(path)):
        end = start + 1
        while end < len(path) and path[end] > path[end - 1]:
            end += 1
        best = max(best, end - start)
    return best


def score(generated: list[str], chains: list[list[str]]) -> dict[str, float]:
    """One image: precision pools its chains, a tier is found in any of them."""
    k = len(chains[0])
    true = {caption for chain in chains for caption in chain}
    predicted = set(generated)
    found = [any(chain[j] in predicted for chain in chains) for j in range(k)]
    tier = {}  # the first tier of the first chain that holds a caption
    for chain in chains:
        for j, caption in enumerate(chain):
            tier.setdefault(caption, j)
    run = longest_increasing_run([tier[c] for c in generated if c in tier])
    return {
        "precision": len(predicted & true) / len(predicted) if predicted else math.nan,
        "recall": sum(found) / k,
        "predictions": float(len(predicted)),
        "ordered_recall": run / k,
    }
