"""What is known of a model beside its record: family, licence, whether its weights are open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from hiereval.records import ModelInfo

UNKNOWN = "not stated"
FAMILIES = (
    "siglip2", "siglip", "hycoclip", "hyper3-clip", "meru", "metaclip", "eva", "dfn", "coca",
    "bioclip", "long-clip", "himo-clip", "prolip", "uncha", "phyclip", "align", "altclip", "blip",
    "mobileclip", "tinyclip", "fg-clip", "flava", "clipa", "clip", "vit", "convnext", "toy",
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
        family=_family(f"{checkpoint} {name} {adapter}"),
        licence=_licences().get((adapter, checkpoint)) or UNKNOWN,
        openness="open weights" if listed else UNKNOWN,
    )


def _family(text: str) -> str:
    plain = re.sub(r"[_\s]", "-", text.casefold())
    return next((family for family in FAMILIES if family in plain), "other")
