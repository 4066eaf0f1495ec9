"""The conformance kit on every family, on small checkpoints in their real formats.

BLIP-2, FLAVA, BridgeTower, VisionTextDualEncoder, the text encoders, sentence-transformers' and
MTEB's models pass it in the tests of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support import checkpoints, meru_checkpoint, openclip_checkpoint
from torch import Tensor

from hiereval.models import open_adapter
from hiereval.testing import check_adapter
from hiereval.types import Adapter, LoadOptions


def _openclip(folder: Path) -> str:
    return f"local-dir:{openclip_checkpoint.write(folder)}"


def _meru(state: Callable[[], dict[str, Tensor]], folder: Path) -> Path:
    return meru_checkpoint.write(folder.with_suffix(".pth"), state())


FAMILIES: dict[str, tuple[str, Callable[[Path], object], dict[str, str]]] = {
    "clip": ("hf-clip", checkpoints.clip, {}),
    "long-clip": ("hf-clip", partial(checkpoints.clip, max_position_embeddings=248), {}),
    "metaclip2": ("hf-clip", checkpoints.metaclip2, {}),
    "chinese_clip": ("hf-clip", checkpoints.chinese_clip, {}),
    "altclip": ("hf-clip", checkpoints.altclip, {}),
    "align": ("hf-clip", checkpoints.align, {}),
    "siglip": ("siglip", checkpoints.siglip, {}),
    "siglip2": ("siglip", partial(checkpoints.siglip, generation=2), {}),
    "naflex": ("siglip", checkpoints.naflex, {}),
    "blip": ("blip", checkpoints.blip, {}),
    "openclip": ("openclip", _openclip, {}),
    "meru": ("meru", lambda folder: meru_checkpoint.write(folder.with_suffix(".pth")), {}),
    "uncha": ("meru", partial(_meru, meru_checkpoint.uncha), {}),
    "phyclip": ("meru", partial(_meru, meru_checkpoint.phyclip), {}),
    "words": ("control", lambda folder: "words", {}),
    "constant": ("control", lambda folder: "constant", {}),
}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_conforms(family: str, tmp_path: Path) -> None:
    adapter, write, arguments = FAMILIES[family]
    checkpoint = str(write(tmp_path / family))

    def opened(checkpoint: str = checkpoint) -> Adapter:
        return open_adapter(f"{adapter}:{checkpoint}", LoadOptions(), arguments)

    checks = check_adapter(opened, reopen=opened)
    assert [check for check in checks if check.passed is False] == []
    apart = {c.name: c.passed for c in checks}.get("towers load apart")
    assert apart == {"words": None, "constant": None}.get(family, True)
    follows = {c.name: c.detail for c in checks}.get("fingerprint follows preprocessing")
    if adapter in ("hf-clip", "siglip", "blip", "openclip"):
        assert follows is not None
        assert follows.endswith("another fingerprint")
