"""Numbers and lists as the page holds them, in few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hiereval.leaderboard.cells import Cell

MANY = 2000  # rows
_SHOWN = 3  # decimals of a value as it is drawn; one more is kept where there is room
_CHARACTERS = "".join(c for c in map(chr, range(35, 127)) if c not in "\\<>&")  # "!" is a gap
_CODES: dict[float | None, str] = {None: "!", **dict(enumerate(_CHARACTERS))}


def decimals(cells: Sequence[Cell | None]) -> int:
    """Return how many decimals a column's integers stand for: fewer where values are large."""
    largest = max((abs(c.value) for c in cells if c and c.value is not None), default=0.0)
    if largest < 100:
        return _SHOWN + (len(cells) <= MANY)
    return 1 if largest < 1e6 else 0


def integer(value: float | None, digits: int) -> int | float | None:
    """Return a value in units of its last digit, on the side to which three decimals round it.

    What does not fit into a double's 53 bits is left as it is. 0.71249 is shown as 0.712, so its
    ten-thousandths must round down as well:

    >>> integer(0.71249, 4), integer(0.71251, 4), integer(0.7127, 4)
    (7124, 7126, 7127)
    """
    if value is None:
        return None
    scaled = value * 10**digits
    if abs(scaled) >= 2**53:
        return value
    if digits < _SHOWN:
        return round(scaled)
    middle = _thousandths(value)
    if digits == _SHOWN:
        return middle
    return min(10 * middle + 4, max(10 * middle - 4, round(scaled)))


def _thousandths(value: float) -> int:
    """Return a value as it is shown, in thousandths."""
    scaled = value * 1000.0
    nearest = round(scaled)
    if abs(scaled - nearest) < 0.499:  # no product is so far off that it could be a tie
        return nearest
    return int(f"{value:.3f}".replace(".", ""))


def sides(cell: Cell, digits: int) -> tuple[int | None, int | None]:
    """Return how far an interval reaches below and above the value, both as they are shown."""
    if cell.value is None or cell.low is None or cell.high is None:
        return None, None
    if digits < _SHOWN:
        low, middle, high = (round(v * 10**digits) for v in (cell.low, cell.value, cell.high))
    else:
        low, middle, high = map(_thousandths, (cell.low, cell.value, cell.high))
    return middle - low, high - middle


def coded(values: Sequence[Any]) -> Any:
    """Write a list as it is, or as its distinct values and where each stands, if few are distinct.

    >>> coded(["a", "b", "a", "a"])
    {'of': ['a', 'b'], 'at': '#$##'}
    >>> coded(["a", "b"])
    ['a', 'b']
    """
    distinct = list(dict.fromkeys(values))
    if len(distinct) > len(values) // 2:
        return list(values)
    if len(distinct) == 1:
        return {"all": distinct[0]}
    place = {value: i for i, value in enumerate(distinct)}
    return {"of": distinct, "at": small([place[value] for value in values])}


def small(numbers: Sequence[int | float | None]) -> str | list[int | float | None]:
    """Write whole numbers from 0 to 88, and gaps, as one character each; others as a list.

    >>> small([0, 1, None]), small([0, 89])
    ('#$!', [0, 89])
    """
    if all(isinstance(n, int | None) and n in _CODES for n in set(numbers)):
        return "".join([_CODES[n] for n in numbers])
    return list(numbers)


def rounded(value: float | None) -> float | None:
    """Return five digits of a number, of none None."""
    return None if value is None else float(f"{value:.5g}")
