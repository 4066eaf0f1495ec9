"""What a model lacks here, said before anything is downloaded; models chosen and ordered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hiereval.cli import hiereval
from hiereval.commands import doctor


def _said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(hiereval, ["doctor", *arguments], env={"NO_COLOR": "1"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIEREVAL_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_model_that_is_here() -> None:
    assert _said("--model", "toy").splitlines()[1:] == [
        "parameters     0.3 M, 0.0 GB in float32",
        "files          here",
    ]


def test_files_that_are_not_here() -> None:
    said = _said("--model", "clip-b32", "--cache-dir", "nowhere", code=1).splitlines()
    assert said == [
        "model          clip-b32: hf-clip:openai/clip-vit-base-patch32",
        "parameters     151.3 M, 0.6 GB in float32",
        "files          The checkpoint 'openai/clip-vit-base-patch32' must be in the cache, "
        "because this run is offline. 'hiereval download "
        "hf-clip:openai/clip-vit-base-patch32 --revision "
        "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268' fetches it where there is a network.",
    ]


def test_an_extra_and_a_flag_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_importable", lambda module: module != "mteb")
    assert _said("--model", "jina-clip-v1", code=1).splitlines()[2:4] == [
        "needs mteb     missing: pip install 'hiereval-vlm[mteb]'",
        "needs --trust-remote-code runs its repository's Python code as you: say so with the flag",
    ]


def test_rows_are_chosen_and_ordered() -> None:
    arguments = [
        "ls",
        "models",
        "--filter",
        "SigLIP2-",
        "--filter",
        "512 pixels",
        "--sort",
        "parameters",
    ]
    listed = json.loads(CliRunner().invoke(hiereval, [*arguments, "--json"]).output)
    assert [row["name"] for row in listed] == [
        "siglip2-b16-512", "siglip2-l16-512", "siglip2-so400m-512",
    ]  # fmt: skip
    assert listed[0]["needs"] == []
