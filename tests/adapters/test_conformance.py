"""The conformance kit on every family, from checkpoints in the format of the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hiereval import registry
from hiereval.testing import check_adapter
from hiereval.types import Adapter, LoadOptions

KINDS = {
    "hf-clip": ["clip", "clip-half", "metaclip2", "altclip", "chinese_clip", "align"],
    "siglip": ["siglip", "siglip2", "naflex"],
    "blip": ["blip"],
}


@pytest.mark.parametrize(
    ("adapter", "kind"), [(name, kind) for name, kinds in KINDS.items() for kind in kinds]
)
def test_every_check_passes(adapter: str, kind: str, checkpoint: Callable[[str], Path]) -> None:
    def reopen(folder: str) -> Adapter:
        return registry.load("adapters", adapter)(folder, LoadOptions())

    checks = check_adapter(lambda: reopen(str(checkpoint(kind))), reopen=reopen)
    assert len(checks) > 20
    assert [check for check in checks if check.passed is not True] == []
