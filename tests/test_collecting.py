"""Collecting tests imports no model library: the inner loop, one file in seconds, rests on it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
HEAVY = {"matplotlib", "open_clip", "sentence_transformers", "sklearn", "timm", "torchvision"}
LAZY = {"transformers"}  # the package alone is light, a name taken from it is not


def heavy(source: str) -> list[str]:
    """Return the imports that would be paid for while a file is collected."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in HEAVY]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] if node.module.split(".")[0] in HEAVY | LAZY else []
    return found


@pytest.mark.parametrize("source", ["import open_clip", "from transformers import CLIPModel"])
def test_a_heavy_import_is_seen(source: str) -> None:
    assert heavy(source)


def test_no_test_file_imports_a_model_library() -> None:
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 100
    found = {str(f.relative_to(TESTS)): names for f in files if (names := heavy(f.read_text()))}
    assert found == {}
