"""The name under which hiereval is installed.

The import, the command and the folder are `hiereval`. On the public index that name is somebody
else's, who also installs a module `hiereval`, so that no requirement of ours may name it.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

NAME = "hiereval-vlm"
FOREIGN = "hiereval"


def install(extra: str) -> str:
    """Return the command that adds an extra.

    >>> install("siglip")
    "pip install 'hiereval-vlm[siglip]'"
    """
    return f"pip install '{NAME}[{extra}]'"


def foreign_version() -> str | None:
    """Return the version of the other project's distribution, None where it is not installed."""
    try:
        return version(FOREIGN)
    except PackageNotFoundError:
        return None
