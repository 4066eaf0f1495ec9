"""What is installed: our packages and their data, and nothing at the top level but hiereval."""

from __future__ import annotations

from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pytest

from hiereval.distribution import NAME

ROOT = Path(__file__).parents[1]


def test_every_package_folder_is_installed() -> None:
    import tomllib

    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    mapped = {"adapters", "tasks", "leaderboard"}
    folders = [path for top in ("hiereval", *mapped) for path in (ROOT / top).rglob("__init__.py")]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in folders}
    found = {f"hiereval.{name}" if name.split(".")[0] in mapped else name for name in found}
    assert found == set(setup["packages"])


def test_data_files_are_installed() -> None:
    for package, name in [
        ("hiereval", "py.typed"),
        ("hiereval.adapters", "models.toml"),
        ("hiereval.commands", "templates/test_dataset.py.txt"),
        ("hiereval.tasks", "metrics.toml"),
        ("hiereval.toy", "checkpoint/model.safetensors"),
        ("hiereval.toy", "checkpoint/tokenizer.json"),
    ]:
        assert files(package).joinpath(name).is_file(), (package, name)


def test_no_generic_top_level_names_are_installed() -> None:
    installed = distribution(NAME)
    tops = {path.parts[0] for path in installed.files or []}
    if installed.read_text("RECORD") is None or any("__editable__" in top for top in tops):
        pytest.skip("the package is used from the checkout; tox tests the wheel")
    assert "hiereval" in tops
    assert not tops & {"adapters", "tasks", "leaderboard", "tests", "benchmarks", "docs"}


def test_the_version_is_said_once() -> None:
    import hiereval

    assert distribution(NAME).version == hiereval.__version__
    assert f"## {hiereval.__version__}" in (ROOT / "CHANGELOG.md").read_text()
