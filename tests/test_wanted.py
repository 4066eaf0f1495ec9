"""What a closed model has to embed, and what happens where some of it is missing."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from support.made import chains_of

from hiereval import wanted
from hiereval.cli import hiereval
from hiereval.datasets.image_files import FileImage
from hiereval.errors import HierevalError
from hiereval.session import Session
from hiereval.types import Chains, ImageSource

CAPTIONS = [["bird", "a blue bird"], ["bird", "a red\nbird"]]


@dataclass(frozen=True)
class Drawn:
    name: str
    shade: int = 0

    def read(self) -> bytes:
        out = io.BytesIO()
        Image.new("L", (2, 2), self.shade).save(out, "PNG")
        return out.getvalue()


def data(*images: ImageSource) -> Chains:
    names = [image.name for image in images] or None
    return replace(chains_of(CAPTIONS, images=names), images=images)


def read(file: Path) -> list[object]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_the_root_comes_first_and_everything_once(tmp_path: Path) -> None:
    other = chains_of([["cat", "a blue bird"]])
    asked = wanted.collect([data(Drawn("a/b.png"), Drawn("c.png", 9)), other])
    wanted.write(asked, tmp_path / "out")
    texts = ["", "bird", "a blue bird", "a red\nbird", "cat"]
    assert read(tmp_path / "out" / "texts.jsonl") == texts
    assert read(tmp_path / "out" / "index.json") == [
        {"texts": texts, "images": ["a/b.png", "c.png"]}
    ]
    rows = read(tmp_path / "out" / "images.jsonl")
    assert rows == [
        {"name": "a/b.png", "file": "images/a-b.png"},
        {"name": "c.png", "file": "images/c.png"},
    ]
    copied = Image.open(tmp_path / "out" / "images" / "c.png")
    assert copied.getpixel((0, 0)) == 9


def test_another_root_that_is_a_caption_stands_there_once() -> None:
    assert wanted.collect([data()], "a blue bird").texts == ("a blue bird", "bird", "a red\nbird")


def test_files_are_named_not_copied(tmp_path: Path) -> None:
    file = tmp_path / "one.png"
    file.write_bytes(Drawn("one.png").read())
    images = (FileImage("one.png", file), Drawn("two.png"))
    wanted.write(wanted.collect([data(*images)]), tmp_path / "out")
    assert read(tmp_path / "out" / "images.jsonl")[0] == {"name": "one.png", "file": str(file)}
    assert [p.name for p in (tmp_path / "out" / "images").iterdir()] == ["two.png"]


def test_one_name_is_one_picture() -> None:
    same = wanted.collect(
        [data(Drawn("a.png"), Drawn("b.png")), data(Drawn("b.png"), Drawn("a.png"))]
    )
    assert [image.name for image in same.images] == ["a.png", "b.png"]
    with pytest.raises(HierevalError) as caught:
        wanted.collect(
            [data(Drawn("a.png"), Drawn("b.png")), data(Drawn("b.png", 7), Drawn("a.png"))]
        )
    assert str(caught.value) == (
        "The images named 'b.png' must be one picture in all datasets: vectors are found by name. "
        "Make a folder for each dataset."
    )


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(HierevalError) as caught:
        wanted.write(wanted.collect([data()]), tmp_path)
    assert str(caught.value) == f"The output folder '{tmp_path}' must be new or empty."
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_inputs_make_a_model_that_scores_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command to records: one dataset whole, of another nothing, no images at all."""
    monkeypatch.chdir(tmp_path)
    inputs = ["inputs", "shapes", "--limit", "9", "--out"]
    spaced = CliRunner().invoke(hiereval, [*inputs, "my own"])
    assert "\nhiereval run --model 'precomputed:my own' --dataset shapes" in spaced.output
    made = CliRunner().invoke(hiereval, [*inputs, "mine"])
    assert made.exit_code == 0, made.output
    texts = read(tmp_path / "mine" / "texts.jsonl")
    assert made.output == (
        f"mine/texts.jsonl: {len(texts)} texts, the root '' first\n"
        "mine/images.jsonl: 9 images\n"
        f"Next: save 'text' [{len(texts)}, d] and 'image' [9, d] in this order as "
        "mine/embeddings.safetensors, then\n"
        "hiereval run --model precomputed:mine --dataset shapes --limit 9\n"
    )
    vectors = torch.randn(len(texts), 4, generator=torch.Generator().manual_seed(0))
    (tmp_path / "mine" / "index.json").write_text(json.dumps({"texts": texts}))
    save_file({"text": vectors}, tmp_path / "mine" / "embeddings.safetensors")

    from hiereval.run import RunConfig, run

    config = RunConfig(
        model="precomputed:mine", datasets=["shapes", "shapes:validation"], limit=9,
        tasks="ordering,retrieval",
    )  # fmt: skip
    found = {
        (r.dataset.split, r.task.name): (r.status, r.reason)
        for r in run(Session.of(device="cpu"), config)
    }
    assert found["test", "ordering"] == ("ok", None)
    status, reason = found["test", "retrieval"]
    assert status == "skipped"
    assert reason == (
        "the folder 'mine' lacks 9 of the 9 images of shapes (test): "
        '"test-0000", "test-0001", "test-0002", "test-0003", "test-0004" and 4 more; '
        "'hiereval inputs DATASET --out DIR' writes what to embed"
    )
    status, reason = found["validation", "ordering"]
    assert status == "skipped"
    assert reason is not None
    assert " texts of shapes (validation): " in reason
