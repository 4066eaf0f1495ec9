"""COCO and Flickr30K in Karpathy's JSON: five captions an image, and what is wrong with others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.at import options as data_at

from hiereval.datasets.karpathy import coco, flickr30k
from hiereval.errors import HierevalError


def image(number: int, split: str = "test", captions: int = 5, **more: Any) -> dict[str, Any]:
    sentences = [{"raw": f"caption {j} of {number}"} for j in range(captions)]
    return {"filename": f"{number}.jpg", "split": split, "sentences": sentences, **more}


def written(root: Path, *images: dict[str, Any], of: str = "coco") -> Path:
    path = root / of / f"dataset_{of}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"images": images, "dataset": of}))
    return path


def test_the_first_five_captions_of_each_image(tmp_path: Path) -> None:
    written(
        tmp_path,
        image(1, captions=7, filepath="val2014"),
        image(2, "val"),
        image(3, "restval"),
        image(4, filepath="val2014"),
    )
    data = coco(data_at(tmp_path))
    assert [picture.name for picture in data.images] == ["1.jpg", "4.jpg"]
    assert data.images[1].path == tmp_path / "coco" / "val2014" / "4.jpg"  # type: ignore[attr-defined]
    assert data.captions.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert data.texts[4] == "caption 4 of 1"
    assert (data.name, data.split) == ("coco-karpathy", "test")
    assert [picture.name for picture in coco(data_at(tmp_path, "val")).images] == ["2.jpg"]
    assert data.head(1).captions.tolist() == [[0, 1, 2, 3, 4]]
    assert data.head(1).sha256 != data.sha256
    assert data.head(2) is data


def test_flickr30k_has_its_images_in_one_folder(tmp_path: Path) -> None:
    written(tmp_path, image(1), of="flickr30k")
    data = flickr30k(data_at(tmp_path))
    assert data.images[0].path == tmp_path / "flickr30k" / "images" / "1.jpg"  # type: ignore[attr-defined]


def refused(root: Path, split: str | None = None) -> str:
    with pytest.raises(HierevalError) as caught:
        coco(data_at(root, split))
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (image(1, captions=4), "there must be 5 captions, found 4."),
        (image(1, filename="../1.jpg"), "the filename must be a file name, not '../1.jpg'."),
        (image(1, filepath="../x"), "the filepath must be a folder beside the file, not '../x'."),
        (image(1, sentences=["a"]), "the sentences must be a list of objects with a text 'raw'."),
    ],
)
def test_bad_images(tmp_path: Path, wrong: dict[str, Any], problem: str) -> None:
    path = written(tmp_path, image(0), wrong)
    assert refused(tmp_path) == f"{path}: image 1: {problem}"


def test_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "coco" / "dataset_coco.json"
    assert refused(tmp_path) == (
        f"The Karpathy splits must stand at '{path}': take dataset_coco.json from "
        "caption_datasets.zip at https://cs.stanford.edu/people/karpathy/deepimagesent; "
        "--data-dir names another data root."
    )
    assert refused(tmp_path, "tests") == (
        "The split 'tests' of coco-karpathy must be one of test, val. Did you mean 'test'?"
    )
    written(tmp_path, image(0, "train"))
    assert refused(tmp_path) == f"{path}: the split 'test' must hold images; splits: train."
    for content in ("[]", "{}", '{"images": [1]}', "{"):
        path.write_text(content)
        assert refused(tmp_path) == (
            f"{path}: the file must be a JSON object with a list 'images', each with a 'split'."
        )
