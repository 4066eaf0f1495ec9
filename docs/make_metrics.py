"""Write tasks/metrics.toml: what `hiereval ls tasks` says of metrics without importing torch.

python docs/make_metrics.py
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

TABLE = Path(__file__).parents[1] / "tasks" / "metrics.toml"


def table() -> str:
    """Return the table of our own tasks, as they declare their metrics."""
    sections = ["# Written by docs/make_metrics.py: do not edit."]
    for point in sorted(entry_points(group="hiereval.tasks"), key=lambda point: point.name):
        if point.module.startswith("hiereval.tasks."):
            rows = [f"{m.name} = {json.dumps(m.description)}" for m in point.load().metrics]
            sections.append("\n".join([f"[{json.dumps(point.name)}]", *rows]))
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), "utf-8")
