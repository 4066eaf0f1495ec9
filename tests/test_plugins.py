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

pytestmark = pytest.mark.slow
PLUGIN = Path(__file__).parent / "plugin"
CLI = ("-P", "-c", "from hiereval.cli import main; main()")  # the console script, and no "."
SKELETONS = {"adapter": "my-clip", "task": "my-question", "dataset": "my-birds"}
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the plugin and the generated packages are installed."""
    base = tmp_path_factory.mktemp("plugins")
    source = Path(shutil.copytree(PLUGIN, base / "source"))
    for kind, name in SKELETONS.items():
        made = _run(base, *CLI, f"new-{kind}", name)
        assert made.returncode == 0, made.stderr
    skeletons = [str(base / f"hiereval-{name}") for name in SKELETONS.values()]
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = _run(base, *pip, "--target", str(base / "site"), str(source), *skeletons)
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


@pytest.mark.parametrize("name", SKELETONS.values())
def test_the_generated_package_passes_its_own_test(installed: Path, name: str) -> None:
    folder = installed / f"hiereval-{name}"
    done = _run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")
    assert done.returncode == 0, done.stdout
    passed = {"my-birds": 4}.get(name, 2)
    assert done.stdout.splitlines()[-1].startswith(f"{passed} passed")


def test_the_generated_task_and_dataset_run_together(cli: Cli, installed: Path) -> None:
    done = cli(
        "run", "--model", "control:words", "--dataset", "my-birds", "--tasks", "my-question",
        "--output-path", "made",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = (installed / "made" / "control-words.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["dataset"]["name"] == "my-birds"
    assert record["metrics"]["further_out"]["value"] == 1.0
    assert record["metrics"]["further_out"]["ceilings"]["words"] == 1.0
    assert set(record["metrics"]["further_out"]["nulls"]) == {"free", "within-length"}


@pytest.mark.parametrize("name", SKELETONS.values())
def test_the_generated_package_says_what_to_do(installed: Path, name: str) -> None:
    folder = installed / f"hiereval-{name}"
    readme = (folder / "README.md").read_text()
    assert "TODO" in (folder / f"hiereval_{name.replace('-', '_')}.py").read_text()
    assert "$ pip install -e .\n$ hiereval " in readme
    assert "${" not in readme


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["adapter", "My Clip"], "The adapter name 'My Clip' must be lower-case words joined by"),
        (
            ["adapter", "openclip"],
            "The adapter name 'openclip' must be new. 'hiereval ls adapters'",
        ),
        (["task", "ordering"], "The task name 'ordering' must be new. 'hiereval ls tasks' lists"),
        (["dataset", "shapes"], "The dataset name 'shapes' must be new. 'hiereval ls datasets'"),
        (["task", "x_y"], "The task name 'x_y' must be lower-case words joined by '-', such as"),
        (["task", "t", "--out", "site"], "The folder 'site' must be new or empty."),
    ],
)
def test_new_refuses(cli: Cli, arguments: list[str], problem: str) -> None:
    kind, *rest = arguments
    done = cli(f"new-{kind}", *rest, path="")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {problem}")


def test_new_goes_on_with_what_a_killed_process_left(cli: Cli, tmp_path: Path) -> None:
    arguments = ["new-task", "t", "--out", str(tmp_path / "t")]
    assert cli(*arguments, path="").returncode == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()}
    (tmp_path / "t" / "README.md").unlink()
    (tmp_path / "t" / ".README.md.0123456789ab.part").write_text("hal")
    assert cli(*arguments, path="").returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()} == whole
    (tmp_path / "t" / "README.md").write_text("mine")
    done = cli(*arguments, path="")
    assert done.stderr == f"error: The folder '{tmp_path}/t' must be new or empty.\n"
    assert (tmp_path / "t" / "README.md").read_text() == "mine"


def test_the_plugins_task_conforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
    from hiereval_example_plugin.task import TierRadius

    assert [check for check in check_task(TierRadius()) if check.passed is False] == []
