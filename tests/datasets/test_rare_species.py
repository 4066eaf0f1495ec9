"""Rare Species: the published table as ranks, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.at import options as data_at

from hiereval.datasets.rare_species import rare_species
from hiereval.errors import HierevalError

HEADER = ",kingdom,phylum,cls,order,family,genus,species,common_name,filepath,class"
ROW = "0,Animalia,Chordata,Aves,Strigiformes,Strigidae,Athene,blewitti,forest owlet,a/1.jpg,x"


def written(root: Path, *lines: str) -> Path:
    path = root / "rare-species" / "metadata.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_seventh_rank_is_genus_and_epithet(tmp_path: Path) -> None:
    written(tmp_path, HEADER, ROW, ROW.replace("a/1", "a/2"))
    data = rare_species(data_at(tmp_path))
    assert data.texts == (
        "Animalia", "Chordata", "Aves", "Strigiformes", "Strigidae", "Athene", "Athene blewitti",
    )  # fmt: skip
    assert data.ranks.tolist() == [list(range(7))] * 2
    assert [image.name for image in data.images] == ["a/1.jpg", "a/2.jpg"]
    assert data.images[0].path == tmp_path / "rare-species" / "images" / "a" / "1.jpg"  # type: ignore[attr-defined]
    assert (data.name, data.split) == ("rare-species", "names")


def test_paths_hold_the_ranks_above(tmp_path: Path) -> None:
    written(tmp_path, HEADER, ROW)
    data = rare_species(data_at(tmp_path, "paths"))
    assert data.texts[1] == "Animalia Chordata"
    assert data.texts[6] == "Animalia Chordata Aves Strigiformes Strigidae Athene blewitti"


def refused(root: Path, split: str | None = None) -> str:
    with pytest.raises(HierevalError) as caught:
        rare_species(data_at(root, split))
    return str(caught.value)


def test_bad_tables(tmp_path: Path) -> None:
    path = tmp_path / "rare-species" / "metadata.csv"
    assert refused(tmp_path) == (
        f"Rare Species must have its '{path}': take it from data/annotation/rare_species at "
        "https://github.com/Imageomics/bioclip-2; --data-dir names another data root."
    )
    assert refused(tmp_path, "path") == (
        "The split 'path' of rare-species must be one of names, paths. Did you mean 'paths'?"
    )
    written(tmp_path, HEADER.replace("cls", "class_"), ROW)
    assert refused(tmp_path) == (
        f"{path}:1: the columns must include kingdom, phylum, cls, order, family, genus, species, "
        "filepath; there is no 'cls'. Did you mean 'class'?"
    )
    written(tmp_path, HEADER)
    assert refused(tmp_path) == f"{path}: the table must hold at least one row."
    written(tmp_path, HEADER, ROW, ROW.replace("Aves", " ").replace("a/1.jpg", ""))
    assert refused(tmp_path) == (
        f"{path}:3: the cls must not be empty.\n{path}:3: the filepath must not be empty."
    )
