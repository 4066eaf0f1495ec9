"""Whether a caption is true of a scene of shapes: read from its words, not from its making."""

from __future__ import annotations

import re

CATEGORIES = {
    "polygon": "triangle square diamond",
    "rounded shape": "circle ring half_moon",
    "some kind of sign": "star heart plus_sign",
    "means of transport": "car boat rocket",
}
COLOURS = "red|green|blue|purple|gold|black"
KIND = "|".join(k.replace("_", " ") for kinds in CATEGORIES.values() for k in kinds.split())
THING = re.compile(rf"(?:(striped|spotted) )?({COLOURS}) ({KIND})")
TURNED = re.compile(rf"({KIND}) in ({COLOURS})")
Thing = tuple[str, str, str]  # texture ("": not said), colour, kind


def category(kind: str) -> str:
    return next(c for c, kinds in CATEGORIES.items() if kind.replace(" ", "_") in kinds.split())


def things(caption: str) -> list[Thing]:
    """The coloured things that a caption names, in its order."""
    found = [m.groups(default="") for m in THING.finditer(caption)]
    return [*found, *(("", colour, kind) for kind, colour in TURNED.findall(caption))]


def holds(
    caption: str, main: Thing, other: Thing | None, relation: str, size: str, ground: str
) -> bool:
    """Whether the caption is true of the scene with these things."""
    present = [main] if other is None else [main, other]
    if caption in CATEGORIES:
        return caption in [category(kind) for _, _, kind in present]
    named = things(caption)
    if not named:
        return caption in [kind for _, _, kind in present]
    for thing in named:
        if not any(thing[1:] == p[1:] and thing[0] in ("", p[0]) for p in present):
            return False
    said_size = re.search(r"\b(tiny|huge)\b", caption)
    said_ground = re.search(r"\bon (?:a )?(white|gray|tan|mint)\b", caption)
    if (said_size and said_size[1] != size) or (said_ground and said_ground[1] != ground):
        return False
    said = re.search(r"\b(above|below|left of|right of)\b", caption)
    return said is None or (said[1] == relation and named[0][1:] == main[1:])
