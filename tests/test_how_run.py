"""The decision table names every adapter, and each of its specifications is one."""

from __future__ import annotations

import re
from pathlib import Path

from hiereval import registry
from hiereval.models import resolve
from hiereval.places import Places

PAGE = Path(__file__).parents[1] / "docs" / "how-is-my-model-run.md"


def specifications() -> list[str]:
    table = PAGE.read_text("utf-8").partition("## When it is refused")[0]
    cells = [line.split(" | ")[1] for line in table.splitlines() if line.startswith("| ")][1:]
    code = [part for cell in cells for part in re.findall(r"`([^`]+)`", cell)]
    return [part.partition(" ")[0] for part in code if ":" in part and not part.startswith("name:")]


def test_every_row_is_a_model_and_every_adapter_has_a_row(tmp_path: Path) -> None:
    places = Places(cache=tmp_path, data=tmp_path)
    found = {resolve(spec, places).adapter for spec in specifications()}
    assert found == set(registry.names("adapters")) - {
        name for kind, name in registry.foreign() if kind == "adapters"
    }
