"""HiMo-Docci: chains of any length, segments of long captions, and every kind of bad line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import himo as slow
from support.at import options as data_at

from hiereval.datasets import open_dataset
from hiereval.datasets.himo_docci import himo_docci, read, segments
from hiereval.errors import HierevalError

RAW = "A bird on a branch, seen from below."


def line(*captions: str, image: str = "1.jpg", **more: Any) -> str:
    return json.dumps({"img_path": image, "caption": captions, "raw_caption": RAW, **more})


def written(folder: Path, *lines: str) -> Path:
    path = folder / "himo" / "himo_docci_data.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_chains_are_padded_and_texts_unique(tmp_path: Path) -> None:
    written(
        tmp_path,
        line("a bird", "a bird on a branch"),
        line("a bird", "a bird, red", "a bird, red and blue", image="2.jpg"),
    )
    data = himo_docci(data_at(tmp_path))
    assert data.texts == ("a bird", "a bird on a branch", "a bird, red", "a bird, red and blue")
    assert data.captions.tolist() == [[0, 1, -1], [0, 2, 3]]
    assert [image.name for image in data.images] == ["1.jpg", "2.jpg"]
    assert data.caption_image.tolist() == [0, 1]
    assert data.images[0].path == tmp_path / "docci" / "images" / "1.jpg"  # type: ignore[attr-defined]
    first = data.head(1)
    assert (first.texts, first.captions.tolist()) == (data.texts[:2], [[0, 1, -1]])
    assert len(first.images) == 1
    assert first.sha256 != data.sha256
    assert data.head(2) is data


def test_the_splits_are_segments_of_the_raw_caption(tmp_path: Path) -> None:
    written(tmp_path, line("a", "a b"))
    halves = open_dataset("himo-docci:halves", data_at(tmp_path))
    assert halves.texts == ("A bird on a", RAW)
    thirds = open_dataset("himo-docci:thirds", data_at(tmp_path))
    assert thirds.texts == ("A bird on", "A bird on a branch, seen", RAW)
    assert (thirds.name, thirds.split) == ("himo-docci", "thirds")


@given(words=st.lists(st.text("ab", min_size=1), min_size=3), n=st.sampled_from([2, 3]))
def test_segments_are_dealt_evenly(words: list[str], n: int) -> None:
    assert segments(" ".join(words), n) == slow.segments(" ".join(words), n)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["{"], "1: the line must be JSON: Expecting property name enclosed in double quotes: "
         "line 1 column 2 (char 1)."),
        (["[]"], "1: the line must be a JSON object."),
        ([line("a", "b"), line("a")], "2: the chain must have 2 to 17 captions, found 1."),
        ([line(*"abcdefghijklmnopqr")], "1: the chain must have 2 to 17 captions, found 18."),
        ([line("a", "")], "1: the caption must be a list of texts."),
        ([line("a", "b", image="../1.jpg")],
         "1: the img_path must be a file name, not '../1.jpg'."),
        ([line("a", "b", raw_caption="a b")],
         "1: the raw_caption must be a text of 3 or more words."),
        (['{"img_path": "1.jpg", "captions": ["a", "b"], "raw_caption": "a b c"}'],
         "1: the line must have the field 'caption'. Did you mean 'captions'?"),
    ],
)  # fmt: skip
def test_bad_lines(tmp_path: Path, lines: list[str], problem: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(HierevalError) as caught:
        read(path, tmp_path)
    assert str(caught.value) == f"{path}:{problem}"


def test_every_bad_line_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path, *[line("a")] * 12)
    with pytest.raises(HierevalError) as caught:
        read(path, tmp_path)
    assert str(caught.value).count("\n") == 10
    assert str(caught.value).endswith("... and 2 more")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HierevalError) as caught:
        himo_docci(data_at(tmp_path))
    assert str(caught.value) == (
        f"HiMo-Docci must stand at '{tmp_path / 'himo' / 'himo_docci_data.json'}': take "
        "himo_docci_data.json from eval/text_mono at https://github.com/UnicomAI/HiMo-CLIP; "
        "--data-dir names another data root."
    )
    with pytest.raises(HierevalError) as caught:
        himo_docci(data_at(tmp_path, "half"))
    assert str(caught.value) == (
        "The split 'half' of himo-docci must be one of test, halves, thirds. Did you mean 'halves'?"
    )
    path = written(tmp_path)
    with pytest.raises(HierevalError) as caught:
        himo_docci(data_at(tmp_path))
    assert str(caught.value) == f"{path}: the file must hold at least one chain."


@pytest.mark.data
def test_the_published_file(himo_root: Path) -> None:
    data = himo_docci(data_at(himo_root))
    lengths, counts = np.unique((data.captions >= 0).sum(1), return_counts=True)
    assert dict(zip(lengths.tolist(), counts.tolist(), strict=True)) == {
        2: 2, 3: 10, 4: 101, 5: 193, 6: 247, 7: 155, 8: 118, 9: 83, 10: 43, 11: 23, 12: 14, 13: 9,
        14: 1, 17: 1,
    }  # fmt: skip
    assert len(data.texts) == 6660
    assert len(data.images) == 1000
