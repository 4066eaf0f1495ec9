"""The modules of hiereval where they are installed, found without importing them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

TOPS = ("hiereval", "hiereval.adapters", "hiereval.leaderboard", "hiereval.tasks")


def sources() -> dict[str, Path]:
    """Return module name -> file, of the checkout as of a wheel."""
    found = {}
    for top in TOPS:
        spec = find_spec(top)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        (folder,) = spec.submodule_search_locations
        for path in sorted(Path(folder).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join([top, *parts]).removesuffix(".__init__")
            found[name] = path
    return found


def containing(text: str) -> list[str]:
    """Return the names of the modules whose source holds this text."""
    return sorted(name for name, path in sources().items() if text in path.read_text("utf-8"))
