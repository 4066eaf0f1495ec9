"""The table of known data says what the loaders give."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from support.at import options

from hiereval.datasets import open_dataset
from hiereval.types import DataOptions

KNOWN = tomllib.loads((files("hiereval.leaderboard") / "known_data.toml").read_text("utf-8"))


def test_shapes() -> None:
    assert open_dataset("shapes", DataOptions()).sha256 == KNOWN["shapes:test"]


@pytest.mark.data
@pytest.mark.parametrize("name", [key for key in KNOWN if key.startswith("hierarcaps")])
def test_hierarcaps(name: str, hierarcaps_root: Path) -> None:
    assert open_dataset(name, options(hierarcaps_root)).sha256 == KNOWN[name]
