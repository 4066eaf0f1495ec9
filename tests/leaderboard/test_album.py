"""What a page shows of single items: which, in which order, within which limits."""

from __future__ import annotations

import base64
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from support import sampled
from support.pictured import data, measured

from hiereval import samples
from hiereval.datasets.chains import read
from hiereval.datasets.image_files import FileImage
from hiereval.errors import HierevalError
from hiereval.leaderboard import album, extremes, thumbnails
from hiereval.leaderboard.album import Album
from hiereval.leaderboard.board import build
from hiereval.leaderboard.extremes import TASKS, Step
from hiereval.leaderboard.packed import packed
from hiereval.leaderboard.paired import SamplesBeside
from hiereval.leaderboard.thumbnails import Thumbnails, jpeg
from hiereval.places import Places
from hiereval.records import Record
from hiereval.types import Scores


def section(records: list[Record], album: Album) -> dict[str, Any]:
    (found,) = packed(build(records, every_metric=True), album=album)["sections"]
    return found


def asked(results: Path, root: Path) -> Album:
    return Album(SamplesBeside([results]), Places(cache=root / "cache", data=root, offline=True))


# --- which items ---------------------------------------------------------------------------------


def ranked(tau: list[float]) -> tuple[list[int], list[int]]:
    """Return the numbers of the best and worst chains, as the sheet has them."""
    scores = Scores(
        ids=[str(i) for i in range(len(tau))],
        items={"tau": torch.tensor(tau, dtype=torch.float64)},
        details=lambda i: {"captions": [str(i)], "radii": [0.5]},
    )
    best, worst = extremes.extremes(TASKS["ordering"], scores, None)
    return [int(i.path[0].caption) for i in best], [int(i.path[0].caption) for i in worst]


def test_the_best_and_the_worst_are_those_of_a_plain_sort() -> None:
    for seed in range(50):
        generator = np.random.default_rng(seed)
        tau = generator.integers(-3, 4, size=generator.integers(6, 30)) / 3
        tau[generator.random(len(tau)) < 0.2] = math.nan
        there = [i for i in range(len(tau)) if not math.isnan(tau[i])]
        down = sorted(there, key=lambda i: -tau[i])  # a stable sort keeps the data's order
        up = sorted(there, key=lambda i: tau[i])
        best, worst = ranked(tau.tolist())
        assert best == down[:3]
        assert worst == [i for i in up if i not in best][:3]


@pytest.mark.parametrize(
    ("tau", "best", "worst"),
    [
        ([1.0, 1.0, 1.0, 1.0, 1.0], [0, 1, 2], [3, 4]),
        ([0.5, math.nan], [0], []),
        ([math.nan, math.nan], [], []),
        ([math.inf, -math.inf, 3.0], [], []),
    ],
)
def test_ties_few_items_and_what_is_no_score(
    tau: list[float], best: list[int], worst: list[int]
) -> None:
    assert ranked(tau) == (best, worst)


def test_images_are_ranked_by_recall_and_then_by_precision() -> None:
    items = {"recall": [0.5, 1.0, 0.5, 1.0], "precision": [0.9, 0.2, 0.1, 0.3]}
    scores = Scores(
        ids=[f"image {i}" for i in range(4)],
        items={k: torch.tensor(v, dtype=torch.float64) for k, v in items.items()},
        details=lambda i: {"predictions": [{"caption": f"of {i}", "tier": None}]},
    )
    best, worst = extremes.extremes(TASKS["retrieval"], scores, None)
    assert [item.path for item in best] == [
        [Step(f"of {i}", "not its own", False)] for i in (3, 1, 0)
    ]
    assert [item.score for item in best + worst] == [
        "recall 1.000, precision .300",
        "recall 1.000, precision .200",
        "recall .500, precision .900",
        "recall .500, precision .100",
    ]


def test_a_long_path_keeps_the_captions_that_were_looked_for() -> None:
    tiers = [None, *[None] * 6, 1, None, 2]
    steps = [{"caption": f"caption {k}", "tier": tier} for k, tier in enumerate(tiers)]
    scores = Scores(
        ids=["image"],
        items={key: torch.ones(1, dtype=torch.float64) for key in ("recall", "precision")},
        details=lambda i: {"predictions": steps},
    )
    (item,), _ = extremes.extremes(TASKS["retrieval"], scores, None)
    assert [step.caption for step in item.path] == [
        f"caption {k}" for k in (0, 1, 2, 3, 4, 5, 7, 9)
    ]
    assert [step.said for step in item.path[-2:]] == ["its tier 1", "its tier 2"]
    assert item.left_out == 2


@pytest.mark.parametrize(
    "details",
    [None, [], {}, {"captions": "abc", "radii": [1, 2, 3]}, {"captions": ["a"], "radii": [None]},
     {"captions": ["a", "b"], "radii": [1.0]}, {"captions": ["a"], "radii": ["1"]},
     {"captions": ["a"], "radii": [10**400]}, {"captions": ["a"], "radii": [math.nan]}],
)  # fmt: skip
def test_details_of_another_form_are_no_path(details: Any) -> None:
    scores = Scores(
        ids=["0"], items={"tau": torch.ones(1, dtype=torch.float64)}, details=lambda i: details
    )
    (item,), _ = extremes.extremes(TASKS["ordering"], scores, None)
    assert item.path == []


# --- pictures ------------------------------------------------------------------------------------


def noise(width: int, height: int, mode: str = "RGB") -> PIL.Image.Image:
    generator = np.random.default_rng(0)
    bands = len(PIL.Image.new(mode, (1, 1)).getbands())
    pixels = generator.integers(0, 256, (height, width, bands), np.uint8)
    return PIL.Image.fromarray(pixels.squeeze())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_thumbnail_is_small_whatever_the_image(mode: str) -> None:
    content = jpeg(noise(900, 600, mode))
    assert content is not None
    assert len(content) <= 8_000
    assert PIL.Image.open(BytesIO(content)).size == (144, 96)


def test_a_thumbnail_is_on_white_and_holds_no_metadata() -> None:
    original = PIL.Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    original.info |= {"comment": b"taken at home", "icc_profile": b"profile", "exif": b"where"}
    content = jpeg(original)
    assert content is not None
    shown = PIL.Image.open(BytesIO(content))
    assert shown.getpixel((10, 10)) == (255, 255, 255)
    assert not shown.getexif()
    assert {"comment", "icc_profile", "exif"} & set(shown.info) == set()
    assert b"home" not in content


def test_no_more_bytes_than_a_page_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = data()
    one = jpeg(PIL.Image.open(BytesIO(dataset.images[0].read())))
    assert one is not None
    monkeypatch.setattr(thumbnails, "TOTAL", 2 * len(one) + 1)
    held = Thumbnails()
    places = [held.place("sha", dataset.images[i]) for i in (0, 0, 1, 2, 1)]
    assert places == [0, 0, 1, "image left out: too many bytes", 1]
    assert sum(len(base64.b64decode(text)) for text in held.encoded) <= 2 * len(one) + 1
    monkeypatch.setattr(thumbnails, "BYTES", 10)
    assert Thumbnails().place("sha", dataset.images[0]) == "image left out: too many bytes"


# --- a page's album ------------------------------------------------------------------------------


def test_pictures_and_paths_of_a_run(tmp_path: Path) -> None:
    records = measured(tmp_path, task__parameters={"steps": 10})
    found = section(records, asked(tmp_path, tmp_path))
    retrieval, ordering = found["album"][0]
    assert (retrieval["task"], ordering["task"]) == ("retrieval steps=10", "ordering steps=10")
    first = ordering["best"][0]
    dataset = data()
    chain = [dataset.texts[t] for t in dataset.chains[0]]
    assert [caption for caption, _ in first["path"]] == chain
    assert first["alt"] == chain[-1]
    assert first["score"] == "tau 1.000"
    assert [said for _, said in ordering["worst"][0]["path"]] == [
        ".900",
        ".800, not farther out",
        ".700, not farther out",
        ".600, not farther out",
    ]
    assert found["points"][0]["n"] == len(dataset.chains)
    assert found["points"][0]["of"][0] == [0.5, 0.6, 0.7, 0.8]


def test_points_are_there_without_pictures_and_pictures_never_unasked(tmp_path: Path) -> None:
    records = measured(tmp_path)
    found = packed(build(records, every_metric=True), album=Album(SamplesBeside([tmp_path])))
    (own,) = found["sections"]
    assert own["album"] is None
    assert found["thumbnails"] == []
    assert len(own["points"][0]["of"]) == album.SPOKES


def test_a_row_without_samples_has_neither(tmp_path: Path) -> None:
    records = measured(None)
    found = section(records, asked(tmp_path, tmp_path))
    assert (found["album"], found["points"]) == ({}, {})


def test_only_the_first_rows_have_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(album, "MOST", 2)
    records = [r for name in ("a", "b", "c") for r in measured(tmp_path, name)]
    found = section(records, asked(tmp_path, tmp_path))
    assert sorted(found["album"]) == [0, 1]
    assert sorted(found["points"]) == [0, 1]


@pytest.mark.parametrize(
    ("changes", "word", "line"),
    [
        (
            {"dataset__sha256": "e" * 64},
            "dataset at hand is another version",
            "shapes test: no pictures: the data at hand is another version.",
        ),
        (
            {"dataset__name": "../../etc/passwd.csv"},
            "dataset not at hand",
            "../../etc/passwd.csv test: no pictures: The dataset file '{root}/passwd.csv' must "
            "exist. 'hiereval ls datasets' lists the datasets with a name.",
        ),
        (
            {"dataset__name": "hierarcaps"},
            "dataset not at hand",
            None,
        ),
        (
            {"dataset__name": "hyperlex"},
            "dataset not at hand",
            None,
        ),
    ],
)
def test_images_that_are_not_at_hand_are_a_word(
    tmp_path: Path, changes: dict[str, Any], word: str, line: str | None
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    records = measured(tmp_path, **changes)
    own = asked(tmp_path, root)
    found = section(records, own)
    retrieval, ordering = found["album"][0]
    assert {item["image"] for item in retrieval["best"] + ordering["worst"]} == {word}
    assert ordering["best"][0]["path"][0][0] == data().texts[data().chains[0][0]]
    (told,) = own.missing
    if line is not None:
        assert told == line.format(root=root)


def test_a_file_of_ones_own_stands_in_the_data_root(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    rows = ["image,captions"] + [f"{i}.png,animal => a grey cat {i}" for i in range(4)]
    for i in range(4):
        noise(30, 30).save(root / f"{i}.png")
    (root / "mine.csv").write_text("\n".join(rows))
    mine = read(root / "mine.csv")
    records = measured(tmp_path, dataset=mine)
    own = asked(tmp_path, root)
    found = section(records, own)
    assert own.missing == []
    retrieval, ordering = found["album"][0]
    assert [item["image"] for item in retrieval["best"]] == [0, 1, 2]  # of the images 3, 2 and 1
    assert [item["image"] for item in ordering["best"]] == [3, 2, 1]
    (root / "3.png").unlink()
    with pytest.raises(HierevalError):
        read(root / "mine.csv")
    assert section(records, asked(tmp_path, root))["album"][0][1]["best"][0]["image"] == (
        "dataset not at hand"
    )


def test_an_image_that_is_missing_or_damaged_is_a_word(tmp_path: Path) -> None:
    image = FileImage("one.png", tmp_path / "one.png")
    assert Thumbnails().place("sha", image) == "image missing or unreadable"
    image.path.write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    assert Thumbnails().place("sha", image) == "image missing or unreadable"


def test_samples_of_another_record_are_refused(tmp_path: Path) -> None:
    record, other = sampled.record("a"), sampled.record("b")
    path = samples.path_of(tmp_path, record)
    samples.write(path, other, sampled.coin([1.0, 0.0]))
    with pytest.raises(HierevalError) as caught:
        SamplesBeside([tmp_path]).of(record)
    assert str(caught.value) == f"The samples {str(path)!r} must be of the record a-coin."
