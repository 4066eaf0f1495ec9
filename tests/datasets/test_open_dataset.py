"""Names, splits and paths: which dataset a spec means, and what is said when it means none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hiereval import registry
from hiereval.datasets import open_dataset
from hiereval.datasets.chains import assemble
from hiereval.errors import HierevalError
from hiereval.places import Places
from hiereval.types import Chains, DataOptions


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataOptions:
    def own(options: DataOptions) -> Chains:
        return assemble([("a", "b")], name="named", split=options.split or "test")

    monkeypatch.setitem(registry._registered, ("datasets", "named"), own)
    monkeypatch.chdir(tmp_path)
    return DataOptions(places=Places.of(data_dir=tmp_path, offline=True))


def test_a_name_and_its_split(options: DataOptions) -> None:
    assert open_dataset("named", options).split == "test"
    assert open_dataset("named:train", options).split == "train"


def test_a_name_wins_over_a_file_and_a_path_is_a_file(options: DataOptions, tmp_path: Path) -> None:
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "own.csv").write_text("captions\na => b => c\n", "utf-8")
    assert open_dataset("named", options).name == "named"
    for spec in ("named/own.csv", str(tmp_path / "named" / "own.csv")):
        assert open_dataset(spec, options).name == "own.csv"
    with pytest.raises(HierevalError) as caught:
        open_dataset("./named", options)
    assert str(caught.value) == (
        "The dataset './named' must be a file, and is a folder. HierarCaps under a folder is "
        "'--dataset hierarcaps --data-dir FOLDER'."
    )


def test_an_unknown_name_gets_the_nearest(options: DataOptions) -> None:
    for spec in ("nmaed", "nmaed:test"):
        with pytest.raises(HierevalError) as caught:
            open_dataset(spec, options)
        assert str(caught.value) == (
            f"The dataset {spec!r} must be one of {', '.join(registry.names('datasets'))}, or the "
            "path of a .csv, .csv.gz or .jsonl file. Did you mean 'named'? "
            "'hiereval ls datasets' describes them."
        )


def test_a_file_that_is_not_there_gets_its_neighbour(options: DataOptions, tmp_path: Path) -> None:
    (tmp_path / "birds.csv").write_text("captions\na => b\n", "utf-8")
    with pytest.raises(HierevalError) as caught:
        open_dataset("bird.csv", options)
    assert str(caught.value) == (
        "The dataset file 'bird.csv' must exist. Did you mean 'birds.csv'? "
        "'hiereval ls datasets' lists the datasets with a name."
    )
    with pytest.raises(HierevalError, match=r"^The dataset file 'no/where\.csv' must exist\. '"):
        open_dataset("no/where.csv", options)


def test_a_file_of_another_kind(options: DataOptions, tmp_path: Path) -> None:
    (tmp_path / "birds.txt").write_text("captions\na => b\n", "utf-8")
    with pytest.raises(HierevalError) as caught:
        open_dataset("birds.txt", options)
    assert str(caught.value) == (
        "The dataset file 'birds.txt' must end in .csv, .csv.gz or .jsonl."
    )
