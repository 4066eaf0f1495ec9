"""Coordinates of the page's drawings: radius by tier, and intervals as small bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.rows import Row, Tier
from hiereval.leaderboard.wording import number

WIDTH, HEIGHT = 176, 116  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 34, 10, 8, 20  # its margins
BAR = 100  # width of an interval's bar


@dataclass(frozen=True)
class Panel:
    """One row's radii by tier, in the panel's pixels; y grows downwards."""

    row: Row
    line: str  # points of the means
    band: str  # polygon between the quartiles
    dots: tuple[tuple[float, float], ...]
    ticks: tuple[tuple[float, str], ...]  # (y, label): the lowest and highest radius shown
    tiers: tuple[tuple[float, str], ...]  # (x, label)
    words: str  # the same for those who cannot see it


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Return a panel for every row with radii; each has its own scale."""
    return [_panel(row, row.curve) for row in rows if row.curve]


def _panel(row: Row, curve: tuple[Tier, ...]) -> Panel:
    low = min(min(tier.low, tier.mean) for tier in curve)
    high = max(max(tier.high, tier.mean) for tier in curve)
    span = high - low or 1.0
    step = (WIDTH - LEFT - RIGHT) / max(1, len(curve) - 1)
    xs = [round(LEFT + i * step, 1) for i in range(len(curve))]

    def y(radius: float) -> float:
        return round(HEIGHT - BOTTOM - (radius - low) / span * (HEIGHT - TOP - BOTTOM), 1)

    dots = tuple((x, y(tier.mean)) for x, tier in zip(xs, curve, strict=True))
    upper = [(x, y(tier.high)) for x, tier in zip(xs, curve, strict=True)]
    lower = [(x, y(tier.low)) for x, tier in zip(xs, curve, strict=True)]
    means = ", ".join(f"tier {tier.tier} {number(tier.mean)}" for tier in curve)
    return Panel(
        row=row,
        line=_points(dots),
        band=_points([*upper, *reversed(lower)]),
        dots=dots,
        ticks=tuple({y(end): f"{end:.3g}" for end in (low, high)}.items()),
        tiers=tuple((x, str(tier.tier)) for x, tier in zip(xs, curve, strict=True)),
        words=f"{row.name}: mean radius {means}",
    )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


@dataclass(frozen=True)
class Scale:
    """What a column's bars span: from the lowest bound to the highest, controls included."""

    low: float
    high: float
    words: float | None  # where the word-count control stands

    def x(self, value: float) -> float:
        """Return where a value stands on the bar, in pixels."""
        return round(3 + (BAR - 6) * (value - self.low) / (self.high - self.low), 1)


def scale(cells: Sequence[Cell | None], words: float | None) -> Scale | None:
    """Return the scale of a column; None if it holds no value or too large ones to draw."""
    ends = [
        end
        for cell in cells
        if cell is not None
        for end in (cell.value, cell.low, cell.high)
        if end is not None and abs(end) < 1e9
    ]
    if not ends:
        return None
    low, high = min(ends), max(ends)
    return Scale(low, high if high > low else low + 1.0, words)
