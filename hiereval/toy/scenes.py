"""The world of the shapes: what a scene is, how scenes are drawn by lot, and what is said of them.

A scene has one main object and, mostly, a smaller one beside, above or below it. Its chain goes
from the main object's category over its kind and one attribute to the whole scene; each negative
is a child of the positive one tier above (at the first tier: another category) that is false of
the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from hiereval.toy.drawing import COLOURS, GROUNDS

CATEGORIES: dict[str, tuple[str, ...]] = {
    "polygon": ("triangle", "square", "diamond", "hexagon"),
    "rounded shape": ("circle", "ring", "oval", "half moon"),
    "letter": ("letter t", "letter l", "letter h", "letter e"),
    "some kind of sign": ("star", "heart", "plus sign", "arrow"),
    "means of transport": ("car", "boat", "rocket", "bus"),
}
CATEGORY = {kind: category for category, kinds in CATEGORIES.items() for kind in kinds}
KINDS = tuple(CATEGORY)
TEXTURES = ("solid", "striped", "spotted")
RELATIONS = ("above", "below", "left of", "right of")
SIZES = ("tiny", "huge")
_OPPOSITE = dict(zip(RELATIONS, ("below", "above", "right of", "left of"), strict=True))
_PLACES = {  # of the main object and of the other, as shares of the side
    "above": ((0.5, 0.33), (0.5, 0.81)),
    "below": ((0.5, 0.67), (0.5, 0.19)),
    "left of": ((0.33, 0.5), (0.81, 0.5)),
    "right of": ((0.67, 0.5), (0.19, 0.5)),
}
_FRAMES = ("{adjective} {kind}", "a {adjective} {kind}", "{kind} {phrase}", "there is a {kind} {phrase}")


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
    ground: str
    light: int
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
        texture=random.choice((*TEXTURES, "solid")),
        ground=random.choice(tuple(GROUNDS)),
    )
    if random.random() < 0.25:
        return replace(facts, size=random.choice(SIZES))
    other = _other_than(random, KINDS, kind), _other_than(random, tuple(COLOURS), colour)
    return replace(facts, relation=random.choice(RELATIONS), other=other)


def _attribute(facts: Facts) -> str:
    """The one attribute that the third tier names: a pattern if there is one, else the colour."""
    return facts.colour if facts.texture == "solid" else facts.texture


def third_tier(kind: str, attribute: str) -> str:
    """Name a kind with one attribute; the frame depends on both, so equal things read equal."""
    phrase = {"striped": "with stripes", "spotted": "with spots"}.get(attribute, f"in {attribute}")
    values = (*COLOURS, *TEXTURES)
    frame = _FRAMES[(KINDS.index(kind) + values.index(attribute)) % len(_FRAMES)]
    return frame.format(adjective=attribute, kind=kind, phrase=phrase)


def _fourth_tier(facts: Facts, random: Random) -> str:
    texture = "" if facts.texture == "solid" else f"{facts.texture} "
    thing = f"{texture}{facts.colour} {facts.kind}"
    if facts.other is None:
        frames = ("{0} {1} on {2}", "a {0} {1} alone on a {2} ground", "nothing but one {0} {1} on {2}")
        return random.choice(frames).format(facts.size, thing, facts.ground)
    beside = f"{facts.other[1]} {facts.other[0]}"
    frames = (
        "{0} {1} {2}",
        "{0} {1} {2} on {3}",
        "a {0} {1} a smaller {2} on a {3} ground",
        "on {3} there is a {0} {1} a {2}",
    )
    return random.choice(frames).format(thing, facts.relation, beside, facts.ground)


def _wrong(facts: Facts, random: Random) -> Facts:
    """Change one thing that every caption of the fourth tier states and the third does not."""
    if facts.other is None:
        return replace(facts, size=_other_than(random, SIZES, facts.size))
    kind, colour = facts.other
    changed = random.choice(("kind", "colour", "relation"))
    if changed == "kind":
        return replace(facts, other=(_other_than(random, KINDS, kind, facts.kind), colour))
    if changed == "colour":
        return replace(facts, other=(kind, _other_than(random, tuple(COLOURS), colour)))
    return replace(facts, relation=_OPPOSITE[facts.relation])


def _negatives(facts: Facts, random: Random) -> tuple[str, ...]:
    seen = facts.kind, (facts.other or ("", ""))[0]
    category = CATEGORY[facts.kind]
    absent = _other_than(random, tuple(CATEGORIES), *(CATEGORY[kind] for kind in seen if kind))
    sibling = _other_than(random, CATEGORIES[category], *seen)
    if facts.texture == "solid":
        attribute = _other_than(random, (*COLOURS, *TEXTURES[1:]), facts.colour)
    else:
        attribute = _other_than(random, (*COLOURS, *TEXTURES[1:]), facts.texture, facts.colour)
    return (
        absent,
        sibling,
        third_tier(facts.kind, attribute),
        _fourth_tier(_wrong(facts, random), random),
    )


def _things(facts: Facts, random: Random) -> tuple[Thing, ...]:
    def place(kind: str, colour: str, texture: str, at: tuple[float, float], radius: float) -> Thing:
        return Thing(
            kind,
            colour,
            texture,
            x=at[0] + random.uniform(-0.04, 0.04),
            y=at[1] + random.uniform(-0.04, 0.04),
            radius=radius * random.uniform(0.9, 1.1),
            turn=random.uniform(-0.15, 0.15),
            tint=random.randint(-22, 22),
        )

    if facts.other is None:
        at = random.uniform(0.38, 0.62), random.uniform(0.38, 0.62)
        radius = 0.17 if facts.size == "tiny" else 0.36
        return (place(facts.kind, facts.colour, facts.texture, at, radius),)
    main, beside = _PLACES[facts.relation]
    return (
        place(facts.kind, facts.colour, facts.texture, main, 0.28),
        place(*facts.other, "solid", beside, 0.15),
    )


def _scene(facts: Facts, random: Random) -> Scene:
    chain = (
        CATEGORY[facts.kind],
        facts.kind,
        third_tier(facts.kind, _attribute(facts)),
        _fourth_tier(facts, random),
    )
    return Scene(
        facts=facts,
        ground=facts.ground,
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
