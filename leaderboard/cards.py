"""What is known of a model beside its record: family, licence, whether its weights are open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from hiereval.leaderboard.wording import public
from hiereval.records import ModelInfo

UNKNOWN = "not stated"
FAMILIES = (
    "siglip2", "siglip", "hycoclip", "hyper3-clip", "meru", "metaclip", "eva", "dfn", "coca",
    "bioclip", "long-clip", "himo-clip", "prolip", "uncha", "phyclip", "align", "altclip", "blip",
    "mobileclip", "tinyclip", "fg-clip", "flava", "bridgetower", "clipa", "clip",
    "gme", "qwen", "jina", "bge", "embeddinggemma", "mpnet", "minilm", "toy",
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """Facts by which readers filter; UNKNOWN where no source states them."""

    family: str
    licence: str
    openness: str  # "open weights", "no weights" (controls), UNKNOWN


def of(model: ModelInfo) -> Known:
    """Return what hiereval's table of models says of a checkpoint, and what its name tells."""
    return _of(model.adapter, model.checkpoint, model.name)


@cache
def _licences() -> dict[tuple[str, str], str | None]:
    from hiereval import models

    return {(c.adapter, c.checkpoint): c.licence for c in models.known().values()}


@cache
def _of(adapter: str, checkpoint: str, name: str) -> Known:
    if adapter == "control":
        return Known("control", UNKNOWN, "no weights")
    listed = (adapter, checkpoint) in _licences()
    return Known(
        family=_family(name, public(checkpoint), adapter),
        licence=_licences().get((adapter, checkpoint)) or UNKNOWN,
        openness="open weights" if listed else UNKNOWN,
    )


def _family(*names: str) -> str:
    """Return the family that begins a word of the first of the names that has one."""
    for name in names:
        plain = re.sub(r"[_\s]", "-", name.casefold())
        for family in FAMILIES:
            if family in plain and re.search(rf"(?<![a-z]){family}", plain):
                return family
    return "clip" if "clip" in "".join(names).casefold() else "other"
