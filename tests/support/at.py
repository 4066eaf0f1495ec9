"""Options of data that lies in a folder, for tests that open datasets."""

from __future__ import annotations

from pathlib import Path

from hiereval.places import Places
from hiereval.types import DataOptions


def options(root: Path, split: str | None = None) -> DataOptions:
    """Data under this root, nothing fetched."""
    return DataOptions(places=Places.of(data_dir=root, offline=True), split=split)
