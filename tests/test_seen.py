"""Strings that were trained on: counted by tier, and left out."""

from __future__ import annotations

import numpy as np
import pytest

from hiereval.datasets.chains import assemble
from hiereval.lineage import text_hashes
from hiereval.seen import seen, unseen
from hiereval.types import Chains

CHAINS = [
    ("animal", "bird", "blue bird", "a blue bird on a branch"),
    ("animal", "dog", "brown dog", "a brown dog in the snow"),
    ("food", "fruit", "red apple", "a red apple on a plate"),
    ("vehicle", "car", "old car", "an old car by the road"),
]


def chains(negatives: bool = False) -> Chains:
    others = [tuple(f"no {text}" for text in chain) for chain in CHAINS]
    return assemble(CHAINS, others if negatives else None, name="mine", split="test")


def trained_on(*texts: str) -> frozenset[str]:
    return frozenset(text_hashes(texts))


def shown(part: Chains) -> list[list[str]]:
    return [[part.texts[i] for i in chain] for chain in part.chains]


def test_distinct_strings_are_counted_by_tier() -> None:
    found = seen(chains(), trained_on("animal", "dog", "red apple", "a zebra"))
    assert found.texts == [3, 4, 4, 4]
    assert found.seen == [1, 1, 1, 0]
    assert (found.chains, found.unseen_chains) == (4, 1)


def test_chains_without_a_trained_string_are_left() -> None:
    part = unseen(chains(), trained_on("dog", "bird"))
    assert part is not None
    assert (part.name, part.split) == ("mine", "test-unseen")
    assert shown(part) == [list(CHAINS[2]), list(CHAINS[3])]
    assert set(part.texts) == {*CHAINS[2], *CHAINS[3]}
    assert part.sha256 != chains().sha256


def test_general_tiers_are_dropped_until_half_of_the_chains_are_left() -> None:
    part = unseen(chains(), trained_on("animal", "food", "vehicle", "car", "red apple"))
    assert part is not None
    assert part.split == "test-unseen-tiers-2-4"
    assert shown(part) == [list(CHAINS[0][1:]), list(CHAINS[1][1:])]


def test_two_tiers_are_the_least() -> None:
    part = unseen(chains(), trained_on("blue bird", "brown dog"))
    assert part is not None
    assert part.split == "test-unseen"
    part = unseen(chains(), trained_on("blue bird", "brown dog", "fruit", "animal"))
    assert part is not None
    assert part.split == "test-unseen-tiers-3-4"
    assert shown(part) == [list(CHAINS[2][2:]), list(CHAINS[3][2:])]


def test_what_contradicts_a_chain_counts_as_its_string() -> None:
    texts = trained_on("no blue bird")
    part = unseen(chains(negatives=True), texts)
    assert part is not None
    assert len(part.chains) == 3
    assert part.negatives is not None
    assert part.negatives.shape == (3, 4)
    assert seen(chains(negatives=True), texts).unseen_chains == 3
    assert seen(chains(negatives=True), texts).seen == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "texts", [(), ("a zebra",), tuple(text for chain in CHAINS for text in chain)]
)
def test_nothing_seen_or_nothing_left_is_no_part(texts: tuple[str, ...]) -> None:
    assert unseen(chains(), trained_on(*texts)) is None


def test_equals_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(60)]
    rows = [tuple(rng.choice(words[15 * k : 15 * k + 15]) for k in range(4)) for _ in range(50)]
    texts = set(rng.choice(words, 12))
    part = unseen(assemble(rows, name="w", split="s"), trained_on(*texts))
    left: list[tuple[str, ...]] = []
    for first in range(3):
        left = [row[first:] for row in rows if not texts.intersection(row[first:])]
        if 2 * len(left) >= len(rows):
            break
    assert part is not None
    assert [tuple(chain) for chain in shown(part)] == left
