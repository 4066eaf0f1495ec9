"""How facts are put into words: a sentence of fixed order, filled up with phrases that say nothing.

Every caption has 12 to 16 words, and its numbers of words and of characters are drawn from the
same distribution whatever it states. Both are functions of what is stated, so equal statements
read equal: each value of each fact has a place on a circle, and a statement stands where the sum
of its facts' places does. As values are drawn uniformly, adding or changing one fact takes the sum
anywhere, so neither number tells tiers, or true from false, apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random
from zlib import crc32

from hiereval.toy.drawing import COLOURS, GROUNDS, TEXTURES

CATEGORIES: dict[str, tuple[str, ...]] = {
    "polygon": ("triangle", "square", "diamond"),
    "rounded shape": ("circle", "ring", "crescent"),
    "kind of sign": ("star", "heart", "cross"),
    "means of transport": ("car", "boat", "rocket"),
}
CATEGORY = {kind: category for category, kinds in CATEGORIES.items() for kind in kinds}
KINDS = tuple(CATEGORY)
RELATIONS = ("above", "below", "left of", "right of")
VALUES: dict[str, tuple[str, ...]] = {  # what can be stated, and the values that it can have
    "category": tuple(CATEGORIES),
    "kind": KINDS,
    "colour": tuple(COLOURS),
    "texture": TEXTURES,
    "ground": tuple(GROUNDS),
    "relation": RELATIONS,  # of the main object to the smaller one
    "other_kind": KINDS,
    "other_colour": tuple(COLOURS),
}
OTHER = ("relation", "other_kind", "other_colour")
Said = Mapping[str, str]  # fact -> its value
WORDS = 12, 13, 14, 15, 16
_PHRASES = (
    "so", "oh", "now", "well", "here", "again", "simply", "clearly", "perhaps", "evidently",
    "apparently", "undoubtedly", "incidentally", "you see", "we think", "in fact", "of course",
    "as it is", "let us say", "in this picture", "in the photograph", "as one can see",
    "if you look at it", "there seems to be", "generally speaking", "to be precise",
)  # fmt: skip
_KEPT = 3  # fillings of one number of words and characters


def state(said: Said) -> str:
    """Return the bare statement; what is not said of a thing is left out."""
    main = [said.get("texture"), said.get("colour"), said.get("kind") or said.get("category")]
    words = [*main[:2], main[2] or "thing"]
    if any(fact in said for fact in OTHER):
        words += [said.get("relation", "beside"), "smaller", said.get("other_colour")]
        words += [said.get("other_kind", "thing")]
    if "ground" in said:
        words += ["on", said["ground"]]
    return " ".join(word for word in words if word)


def caption(said: Said) -> str:
    """Return the statement filled up to its number of words, and as near as can be to its number
    of characters."""
    stated = state(said)
    lot = crc32(stated.encode())
    words = WORDS[int(_turn(said, "words", lot) * len(WORDS))]
    characters = 70 + 4 * (words - WORDS[0]) + int(10 * _turn(said, "characters", lot))
    fillings = _nearest(words - len(stated.split()), characters - len(stated))
    parts = [*fillings[lot % len(fillings)], stated]
    Random(lot).shuffle(parts)
    return " ".join(parts)


def _turn(said: Said, circle: str, lot: int) -> float:
    """Return where a statement stands on a circle of circumference 1.

    The lot moves it by less than the distance of two values, so that sums are not on a grid.
    """
    shown = [fact for fact in said if fact != "category" or "kind" not in said]
    places = sum(_place(fact, said[fact], circle) for fact in sorted(shown))
    return (places + (lot / 2**32 - 0.5) / 12) % 1.0


@cache
def _place(fact: str, value: str, circle: str) -> float:
    """Return a value's place: those of one fact, and kinds of one category, are evenly spaced."""
    if fact.endswith("kind"):
        category = CATEGORY[value]
        turn = tuple(CATEGORIES).index(category) / len(KINDS)
        return turn + _spaced(value, CATEGORIES[category], f"{circle} {category}")
    return _spaced(value, VALUES[fact], f"{circle} {fact}")


def _spaced(value: str, values: tuple[str, ...], seed: str) -> float:
    order = Random(seed).sample(values, len(values))
    return (order.index(value) + 0.5) / len(values)


@cache
def _nearest(words: int, characters: int) -> list[tuple[str, ...]]:
    """Return the fillings of so many words whose characters, spaces included, are the nearest."""
    fillings = _fillings()[words]
    return fillings[min(fillings, key=lambda n: (abs(n - characters), n))]


@cache
def _fillings() -> tuple[dict[int, list[tuple[str, ...]]], ...]:
    """Return for each number of words: added characters -> some sequences of distinct phrases."""
    made: list[dict[int, list[tuple[str, ...]]]] = [{0: [()]}]
    for words in range(1, WORDS[-1]):
        here: dict[int, list[tuple[str, ...]]] = {}
        for phrase in Random(f"fillings/{words}").sample(_PHRASES, len(_PHRASES)):
            before = words - len(phrase.split())
            for characters, sequences in made[before].items() if before >= 0 else ():
                known = here.setdefault(characters + 1 + len(phrase), [])
                free = [(*one, phrase) for one in sequences if phrase not in one]
                known += free[: _KEPT - len(known)]
        made.append({characters: known for characters, known in here.items() if known})
    return tuple(made)
