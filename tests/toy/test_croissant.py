"""`shapes` as files: hiereval reads them back, and the metadata names what there is."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.typed import exit_code

from hiereval.datasets import open_dataset
from hiereval.toy import croissant
from hiereval.types import Chains, DataOptions


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return croissant.written("test")


@pytest.fixture(scope="module")
def metadata(files: dict[str, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files["croissant.json"])
    return found


def test_the_table_is_the_dataset(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "shapes-test.csv").write_bytes(files["shapes-test.csv"])
    with zipfile.ZipFile(io.BytesIO(files["shapes-test-images.zip"])) as archive:
        archive.extractall(tmp_path / "images")
    read, own = (
        open_dataset(spec, DataOptions()) for spec in (str(tmp_path / "shapes-test.csv"), "shapes")
    )
    assert isinstance(read, Chains)
    assert isinstance(own, Chains)
    for rows in ("chains", "negatives"):
        texts = [np.array(data.texts, object)[getattr(data, rows)] for data in (read, own)]
        assert (texts[0] == texts[1]).all()
    assert [image.name for image in read.images] == [f"{image.name}.png" for image in own.images]
    assert read.images[7].read() == own.images[7].read()
    assert Image.open(io.BytesIO(read.images[7].read())).size == (48, 48)


def test_the_same_files_are_written_again(files: dict[str, bytes]) -> None:
    assert croissant.written("test") == files


def test_the_metadata_is_croissant(files: dict[str, bytes], metadata: dict[str, Any]) -> None:
    assert metadata["@type"] == "sc:Dataset"
    assert metadata["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert metadata["@context"]["cr"] == "http://mlcommons.org/croissant/"
    assert {"name", "description", "license", "url", "creator", "version", "datePublished"} <= {
        key for key, value in metadata.items() if value
    }
    table, archive, pictures = metadata["distribution"]
    for file in (table, archive):
        content = files[file["contentUrl"]]
        assert file["@type"] == "cr:FileObject"
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["contentSize"] == f"{len(content)} B"
    assert pictures["@type"] == "cr:FileSet"
    assert pictures["containedIn"] == {"@id": archive["@id"]}


def test_every_field_comes_from_a_file_that_is_named(metadata: dict[str, Any]) -> None:
    names = {one["@id"] for one in metadata["distribution"]}
    scenes, images = metadata["recordSet"]
    assert [field["name"] for field in scenes["field"]] == ["id", "image", "captions", "negatives"]
    assert [field["name"] for field in images["field"]] == ["image", "content"]
    for record_set in (scenes, images):
        ids = [field["@id"] for field in record_set["field"]]
        assert record_set["key"]["@id"] in ids
        for field in record_set["field"]:
            source = field["source"]
            assert source.get("fileObject", source.get("fileSet"))["@id"] in names


@pytest.mark.parametrize(
    "arguments", [(), ("--dataset", "hierarcaps"), (".", "--dataset", "shapes")]
)
def test_only_shapes_is_described(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("export", "--format", "croissant", "--out", tmp_path / "out", *arguments) == 2
    assert capsys.readouterr().err == (
        "error: The format croissant must have --dataset shapes, or shapes:SPLIT, and no RESULTS: "
        "it describes the one dataset that hiereval makes itself.\n"
    )


def test_the_command_writes_them(
    files: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        exit_code("export", "--format", "croissant", "--out", tmp_path, "--dataset", "shapes") == 0
    )
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / name) for name in files]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_other_formats_need_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("export", "--format", "csv", "--out", tmp_path) == 2
    assert capsys.readouterr().err == (
        "error: The format csv needs RESULTS: files of records, or folders.\n"
    )
