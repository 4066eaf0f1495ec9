"""Vectors of the small checkpoints, as they were when the adapters were checked by hand.

`PYTHONPATH=tests python tests/adapters/test_golden.py` writes them anew, after a change that is
meant to move them (and an adapter's `adapter_version` with it).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from hiereval import registry
from hiereval.types import LoadOptions

FILE = Path(__file__).with_name("golden.json")
TEXTS = ["", "a bird", "A blue bird, on a branch!"]
ADAPTERS = {
    "clip": "hf-clip",
    "metaclip2": "hf-clip",
    "altclip": "hf-clip",
    "chinese_clip": "hf-clip",
    "align": "hf-clip",
    "siglip": "siglip",
    "siglip2": "siglip",
    "naflex": "siglip",
    "blip": "blip",
}


def _vectors(kind: str, folder: Path) -> dict[str, list[list[float]]]:
    adapter = registry.load("adapters", ADAPTERS[kind])(str(folder), LoadOptions())
    picture = Image.linear_gradient("L").resize((60, 40))
    image = adapter.encode_images([adapter.preprocess(picture)])
    text = adapter.encode_texts(TEXTS)
    return {"text": text[:, :6].tolist(), "image": image[:, :6].tolist()}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_vectors_are_what_they_were(kind: str, checkpoint: Callable[[str], Path]) -> None:
    """To 1e-5: sums of some hundred products of size 1, whose order depends on the machine."""
    expected = json.loads(FILE.read_text())[kind]
    found = _vectors(kind, checkpoint(kind))
    for part, rows in found.items():
        torch.testing.assert_close(
            torch.tensor(rows), torch.tensor(expected[part]), atol=1e-5, rtol=1e-5
        )


if __name__ == "__main__":
    from conftest import WRITERS

    with tempfile.TemporaryDirectory() as base:
        golden = {kind: _vectors(kind, WRITERS[kind](Path(base, kind))) for kind in ADAPTERS}
    lines = [f'  "{kind}": {json.dumps(parts)}' for kind, parts in golden.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
