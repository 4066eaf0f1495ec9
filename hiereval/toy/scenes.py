"""The world of the shapes: what a scene is, how scenes are drawn by lot, and what is said of them.

A scene has one main object and a smaller one of another category and colour beside it. Its chain
states one fact more at each tier, in an order drawn by lot. Each negative states what the positive
one does, but for the fact that came last, of which it states a false value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from hiereval.toy.drawing import COLOURS, GROUNDS, TEXTURES
from hiereval.toy.phrases import CATEGORIES, CATEGORY, KINDS, RELATIONS, VALUES, Said, caption

STATED = 1, 2, 3, 4  # facts of a scene's seven or eight, by tier
_PLACES = {  # of the smaller object, as shares of the side: the main one is in the middle
    "above": (0.5, 0.87),
    "below": (0.5, 0.13),
    "left of": (0.87, 0.5),
    "right of": (0.13, 0.5),
}


@dataclass(frozen=True)
class Facts:
    """What captions can be about. Two scenes with equal facts are the same scene."""

    kind: str
    colour: str
    texture: str
    ground: str
    relation: str  # of the main object to the other one
    other_kind: str
    other_colour: str


@dataclass(frozen=True)
class Thing:
    """One object as drawn: its place and radius are shares of the picture's side."""

    kind: str
    colour: str
    texture: str  # "": plain
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
    return Facts(
        kind=kind,
        colour=colour,
        texture=random.choice(TEXTURES),
        ground=random.choice(tuple(GROUNDS)),
        relation=random.choice(RELATIONS),
        other_kind=_other_than(random, KINDS, *CATEGORIES[CATEGORY[kind]]),
        other_colour=_other_than(random, tuple(COLOURS), colour),
    )


def _order(facts: Facts, random: Random) -> Said:
    """Return a scene's facts in the order in which they are stated.

    In every second chain the category comes somewhere before the kind.
    """
    values = vars(facts)
    order = random.sample(tuple(values), len(values))
    if random.random() < 0.5:
        order.insert(random.randint(0, order.index("kind")), "category")
    return {fact: values.get(fact, CATEGORY[facts.kind]) for fact in order}


def _wrong(fact: str, facts: Facts, said: Said, random: Random) -> str:
    """Return a value that is false of both objects, and that the rest of the caption allows."""
    main, other = CATEGORY[facts.kind], CATEGORY[facts.other_kind]
    if fact == "category":
        return _other_than(random, VALUES[fact], main, other)
    if fact == "kind":
        possible = CATEGORIES[main] if "category" in said else KINDS
        return _other_than(random, possible, facts.kind, *CATEGORIES[other])
    if fact == "other_kind":
        return _other_than(random, KINDS, facts.other_kind, *CATEGORIES[main])
    if fact.endswith("colour"):
        return _other_than(random, VALUES[fact], facts.colour, facts.other_colour)
    return _other_than(random, VALUES[fact], said[fact])


def _captions(facts: Facts, random: Random) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the chain and its negatives."""
    order = tuple(_order(facts, random).items())
    chain, negatives = [], []
    for stated in STATED:
        said = dict(order[:stated])
        last = tuple(said)[-1]
        chain.append(caption(said))
        negatives.append(caption({**said, last: _wrong(last, facts, said, random)}))
    return tuple(chain), tuple(negatives)


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

    return (
        place(facts.kind, facts.colour, facts.texture, (0.5, 0.5), 0.25),
        place(facts.other_kind, facts.other_colour, "", _PLACES[facts.relation], 0.12),
    )


def _scene(facts: Facts, random: Random) -> Scene:
    chain, negatives = _captions(facts, random)
    return Scene(
        facts=facts,
        light=random.randint(-14, 9),
        things=_things(facts, random),
        chain=chain,
        negatives=negatives,
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
