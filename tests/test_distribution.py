"""Nothing of ours names `hiereval` as a distribution: on the public index that is a stranger's."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from click.testing import CliRunner

from hiereval import distribution
from hiereval.commands import doctor

ROOT = Path(__file__).parents[1]
OURS = "adapters benchmarks changelog.d contrib docs hiereval leaderboard tasks tests .ci .github"
READ = {".py", ".md", ".toml", ".txt", ".ini", ".yml", ".yaml", ".cff", ".ipynb", ".css", ".js"}
READ |= {".html", ".cfg", ".sh", ""}

# hiereval[extra]; a requirement of an installer; a requirement with a version; a look-up by name
NAME_ENDS = r"(?![-\w./@]|\.\w)"
NAMED = [
    re.compile(r"\bhiereval\[(?=[a-z]+[\],])"),
    re.compile(
        rf"\b(?:install|add|download)\b[^\n&|;`]*?[\s'\"]hiereval{NAME_ENDS}"
        r"(?=['\"=<>~!]|\s*(?:$|[`&|;,.)]))",
        re.MULTILINE,
    ),
    re.compile(rf"(?:--with|--from|\buvx|\bpipx run)[ =]['\"]?hiereval{NAME_ENDS}"),
    re.compile(r"\bhiereval\s?(?:==|>=|<=|~=|!=)\s?\d"),
    re.compile(r"\b(?:version|distribution|requires|metadata|files)\(\s*['\"]hiereval['\"]"),
]
NAMES = ["hiereval[siglip]", "pip install 'hiereval'", "pip install hiereval", "uv add hiereval"]
NAMES += ["hiereval>=0.1", "pip install -U hiereval && x", 'version("hiereval")', "hiereval == 1"]
NAMES += ["uvx hiereval", "run `pip install hiereval`.", "uv run --with hiereval hiereval --help"]
OTHERS = ["hiereval-vlm[siglip]", "pip install . && hiereval run", "pip install 'hiereval-vlm'"]
OTHERS += ["pip install -e hiereval-my-clip", 'files("hiereval.adapters")', "uv add hiereval-vlm"]
OTHERS += ["uvx --from hiereval-vlm hiereval", "uv run --with hiereval-vlm hiereval --help"]


def named(text: str) -> list[str]:
    """Return where a text names the distribution `hiereval`."""
    return [match[0] for pattern in NAMED for match in pattern.finditer(text)]


@pytest.mark.parametrize("text", NAMES)
def test_the_look_out_sees(text: str) -> None:
    assert named(text)


@pytest.mark.parametrize("text", OTHERS)
def test_the_look_out_passes_over(text: str) -> None:
    assert named(text) == []


def pages() -> list[Path]:
    """Return every file of ours that is read by people or installers, this one excepted."""
    folders = [ROOT / name for name in OURS.split()]
    found = [path for path in ROOT.iterdir() if path.is_file()]
    found += [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    own = Path(__file__).name
    kept = [path for path in found if path.suffix in READ and path.name != own]
    return [path for path in kept if not {"__pycache__", "site"} & set(path.parts)]


def test_nothing_of_ours_names_it() -> None:
    found = {
        str(path.relative_to(ROOT)): places
        for path in pages()
        if (places := named(path.read_text("utf-8")))
    }
    assert len(pages()) > 200
    assert found == {}


def requirements(text: str) -> list[str]:
    project = tomllib.loads(text)["project"]
    extras = project.get("optional-dependencies", {}).values()
    return [*project.get("dependencies", []), *(line for extra in extras for line in extra)]


def test_no_requirement_is_the_strangers() -> None:
    made = [ROOT / "pyproject.toml", ROOT / "tests" / "plugin" / "pyproject.toml"]
    templates = [*(ROOT / "hiereval" / "commands" / "templates").rglob("pyproject*.txt")]
    texts = [re.sub(r"\$\{(\w+)\}", r"\1", path.read_text()) for path in [*made, *templates]]
    lines = [line for text in texts for line in requirements(text)]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]
    assert names.count(distribution.NAME) == len(texts)  # ours, in its own test extra, and theirs
    assert distribution.FOREIGN not in names


def test_the_installed_extras_are_ours() -> None:
    lines = requires(distribution.NAME) or []
    own = [line for line in lines if line.startswith("hiereval")]
    assert own
    assert all(line.startswith("hiereval-vlm[") for line in own)


def test_the_command_that_adds_an_extra() -> None:
    assert distribution.install("text") == "pip install 'hiereval-vlm[text]'"


def test_doctor_warns_of_the_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        return {"hiereval": "0.0.7"}[name]

    monkeypatch.setattr(distribution, "version", installed)
    output = CliRunner().invoke(doctor.command, catch_exceptions=False).output
    assert (
        "warning        another project's distribution 'hiereval' (0.0.7) is installed and also "
        "brings a module hiereval: pip uninstall hiereval, then "
        "pip install --force-reinstall --no-deps hiereval-vlm\n"
    ) in output


def test_doctor_is_silent_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(distribution, "version", missing)
    assert "warning" not in CliRunner().invoke(doctor.command, catch_exceptions=False).output
