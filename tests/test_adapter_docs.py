"""The adapter of docs/adapters.md, run as it stands on the page; the task of docs/tasks.md."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
from safetensors.torch import save_file

from hiereval import registry
from hiereval.models import open_adapter
from hiereval.testing import check_adapter
from hiereval.types import Adapter, LoadOptions

DOCS = Path(__file__).parents[1] / "docs"


def _block(page: str, containing: str) -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    return next(block for block in blocks if containing in block)


def test_the_example_adapter_conforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vse.py").write_text(_block("adapters.md", "class Vse"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*importlib.sys.path])
    monkeypatch.setattr(registry, "_registered", {})
    registry.import_plugins("vse")
    vse = importlib.import_module("vse")

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    words = {word: 3 + i for i, word in enumerate(["a", "bird", "blue", "branch", "on"])}
    (folder / "words.json").write_text(json.dumps(words))
    save_file(vse.network(len(words)).state_dict(), folder / "model.safetensors")

    def opened() -> Adapter:
        return open_adapter(f"vse:{folder}", LoadOptions(), {"pooling": "last"})

    checks = check_adapter(opened)
    assert [check for check in checks if check.passed is False] == []
    assert opened().text_lengths(["a blue bird"]) == [4]


def test_the_example_task_is_the_plugins() -> None:
    """tests/plugin holds the task of docs/tasks.md, where it is installed and run."""
    plugin = Path(__file__).parent / "plugin" / "hiereval_example_plugin" / "task.py"
    assert _block("tasks.md", "class TierRadius").strip() in plugin.read_text()
