"""Names that can be told apart by eye: what is shown must be what is there.

A name with invisible characters, or with one letter of another alphabet, stands on a board beside
the name that it imitates.
"""

from __future__ import annotations

import re
import unicodedata

from hiereval.printable import clean

_WORD = re.compile(r"[^\W\d_]+")
_ALIKE = frozenset({"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK"})  # have Latin's shapes


def problem(name: str) -> str | None:
    """Return what keeps a name from being read as it is; None where nothing does.

    Words may be of any alphabet, but Latin letters stand in no word with those that look the same.

    >>> problem("α-CLIP, 视觉"), problem("t\\u043ey")
    (None, "'t\\u043ey' mixes LATIN and CYRILLIC letters, which look the same")
    """
    if not clean(name):
        return "it has no visible character"
    if clean(name, len(name)) != name:
        return f"{clean(name)!r} holds spaces or characters that are not shown"
    if unicodedata.normalize("NFKC", name) != name:
        return f"{clean(name)!r} is another way to write {unicodedata.normalize('NFKC', name)!r}"
    for word in [] if name.isascii() else _WORD.findall(name):
        scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
        other = sorted(scripts & _ALIKE)
        if "LATIN" in scripts and other:
            return f"{clean(word)!r} mixes LATIN and {other[0]} letters, which look the same"
    return None
