"""The documentation as a site: built strictly, nothing forgotten; and how to cite it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import hiereval

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-f", ROOT / "mkdocs.yml",
         "-d", folder],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_every_page_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text()
    navigation = home[home.index('<nav class="md-nav md-nav--primary') :]
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert len(pages) > 20
    links = {str(p.with_suffix("")) + "/" for p in pages if p.name != "index.md"}
    assert {link for link in links if f'href="{link}"' not in navigation} == set()


def test_the_reference_holds_the_contract(site: Path) -> None:
    page = (site / "api" / "index.html").read_text()
    names = [
        "hiereval.evaluation.evaluate",
        "hiereval.types.Adapter.encode_texts",
        "hiereval.types.Task.score",
        "hiereval.hooks.HasTextTower.text_tower",
    ]
    names += ["hiereval.testing.check_task", "hiereval.registry.register"]
    assert [name for name in names if f'id="{name}"' not in page] == []


def test_examples_are_code(site: Path) -> None:
    page = (site / "api" / "index.html").read_text()
    assert '<span class="gp">&gt;&gt;&gt; </span>' in page
    assert "<blockquote>" not in page


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    elsewhere = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="(http[^"]*)')
    loaded = [link for page in site.rglob("*.html") for link in elsewhere.findall(page.read_text())]
    assert loaded == []


def test_how_to_cite_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == hiereval.__version__
    assert citation["references"][0]["url"] == "https://arxiv.org/abs/2407.08521"
    assert f"version = {{{hiereval.__version__}}}" in (ROOT / "docs" / "index.md").read_text()
