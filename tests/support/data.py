"""The options of a dataset in a folder."""

from __future__ import annotations

from pathlib import Path

from hiereval.types import DataOptions


def options(root: Path, split: str | None = None) -> DataOptions:
    return DataOptions(root=root, split=split)
