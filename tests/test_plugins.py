"""Third parties through the real command line: installed, by module name, broken, and generated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hiereval.testing import check_task

PLUGIN = Path(__file__).parent / "plugin"
CLI = ("-P", "-c", "from hiereval.cli import main; main()")  # the console script, and no "."
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the plugin and a generated adapter are installed as packages."""
    base = tmp_path_factory.mktemp("plugins")
    source = Path(shutil.copytree(PLUGIN, base / "source"))
    skeleton = base / "hiereval-my-clip"
    made = _run(base, *CLI, "new-adapter", "my-clip")
    assert made.returncode == 0, made.stderr
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = _run(base, *pip, "--target", str(base / "site"), str(source), str(skeleton))
    assert done.returncode == 0, done.stderr
    return base


def _run(folder: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "HIEREVAL_CACHE": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def cli(installed: Path) -> Cli:
    def run(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        where = str(installed / "site") if path is None else path
        return _run(installed, *CLI, *arguments, path=where)

    return run


def test_listed_without_being_imported(cli: Cli) -> None:
    done = cli("ls", "adapters", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["letters"] == {
        "name": "letters",
        "from": "hiereval-example-plugin",
        "description": "Counts letters and colours; knows nothing.",
    }
    assert rows["broken"]["description"] == "Never imported."  # read, not imported
    assert rows["my-clip"]["from"] == "hiereval-my-clip"


def test_an_installed_adapter_and_task_run(cli: Cli, installed: Path) -> None:
    done = cli(
        "run", "--model", "letters:mine", "--dataset", "shapes", "--tasks", "tier-radius,ordering",
        "--limit", "8", "--task-args", "scale=2", "--model-args", "power=0.5",
        "--output-path", "results",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (installed / "results" / "letters-mine.jsonl").read_text().splitlines()
    records = {record["task"]["name"]: record for record in map(json.loads, lines)}
    assert records["tier-radius"]["status"] == "ok"
    assert records["tier-radius"]["task"]["parameters"] == {"scale": 2.0}
    assert records["tier-radius"]["metrics"]["growth"]["n"] == 8
    assert records["ordering"]["model"]["adapter"] == "letters"


def test_a_broken_plugin_breaks_only_the_run_that_names_it(cli: Cli) -> None:
    done = cli("run", "--model", "broken:x", "--dataset", "shapes", "--tasks", "ordering")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "error: The adapter 'broken' (from hiereval-example-plugin 1.2.3) could not be loaded: "
        "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    )


def test_check_adapter(cli: Cli) -> None:
    done = cli("check-adapter", "letters:mine")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].endswith(" passed, 0 failed.")
    assert "text: right-to-left" in done.stdout
    generated = cli("check-adapter", "my-clip:demo", "--model-args", "scale=3")
    assert generated.returncode == 0, generated.stdout


def test_check_adapter_fails_with_exit_code_1(cli: Cli, installed: Path) -> None:
    """A module of the current folder, named with --plugins, that forgets to cut long texts."""
    (installed / "my_module.py").write_text(
        "from hiereval import registry\n"
        "from hiereval_example_plugin.adapter import Letters\n"
        "class Bad(Letters):\n"
        '    """Bad."""\n'
        "    def encode_texts(self, texts):\n"
        "        if any(len(text) > 10_000 for text in texts):\n"
        "            raise RuntimeError('out of positions')\n"
        "        return super().encode_texts(texts).double()\n"
        "registry.register('adapters', 'bad', Bad)\n"
    )
    done = cli("check-adapter", "bad:x", "--plugins", "my_module")
    assert done.returncode == 1
    lines = {line.split("  ")[0].strip(): line for line in done.stdout.splitlines()}
    assert "FAILED" in lines["text: shape, type, finite"]
    assert "RuntimeError: out of positions" in lines["text: 10,000 words"]
    assert done.stdout.splitlines()[-1].startswith("bad:x: ")
    unknown = cli("check-adapter", "bad:x")
    assert unknown.returncode == 2


def test_the_generated_package_passes_its_own_test(installed: Path) -> None:
    done = _run(installed / "hiereval-my-clip", "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 passed")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["My Clip"], "The adapter name 'My Clip' must be lower-case words joined by '-', such as"),
        (["openclip"], "The adapter name 'openclip' must be new. 'hiereval ls adapters' lists"),
        (["my-clip-2", "--out", "site"], "The folder 'site' must be new or empty; name one with"),
    ],
)
def test_new_adapter_refuses(cli: Cli, arguments: list[str], problem: str) -> None:
    done = cli("new-adapter", *arguments, path="")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {problem}")


def test_the_plugins_task_conforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
    from hiereval_example_plugin.task import TierRadius

    assert [check for check in check_task(TierRadius()) if check.passed is False] == []
