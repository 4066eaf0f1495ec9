"""Several models in one go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hiereval import registry
from hiereval.commands.run import command
from hiereval.errors import HierevalError
from hiereval.many import listed, run_all
from hiereval.plan import RunConfig
from hiereval.results import Results
from hiereval.session import Session
from hiereval.types import LoadOptions


def test_a_file_of_models(tmp_path: Path) -> None:
    path = tmp_path / "models.txt"
    path.write_text(
        "# those we like\n\ntoy\nhf-clip:/a/folder --name 'my model' --random-init 3  # twin\n"
        "toy --model-args processor=/b,size=2 --revision main\n"
    )
    assert listed(path) == [
        {"model": "toy"},
        {"model": "hf-clip:/a/folder", "name": "my model", "random_init": 3},
        {"model": "toy", "model_args": {"processor": "/b", "size": "2"}, "revision": "main"},
    ]


def test_the_lines_that_the_help_shows_can_be_read(tmp_path: Path) -> None:
    shown = (command.epilog or "").partition("models.txt is a model and options of its own:\n")[2]
    path = tmp_path / "models.txt"
    path.write_text(shown)
    assert [fields["model"] for fields in listed(path)] == ["siglip", "hf-clip:/path/to/checkpoint"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The models file {path!r} must name at least one model."),
        ("toy --name", "{path}:1: the option '--name' must have a value."),
        ("toy --nam x", "{path}:1: the option '--nam' must be one of --name, --model-args, "
                        "--revision, --random-init. Did you mean 'name'?"),
        ("\ntoy --random-init x", "{path}:2: --random-init 'x' must be a whole number."),
        ("toy --model-args a", "{path}:1: --model-args 'a' must be written key=value."),
        ("toy 'x", "{path}:1: No closing quotation."),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "models.txt"
    path.write_text(text)
    with pytest.raises(HierevalError, match=f"^{re.escape(message.format(path=str(path)))}$"):
        listed(path)


def test_a_file_from_another_system(tmp_path: Path) -> None:
    path = tmp_path / "models.txt"
    path.write_bytes("\ufefftoy\r\ncontrol:words\r\n".encode())
    assert [fields["model"] for fields in listed(path)] == ["toy", "control:words"]
    path.write_bytes(b"toy\ncaf\xe9\n")
    with pytest.raises(HierevalError, match=f"^{re.escape(str(path))}:2: the line must be UTF-8"):
        listed(path)
    with pytest.raises(HierevalError) as caught:
        listed(Path("toy"))
    assert str(caught.value) == (
        "The models file 'toy' must exist; a model itself is named with --model."
    )


def broken(checkpoint: str, options: LoadOptions) -> None:
    """Fail as a plugin may."""
    raise RuntimeError("no licence")


def test_a_model_that_breaks_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {("adapters", "broken"): broken})
    session = Session.of(device="cpu", offline=True)
    configs = [
        RunConfig(model=model, tasks="ordering", datasets=["shapes"], limit=5, resamples=5)
        for model in ("broken:x", "control:words")
    ]
    (_, first), (_, second) = run_all(session, configs)
    assert isinstance(first, HierevalError)
    assert str(first) == "RuntimeError: no licence"
    assert isinstance(second, Results)
    assert [record.status for record in second] == ["ok"]
    with pytest.raises(RuntimeError, match=r"^no licence$"):
        run_all(session, configs[:1])


def test_a_model_that_fails_stops_no_other(tmp_path: Path) -> None:
    session = Session.of(device="cpu", offline=True)
    configs = [
        RunConfig(model=model, tasks="ordering", datasets=["shapes"], limit=5, resamples=5)
        for model in ("nope", "toy")
    ]
    (_, first), (_, second) = run_all(session, configs)
    assert isinstance(first, HierevalError)
    assert str(first).startswith("The model 'nope' must be a known alias or adapter:checkpoint.")
    assert isinstance(second, Results)
    assert [record.status for record in second] == ["ok"]
    assert list(session.opened) == ["shapes"]
