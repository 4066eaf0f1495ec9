"""Strings and numbers as a board shows them, made safe for whatever writes them out."""

from __future__ import annotations

import math

from hiereval.printable import LONGEST, clean

__all__ = [
    "LONGEST",
    "arrow",
    "clean",
    "number",
    "plural",
    "public",
    "shortened",
    "signed",
    "span",
]


def shortened(name: str, width: int) -> str:
    """Return a name of at most `width` characters, its middle cut out: both ends tell it apart."""
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"


def public(checkpoint: str) -> str:
    """Return a checkpoint as others may see it: a name as it is, of a folder's path the last part.

    "org/model" and "architecture/tag" are names; what starts at a root, or is deeper, is a path.
    """
    parts = checkpoint.replace("\\", "/").rstrip("/").split("/")
    is_name = len(parts) <= 2 and parts[0] not in ("", "~", ".", "..") and ":" not in parts[0]
    return clean(checkpoint if is_name else parts[-1])


def number(value: float) -> str:
    """Return a metric's value with three decimals, fewer where it is large: .912, 12.3, 4,096."""
    size = abs(value)
    if not math.isfinite(value):
        return "n/a"
    if size >= 1e6:
        return f"{value:.2e}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    shown = f"{value:.3f}"
    if float(shown) == 0:
        return ".000"
    return shown.replace("0.", ".", 1) if abs(float(shown)) < 1 else shown


def span(low: float, high: float) -> str:
    """Return an interval: .905–.919, or -.454 to -.340 where a dash would be taken for a minus."""
    return f"{number(low)}{' to ' if low < 0 or high < 0 else '–'}{number(high)}"


def signed(value: float) -> str:
    """Return a difference with its sign: +.120."""
    shown = number(value)
    return shown if shown.startswith("-") else f"+{shown}"


def arrow(higher_is_better: bool | None) -> str:
    """Return the direction of a metric as an arrow, "" for a descriptive one."""
    return {True: "↑", False: "↓", None: ""}[higher_is_better]


def plural(count: int, noun: str) -> str:
    """Return "1 run", "2 runs"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
