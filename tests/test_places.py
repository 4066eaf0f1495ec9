from __future__ import annotations

from pathlib import Path

import pytest

from hiereval.places import ANSWER_SECONDS, Places


def test_flags_come_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HIEREVAL_CACHE", "~/c")
    monkeypatch.delenv("HIEREVAL_DATA", raising=False)
    assert Places.of(data_dir="~/x").data == tmp_path / "x"
    assert Places.of().data == Places.of().cache / "data" == tmp_path / "c" / "data"
    assert Places.of(cache_dir="k").data == Path("k/data")
    monkeypatch.setenv("HIEREVAL_DATA", "~/d")
    assert Places.of().data == tmp_path / "d"
    assert Places.of(data_dir="x").data == Path("x")


def test_the_platform_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIEREVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/settings")
    assert Places.of().cache == Path("/elsewhere/hiereval")
    assert Places.of("y").cache == Path("y")
    assert Places.of().aliases == Path("/settings/hiereval/models.toml")


def test_the_hub_is_below_a_cache_folder_that_was_given() -> None:
    assert Places.of().hub is None
    assert Places.of("kept").hub == Path("kept/hub")


def test_offline_by_flag_or_by_the_hubs_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert not Places.of().offline
    assert Places.of(offline=True).offline
    monkeypatch.setenv("HF_HUB_OFFLINE", "true")
    assert Places.of().offline


def test_how_long_the_network_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Places.of().answer_seconds == ANSWER_SECONDS
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "7")
    assert Places.of().answer_seconds == 7.0
