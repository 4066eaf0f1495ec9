"""Whether a caption is true of a scene of shapes: read from its words, not from its making."""

from __future__ import annotations

import re
from collections.abc import Mapping

CATEGORIES = {
    "polygon": "triangle square diamond",
    "rounded shape": "circle ring crescent",
    "kind of sign": "star heart cross",
    "means of transport": "car boat rocket",
}
COLOUR = "red|green|blue|purple|gold|black"
KIND = "|".join(kind for kinds in CATEGORIES.values() for kind in kinds.split())
STATEMENT = re.compile(
    rf"\b(?:(?P<texture>striped|spotted|checked) )?(?:(?P<colour>{COLOUR}) )?"
    rf"(?P<noun>thing|{'|'.join(CATEGORIES)}|{KIND})\b"
    r"(?P<beside> (?P<relation>beside|above|below|left of|right of) smaller"
    rf"(?: (?P<other_colour>{COLOUR}))? (?P<other_noun>thing|{KIND})\b)?"
    r"(?: on (?P<ground>white|gray|tan|mint)\b)?"
)
Said = dict[str, str | None]


def category(kind: str) -> str:
    return next(c for c, kinds in CATEGORIES.items() if kind in kinds.split())


def statement(caption: str) -> Said:
    """What the one statement in a caption says; whatever surrounds it says nothing."""
    (found,) = STATEMENT.finditer(caption)
    rest = caption[: found.start()] + caption[found.end() :]
    every = rf"{KIND}|{COLOUR}|thing|striped|spotted|checked|smaller|beside|on|above|below"
    assert not re.search(rf"\b({every}|left|right)\b", rest), caption
    return found.groupdict()


def holds(caption: str, facts: Mapping[str, str]) -> bool:
    """Whether one of the two objects is as the caption says, and the other as it says if it does.

    Strict: a caption that does not say which object is smaller is true if it is of either.
    """
    said = statement(caption)
    main = facts["texture"], facts["colour"], facts["kind"]
    other = "", facts["other_colour"], facts["other_kind"]
    if said["ground"] not in (None, facts["ground"]):
        return False
    if said["beside"] is None:
        return any(_is(said["texture"], said["colour"], said["noun"], it) for it in (main, other))
    return (
        _is(said["texture"], said["colour"], said["noun"], main)
        and _is(None, said["other_colour"], said["other_noun"], other)
        and said["relation"] in ("beside", facts["relation"])
    )


def _is(
    texture: str | None, colour: str | None, noun: str | None, thing: tuple[str, str, str]
) -> bool:
    kind = thing[2]
    return (
        texture in (None, thing[0])
        and colour in (None, thing[1])
        and noun in ("thing", kind, category(kind))
    )
