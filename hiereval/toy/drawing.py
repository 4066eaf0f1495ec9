"""Pictures of scenes: filled polygons, supersampled and reduced, nothing that varies by platform.

A glyph is a list of outlines in the square [-1, 1]^2, y downwards; each is filled, in turn, with
the object (True) or with a hole (False).
"""

from __future__ import annotations

import io
from math import cos, pi, sin
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from hiereval.toy.scenes import Scene, Thing

Outline = list[tuple[float, float]]
VERSION = 2  # raised when a scene is drawn with other pixels
SIDE = 48  # pixels of the finished picture
_SCALE = 4  # drawn this much larger, then averaged

COLOURS = {
    "red": (205, 30, 45),
    "green": (25, 130, 50),
    "blue": (40, 70, 215),
    "purple": (130, 50, 170),
    "gold": (215, 135, 0),
    "black": (30, 30, 35),
}
GROUNDS = {
    "white": (246, 246, 244),
    "gray": (205, 207, 210),
    "tan": (232, 214, 180),
    "mint": (190, 232, 212),
}
TEXTURES = ("striped", "spotted", "checked")


def _ellipse(x: float, y: float, a: float, b: float, sides: int = 40) -> Outline:
    turns = [2 * pi * i / sides for i in range(sides)]
    return [(x + a * cos(t), y + b * sin(t)) for t in turns]


def _box(left: float, top: float, right: float, bottom: float) -> Outline:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _star() -> Outline:
    radii = [1.0 if i % 2 == 0 else 0.42 for i in range(10)]
    return [(r * sin(pi * i / 5), -r * cos(pi * i / 5)) for i, r in enumerate(radii)]


def _heart() -> Outline:
    turns = [2 * pi * i / 40 for i in range(40)]
    y = [13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t) for t in turns]
    return [(sin(t) ** 3, -v / 16) for t, v in zip(turns, y, strict=True)]


GLYPHS: dict[str, list[tuple[Outline, bool]]] = {
    "triangle": [([(0, -0.95), (1, 0.85), (-1, 0.85)], True)],
    "square": [(_box(-0.85, -0.85, 0.85, 0.85), True)],
    "diamond": [([(0, -1), (0.72, 0), (0, 1), (-0.72, 0)], True)],
    "circle": [(_ellipse(0, 0, 0.95, 0.95), True)],
    "ring": [(_ellipse(0, 0, 1, 1), True), (_ellipse(0, 0, 0.5, 0.5), False)],
    "crescent": [(_ellipse(0, 0, 1, 1), True), (_ellipse(0.55, -0.1, 0.85, 0.85), False)],
    "star": [(_star(), True)],
    "heart": [(_heart(), True)],
    "cross": [(_box(-1, -0.33, 1, 0.33), True), (_box(-0.33, -1, 0.33, 1), True)],
    "car": [
        (_box(-1, -0.1, 1, 0.45), True),
        ([(-0.6, -0.1), (-0.35, -0.65), (0.4, -0.65), (0.65, -0.1)], True),
        (_ellipse(-0.5, 0.5, 0.3, 0.3), True),
        (_ellipse(0.5, 0.5, 0.3, 0.3), True),
    ],
    "boat": [
        ([(-1, 0.35), (1, 0.35), (0.6, 0.9), (-0.6, 0.9)], True),
        ([(0.05, -1), (0.85, 0.15), (0.05, 0.15)], True),
        ([(-0.1, -0.7), (-0.1, 0.15), (-0.7, 0.15)], True),
    ],
    "rocket": [
        ([(0, -1), (0.38, -0.45), (0.38, 0.6), (-0.38, 0.6), (-0.38, -0.45)], True),
        ([(0.38, 0.1), (0.8, 0.95), (-0.8, 0.95), (-0.38, 0.1)], True),
    ],
}


def _paint(canvas: Image, thing: Thing) -> None:
    """Draw one object; a pattern alternates its colour with a pale shade of it, "" is plain."""
    from PIL import Image, ImageDraw

    size = canvas.size
    x, y, radius = (v * size[0] for v in (thing.x, thing.y, thing.radius))
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    c, s = cos(thing.turn), sin(thing.turn)
    for outline, solid in GLYPHS[thing.kind]:
        points = [(x + radius * (c * u - s * v), y + radius * (s * u + c * v)) for u, v in outline]
        draw.polygon(points, fill=255 if solid else 0)
    rgb = tuple(min(255, max(0, v + thing.tint)) for v in COLOURS[thing.colour])
    fill = Image.new("RGB", size, rgb)
    light = tuple((v + 110) // 2 for v in rgb)
    pattern = ImageDraw.Draw(fill)
    step = size[0] // 8
    if thing.texture == "striped":
        for top in range(0, size[1], step):
            pattern.rectangle([0, top, size[0], top + step // 2], fill=light)
    elif thing.texture == "spotted":
        for row, top in enumerate(range(0, size[1], step)):
            for left in range(step // 2 * (row % 2), size[0], step):
                dot = _ellipse(left, top, step / 3.2, step / 3.2, 12)
                pattern.polygon(dot, fill=light)
    elif thing.texture == "checked":
        for row, top in enumerate(range(0, size[1], step)):
            for left in range(step * (row % 2), size[0], 2 * step):
                pattern.rectangle([left, top, left + step - 1, top + step - 1], fill=light)
    canvas.paste(fill, (0, 0), mask)


def draw(scene: Scene) -> Image:
    """Return the scene's picture: RGB, 48 x 48."""
    from PIL import Image

    ground = tuple(min(255, max(0, v + scene.light)) for v in GROUNDS[scene.facts.ground])
    canvas = Image.new("RGB", (SIDE * _SCALE, SIDE * _SCALE), ground)
    for thing in scene.things:
        _paint(canvas, thing)
    return canvas.reduce(_SCALE)


def png(scene: Scene) -> bytes:
    """Return the scene's picture as an encoded PNG."""
    buffer = io.BytesIO()
    draw(scene).save(buffer, "PNG")
    return buffer.getvalue()
