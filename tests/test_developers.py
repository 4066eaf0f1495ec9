"""The developers' front door: what it names is there, what it says is done."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [ARCHITECTURE, ROOT / "CONTRIBUTING.md"]
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)(?:::([\w.]+))?`")
CHANGELOG = runpy.run_path(str(ROOT / "docs" / "make_changelog.py"))


def named(page: Path) -> list[tuple[str, str]]:
    return NAMED.findall(page.read_text())


def defined(tree: ast.Module | ast.ClassDef) -> dict[str, ast.stmt]:
    """Return what a module or a class defines: classes, functions, constants, fields."""
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {t.id: node for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_named_exists(page: Path) -> None:
    for file, dotted in named(page):
        assert (ROOT / file).is_file(), file
        scope: ast.Module | ast.ClassDef = ast.parse("")
        scope = ast.parse((ROOT / file).read_text()) if file.endswith(".py") else scope
        for part in filter(None, dotted.split(".")):
            names = defined(scope)
            assert part in names, f"{file}::{dotted}"
            node = names[part]
            if isinstance(node, ast.ClassDef):
                scope = node


def test_a_newcomers_questions_are_answered_by_file() -> None:
    _, _, table = ARCHITECTURE.read_text().partition("## Where is …?")
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 25
    assert all(question.strip().endswith("?") for question, _ in rows)
    assert all(NAMED.search(answer) for _, answer in rows)


def test_the_workflow_runs_what_a_fresh_machine_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text())
    steps = workflow["jobs"]["checks"]["steps"]
    own = [step["run"] for step in steps if "run" in step]
    assert own == [".ci/run", ".ci/formats"]
    assert all((ROOT / script).stat().st_mode & 0o111 for script in own)


@pytest.mark.parametrize(
    "file", ["ISSUE_TEMPLATE/bug.yml", "ISSUE_TEMPLATE/number.yml", "ISSUE_TEMPLATE/idea.yml"]
)
def test_issue_forms_are_whole(file: str) -> None:
    form = yaml.safe_load((ROOT / ".github" / file).read_text())
    assert form.keys() == {"name", "description", "body"}
    assert all(part["attributes"]["label"] for part in form["body"])


def test_hooks_of_pre_commit_are_the_checks_own() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"  # the environment's versions, nothing fetched
    entries = [hook["entry"] for hook in repo["hooks"]]
    assert entries[:2] == ["ruff check --fix", "ruff format"]


def test_fragments_go_into_the_version_they_belong_to() -> None:
    old = "# Changelog\n\n## 0.1.0\n\n- first\n"
    assert CHANGELOG["assembled"](old, ["- a\n", "- b\n- c\n"], "0.1.0") == old + "- a\n- b\n- c\n"
    assert CHANGELOG["assembled"](old, ["- a\n"], "0.2.0") == (
        "# Changelog\n\n## 0.2.0\n\n- a\n\n## 0.1.0\n\n- first\n"
    )
    two = "# Changelog\n\n## 0.2.0\n\n- second\n\n## 0.1.0\n\n- first\n"
    assert CHANGELOG["assembled"](two, ["- a\n"], "0.2.0") == two.replace(
        "- second\n", "- second\n- a\n"
    )


def test_fragments_are_moved_not_copied(tmp_path: Path) -> None:
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "README.md").write_text("how")
    (tmp_path / "changelog.d" / "one.md").write_text("- one\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n")
    CHANGELOG["main"](tmp_path)
    assert "- one\n" in (tmp_path / "CHANGELOG.md").read_text()
    assert [path.name for path in (tmp_path / "changelog.d").iterdir()] == ["README.md"]


def test_every_fragment_is_bullets() -> None:
    for file in (ROOT / "changelog.d").glob("*.md"):
        if file.name != "README.md":
            assert file.read_text().startswith("- "), file.name
