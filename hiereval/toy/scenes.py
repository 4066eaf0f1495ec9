"""The world of the shapes: what a scene is, how scenes are drawn by lot, and what is said of them.

A scene has one main object and, mostly, a smaller one beside, above or below it. Its chain goes
from the main object's category over its kind, then its colour, to the whole scene; each negative
is a child of the positive one tier above (at the first tier: another category) that is false of
the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from hiereval.toy.drawing import COLOURS, GROUNDS

CATEGORIES: dict[str, tuple[str, ...]] = {
    "polygon": ("triangle", "square", "diamond"),
    "rounded shape": ("circle", "ring", "half moon"),
    "some kind of sign": ("star", "heart", "plus sign"),
    "means of transport": ("car", "boat", "rocket"),
}
CATEGORY = {kind: category for category, kinds in CATEGORIES.items() for kind in kinds}
KINDS = tuple(CATEGORY)
TEXTURES = ("solid", "striped", "spotted")
RELATIONS = ("above", "below", "left of", "right of")
SIZES = ("tiny", "huge")
_OPPOSITE = dict(zip(RELATIONS, ("below", "above", "right of", "left of"), strict=True))
_PLACES = {  # of the smaller object, as shares of the side: the main one is in the middle
    "above": (0.5, 0.87),
    "below": (0.5, 0.13),
    "left of": (0.87, 0.5),
    "right of": (0.13, 0.5),
}
_FRAMES = (
    "{colour} {kind}",
    "a {colour} {kind}",
    "{kind} in {colour}",
    "there is a {kind} in {colour}",
)
_ALONE = (  # size, object, ground
    "{0} {1} on {2}",
    "a {0} {1} alone on a {2} ground",
    "nothing but one {0} {1} on {2}",
)
_BESIDE = (  # object, relation, smaller object, ground
    "{0} {1} {2}",
    "{0} {1} {2} on {3}",
    "a {0} {1} a smaller {2} on a {3} ground",
    "on {3} there is a {0} {1} a {2}",
)


@dataclass(frozen=True)
class Facts:
    """What captions can be about. Two scenes with equal facts are the same scene."""

    kind: str
    colour: str
    texture: str
    ground: str
    size: str = ""  # of a single object
    relation: str = ""  # of the main object to the other one
    other: tuple[str, str] | None = None  # its (kind, colour)


@dataclass(frozen=True)
class Thing:
    """One object as drawn: its place and radius are shares of the picture's side."""

    kind: str
    colour: str
    texture: str
    x: float
    y: float
    radius: float
    turn: float  # radians
    tint: int  # added to each channel


@dataclass(frozen=True)
class Scene:
    """A picture's content and what is said of it, general to specific."""

    facts: Facts
    light: int  # added to each channel of the ground
    things: tuple[Thing, ...]
    chain: tuple[str, ...]
    negatives: tuple[str, ...]


def _other_than(random: Random, values: tuple[str, ...], *excluded: str) -> str:
    return random.choice([value for value in values if value not in excluded])


def _facts(random: Random) -> Facts:
    kind, colour = random.choice(KINDS), random.choice(tuple(COLOURS))
    facts = Facts(
        kind=kind,
        colour=colour,
        texture=random.choice((*TEXTURES, "solid", "solid")),
        ground=random.choice(tuple(GROUNDS)),
    )
    if random.random() < 0.25:
        return replace(facts, size=random.choice(SIZES))
    other = _other_than(random, KINDS, kind), _other_than(random, tuple(COLOURS), colour)
    return replace(facts, relation=random.choice(RELATIONS), other=other)


def third_tier(kind: str, colour: str) -> str:
    """Name a kind with its colour; the frame depends on both, so equal things read equal."""
    frame = _FRAMES[(KINDS.index(kind) + tuple(COLOURS).index(colour)) % len(_FRAMES)]
    return frame.format(kind=kind, colour=colour)


def _fourth_tier(facts: Facts, random: Random) -> str:
    texture = "" if facts.texture == "solid" else f"{facts.texture} "
    thing = f"{texture}{facts.colour} {facts.kind}"
    if facts.other is None:
        return random.choice(_ALONE).format(facts.size, thing, facts.ground)
    beside = f"{facts.other[1]} {facts.other[0]}"
    return random.choice(_BESIDE).format(thing, facts.relation, beside, facts.ground)


def _wrong(facts: Facts, random: Random) -> Facts:
    """Change one fact that every caption of the fourth tier states and the third does not.

    What comes out could itself be a scene: the caption alone does not say which of the two is.
    """
    if facts.other is None:
        return replace(facts, size=_other_than(random, SIZES, facts.size))
    kind, colour = facts.other
    changed = random.choice(("kind", "colour", "relation"))
    if changed == "kind":
        return replace(facts, other=(_other_than(random, KINDS, kind, facts.kind), colour))
    if changed == "colour":
        wrong = _other_than(random, tuple(COLOURS), colour, facts.colour)
        return replace(facts, other=(kind, wrong))
    return replace(facts, relation=_OPPOSITE[facts.relation])


def _negatives(facts: Facts, random: Random) -> tuple[str, ...]:
    seen = facts.kind, (facts.other or ("", ""))[0]
    category = CATEGORY[facts.kind]
    absent = _other_than(random, tuple(CATEGORIES), *(CATEGORY[kind] for kind in seen if kind))
    sibling = _other_than(random, CATEGORIES[category], *seen)
    colour = _other_than(random, tuple(COLOURS), facts.colour)
    return (
        absent,
        sibling,
        third_tier(facts.kind, colour),
        _fourth_tier(_wrong(facts, random), random),
    )


def _things(facts: Facts, random: Random) -> tuple[Thing, ...]:
    def place(
        kind: str, colour: str, texture: str, at: tuple[float, float], radius: float
    ) -> Thing:
        return Thing(
            kind,
            colour,
            texture,
            x=at[0] + random.uniform(-0.02, 0.02),
            y=at[1] + random.uniform(-0.02, 0.02),
            radius=radius * random.uniform(0.93, 1.07),
            turn=random.uniform(-0.1, 0.1),
            tint=random.randint(-22, 22),
        )

    radius = {"tiny": 0.17, "huge": 0.36, "": 0.25}[facts.size]
    main = place(facts.kind, facts.colour, facts.texture, (0.5, 0.5), radius)
    if facts.other is None:
        return (main,)
    return main, place(*facts.other, "solid", _PLACES[facts.relation], 0.12)


def _scene(facts: Facts, random: Random) -> Scene:
    chain = (
        CATEGORY[facts.kind],
        facts.kind,
        third_tier(facts.kind, facts.colour),
        _fourth_tier(facts, random),
    )
    return Scene(
        facts=facts,
        light=random.randint(-14, 9),
        things=_things(facts, random),
        chain=chain,
        negatives=_negatives(facts, random),
    )


def scenes(seed: int) -> Iterator[Scene]:
    """Yield scenes without end, no two with the same facts; a seed gives always the same ones."""
    seen: set[Facts] = set()
    random = Random(f"shapes/{seed}")
    while True:
        facts = _facts(random)
        if facts not in seen:
            seen.add(facts)
            yield _scene(facts, random)
