"""Names as people give and read them: comma lists, k=v lists, globs, "and 3 more"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def listed(given: str | None) -> tuple[str, ...]:
    """Split a comma list, leaving out what is empty.

    >>> listed("ordering, *retrieval,")
    ('ordering', '*retrieval')
    """
    return tuple(filter(None, (part.strip() for part in (given or "").split(","))))


def pairs(given: str) -> dict[str, str]:
    """Read `key=value,...`, a dash in a key as an underscore; ValueError names a bad part.

    >>> pairs("image-size=224, pooling=cls")
    {'image_size': '224', 'pooling': 'cls'}
    """
    found = {}
    for part in listed(given):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{part!r} must be written key=value.")
        found[key.strip().replace("-", "_")] = value.strip()
    return found


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is one of these names, or fits one of these globs.

    >>> matches("flat-retrieval", ("ordering", "*retrieval"))
    True
    """
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def some(names: Iterable[str], shown: int = 3) -> str:
    """Join distinct names, counting those beyond the first `shown`.

    >>> some(["a", "b", "a", "c", "d", "e"], shown=3)
    'a, b, c and 2 more'
    """
    distinct: Sequence[str] = list(dict.fromkeys(names))
    more = len(distinct) - shown
    return ", ".join(distinct[:shown]) + (f" and {more:,} more" if more > 0 else "")
