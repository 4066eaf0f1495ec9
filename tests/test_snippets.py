"""Every snippet of the documentation as printed: Python runs, data parses, commands are known.

Commands after a `$` are run by test_docs; those without need a hub, a GPU or another machine, and
are parsed with all their options.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hiereval import registry
from hiereval.cli import hiereval

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MIXED = {"docs/closed-models.md"}  # commands and Python in turn
NEEDS_DATA = {"docs/datasets.md"}  # its snippet opens HierarCaps


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, "" for those without one."""
    fence = rf"^```{language}\n(.*?)^```$"
    text = page.read_text()
    if not language:  # so that a closing fence is not taken for an opening one
        text = re.sub(r"^```\w+\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(fence, text, re.MULTILINE | re.DOTALL)


def fenced(page: Path) -> list[tuple[str, str]]:
    """Return (language, block) of the Python and console blocks, in the page's order."""
    pattern = r"^```(python|console)\n(.*?)^```$"
    return re.findall(pattern, page.read_text(), re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=name)
def test_python(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A page's blocks one after another, as in one session."""
    if name(page) in NEEDS_DATA:
        request.getfixturevalue("hierarcaps_root")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    session: dict[str, object] = {"__name__": "__main__"}
    for language, block in fenced(page):
        if language == "python":
            exec(compile(block, f"{name(page)}, {block[:40]!r}", "exec"), session)
        elif name(page) in MIXED:
            for line in block.splitlines():
                done = CliRunner().invoke(hiereval, shlex.split(line)[2:])
                assert done.exit_code == 0, done.output


def test_data_parses() -> None:
    found = 0
    for page in PAGES:
        for block in blocks(page, "json"):
            found += len([json.loads(line) for line in block.splitlines()])
        for block in blocks(page, "toml"):
            found += len(tomllib.loads(block))
    assert found >= 6


def commands() -> list[tuple[str, str]]:
    """Return (page, command) of the commands that no test runs."""
    return [
        (name(page), line)
        for page in PAGES
        for block in blocks(page, "")
        for line in block.replace("\\\n", " ").splitlines()
        if line.removeprefix("$ ").startswith("hiereval ")
    ]


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_that_is_not_run_is_known(
    page: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "import_plugins", lambda modules: None)
    words = shlex.split(line.removeprefix("$ "), comments=True)
    group = click.Context(hiereval, info_name="hiereval", token_normalize_func=str)
    command = hiereval.get_command(group, words[1])
    assert command is not None, (page, line)
    command.make_context(words[1], words[2:])  # raises for what it does not know
