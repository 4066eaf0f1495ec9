"""Shows the examples of docstrings (>>> ...) as code on the site; Markdown would quote them."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

EXAMPLE = re.compile(r"(?:^>>> .*\n(?:.+\n?)*\n?)+", re.MULTILINE)


def fenced(docstring: str) -> str:
    """Put each example, from its first >>> to the next empty line, into a fence."""
    return EXAMPLE.sub(lambda match: f"```pycon\n{match[0].rstrip()}\n```\n\n", docstring)


class Examples(Extension):
    """Fences the examples of every docstring that is loaded."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
