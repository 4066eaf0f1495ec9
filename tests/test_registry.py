from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hiereval import registry
from hiereval.errors import HierevalError


@dataclass(frozen=True)
class Sample:
    """A sample plugin.

    More about it.
    """

    steps: int = 50
    scale: float = 1.0
    fast: bool = False


def test_ours_are_registered_like_anyones() -> None:
    assert {"hf-clip", "openclip", "siglip", "blip", "precomputed"} <= set(
        registry.names("adapters")
    )
    assert {"ordering", "entailment", "retrieval"} <= set(registry.names("tasks"))
    assert {"empty-root", "mean-root"} <= set(registry.names("probes"))


def test_every_entry_point_of_ours_loads() -> None:
    for kind in registry.KINDS:
        for name in registry.names(kind):
            assert callable(registry.load(kind, name)), (kind, name)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(HierevalError) as caught:
        registry.load("tasks", "orderng")
    tasks = ", ".join(registry.names("tasks"))
    assert str(caught.value) == (
        f"The task 'orderng' must be one of {tasks}. Did you mean 'ordering'? "
        "'hiereval ls tasks' describes them."
    )


@pytest.fixture
def another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that brings a task `ordering` of its own, and ours once more."""
    info = tmp_path / "another-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hiereval.tasks]\nordering = another:Ordering\n"
        "entailment = hiereval.tasks.entailment:Entailment\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry._entry_points.cache_clear()
    yield
    monkeypatch.undo()
    registry._entry_points.cache_clear()


def test_a_name_that_two_packages_bring_stands_for_neither(another_package: None) -> None:
    with pytest.raises(HierevalError) as caught:
        registry.load("tasks", "ordering")
    both = str(caught.value).partition("; ")[2].partition(" bring it")[0].split(" and ")
    assert sorted(both) == ["another", "hiereval-vlm"]
    assert str(caught.value) == (
        "The task 'ordering' must come from one package; "
        f"{' and '.join(both)} bring it. Uninstall all but one."
    )
    assert registry.describe("tasks", "ordering") == (
        " and ".join(both),
        "brought by several packages: uninstall all but one",
    )
    assert ("tasks", "ordering") in registry.foreign()
    assert registry.load("tasks", "entailment").name == "entailment"  # both mean the same
    assert registry.names("tasks").count("ordering") == 1


def test_registering_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    registry.register("tasks", "sample", Sample)
    assert registry.load("tasks", "sample") is Sample
    assert "sample" in registry.names("tasks")
    assert registry.describe("tasks", "sample") == (Sample.__module__, "A sample plugin.")
    assert ("tasks", "sample") in registry.foreign()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(HierevalError, match="'widgets' must be one of adapters, tasks"):
        registry.register("widgets", "x", Sample)  # type: ignore[arg-type]


def test_descriptions_need_no_import() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from hiereval import registry as r;"
        "[r.describe(k, n) for k in r.KINDS for n in r.names(k)];"
        "print(sorted({'torch', 'transformers', 'open_clip'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0)


def test_configure_reads_types() -> None:
    given = {"steps": "10", "scale": "0.5", "fast": "true"}
    assert registry.configure(Sample, given, "x") == Sample(10, 0.5, True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"step": "1"},
            "The parameter 'step' of the task 's' must be one of steps, scale, fast. "
            "Did you mean 'steps'?",
        ),
        (
            {"steps": "ten"},
            "The 'steps' parameter of the task 's' got 'ten': Input should be a valid integer, "
            "unable to parse string as an integer.",
        ),
        (
            {"fast": "maybe"},
            "The 'fast' parameter of the task 's' got 'maybe': Input should be a valid boolean, "
            "unable to interpret input.",
        ),
    ],
)
def test_configure_names_what_is_wrong(given: dict[str, str], message: str) -> None:
    with pytest.raises(HierevalError) as caught:
        registry.configure(Sample, given, "the task 's'")
    assert str(caught.value) == message


def test_a_module_named_with_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    (tmp_path / "my_plugin_x.py").write_text(
        "from hiereval.registry import register\nregister('adapters', 'mine', object)\n"
    )
    registry.import_plugins("my_plugin_x")
    assert registry.load("adapters", "mine") is object
    with pytest.raises(HierevalError) as caught:
        registry.import_plugins("no_such_module_x")
    assert str(caught.value) == (
        "The plugin module 'no_such_module_x' could not be imported: "
        "ModuleNotFoundError: No module named 'no_such_module_x'"
    )
