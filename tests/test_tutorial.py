"""The tutorial notebook, cell by cell, as a notebook runs it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = json.loads((DOCS / "tutorial.ipynb").read_text("utf-8"))


def cells(kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == kind]


def shown(source: str, session: dict[str, Any]) -> Any:
    """Run a cell and return its last expression's value, as it would be displayed."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), session)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), session)


def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    session: dict[str, Any] = {"__name__": "__main__"}
    values = [shown(cell, session) for cell in cells("code")]
    table = values[0]._repr_html_()
    assert "length_matched_auroc" in table
    assert values[-1] is None
    out = capsys.readouterr().out
    assert "ordering ok" in out
    assert re.search(r"^\| toy ", out, re.MULTILINE)
    assert re.search(r"length_matched_auroc   toy \d\.\d{3}   counting words 0\.500", out)
    assert re.search(r"\d+ texts encoded, then 0$", out.strip())
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "cache"])  # nothing is left behind


def test_it_is_stored_without_what_it_printed() -> None:
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids)


def test_its_links_lead_to_pages() -> None:
    links = re.findall(r"\]\(([\w-]+\.md)", "".join(cells("markdown")))
    assert links
    assert all((DOCS / link).is_file() for link in links)
