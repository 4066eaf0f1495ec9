"""Ranks of names on a miniature worked by hand, against slow oracles, and the table's reader."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from reference.taxonomy import by_rank, predictions
from scipy.stats import kendalltau

from hiereval.datasets.ranked_names import RankedNames, taxonomy
from hiereval.errors import HierevalError
from hiereval.estimates import bootstrap, metrics_of
from hiereval.geometry import EuclideanSpace, SphereSpace, normalise
from hiereval.places import Places
from hiereval.tasks.taxonomy import Taxonomy, TaxonomyRetrieval
from hiereval.types import DataOptions

TABLE = """\
rank1,rank2,rank3,image,notes
Animalia,Aves,Turdus merula,1.jpg,blackbird
Animalia,Aves,Pica pica,2.jpg,magpie
Plantae,Rosa,Rosa canina,3.jpg,dog rose
Animalia,Aves,Turdus merula,4.jpg,
"""
# On a line; the radius is the distance from 0. Images stand on the same line.
PLACES = {
    "Animalia": 1.0, "Plantae": -1.5, "Aves": 2.0, "Rosa": -3.5, "Turdus merula": 3.0,
    "Pica pica": 4.0, "Rosa canina": -3.0,
}  # fmt: skip
IMAGES = [3.1, 3.0, -9.0, 1.9]


def write(root: Path, text: str, name: str = "taxonomy") -> DataOptions:
    folder = root / "taxonomy"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.csv").write_text(text)
    for i in range(1, 5):
        (folder / f"{i}.jpg").write_bytes(b"")
    return DataOptions(places=Places.of(data_dir=root))


def space_of(data: RankedNames) -> EuclideanSpace:
    text = torch.tensor([[PLACES[name]] for name in data.texts], dtype=torch.float64)
    images = torch.tensor(IMAGES, dtype=torch.float64)[:, None]
    return EuclideanSpace(text, images, torch.zeros(1, dtype=torch.float64))


def test_order_by_hand(tmp_path: Path) -> None:
    data = taxonomy(write(tmp_path, TABLE))
    scores = Taxonomy().score(space_of(data), data, torch.Generator())
    # Radii: 1 2 3 and 1 2 4 rise (tau 1); 1.5 3.5 3 has two pairs right and one wrong (1/3).
    # The second Turdus merula is the same row of names.
    assert scores.ids == [
        "Animalia > Aves > Turdus merula", "Animalia > Aves > Pica pica",
        "Plantae > Rosa > Rosa canina",
    ]  # fmt: skip
    assert scores.items["tau"].tolist() == pytest.approx([1.0, 1.0, 1 / 3], abs=1e-12)
    value = bootstrap(Taxonomy.metrics, scores, seed=0, resamples=10)["tau_d"].value
    assert value == pytest.approx((1 + 1 + 1 / 3) / 3, abs=1e-12)


def test_retrieval_by_hand(tmp_path: Path) -> None:
    data = taxonomy(write(tmp_path, TABLE))
    # By radius: Animalia 1, Plantae 1.5, Aves 2, T. merula 3 and R. canina 3, Rosa 3.5, P. pica 4.
    # Seven levels: the radii of places 1 to 7, so the names within are
    # A | +P | +Aves | +merula +canina | the same | +Rosa | +pica.
    scores = TaxonomyRetrieval(steps=7).score(space_of(data), data, torch.Generator())
    # 1.jpg at 3.1:  Animalia, Aves (from 2 on), T. merula; pica at 4.0 is farther
    # 2.jpg at 3.0:  Animalia, Aves, T. merula; pica is never nearest
    # 3.jpg at -9:   Animalia, Plantae, R. canina, Rosa
    # 4.jpg at 1.9:  Animalia, Aves
    nan = math.nan
    expected_recall = [[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 0]]
    expected_precision = [
        [1, 1, 1], [1, 1, 0],  # pica for merula is wrong
        [1 / 2, 1, 1],  # Animalia and Plantae are both of rank 1
        [1, 1, nan],  # no species
    ]  # fmt: skip
    np.testing.assert_allclose(scores.items["recall"], expected_recall, atol=1e-12)
    np.testing.assert_allclose(scores.items["precision"], expected_precision, atol=1e-12)
    found = bootstrap(metrics_of(TaxonomyRetrieval(), scores.items), scores, seed=0, resamples=10)
    assert {name: e.value for name, e in found.items()} == pytest.approx(
        {
            "precision_rank1": (1 + 1 + 1 / 2 + 1) / 4,
            "precision_rank2": 1.0,
            "precision_rank3": (1 + 0 + 1) / 3,
            "recall_rank1": 1.0,
            "recall_rank2": 1.0,
            "recall_rank3": 2 / 4,
            "precision": (3.5 / 4 + 1 + 2 / 3) / 3,
            "recall": (1 + 1 + 1 / 2) / 3,
        },
        abs=1e-12,
    )
    assert found["precision_rank3"].n == 3
    assert scores.ids == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert scores.details is not None
    assert scores.details(2)["predictions"] == ["Animalia", "Plantae", "Rosa canina", "Rosa"]


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_random_tables_agree_with_the_oracles(steps: int) -> None:
    rng = np.random.default_rng(steps)
    ranks = np.stack([rng.integers(0, 3, 20), rng.integers(3, 8, 20), rng.integers(8, 20, 20)], 1)
    generator = torch.Generator().manual_seed(steps)
    text = normalise(torch.randn(20, 4, generator=generator, dtype=torch.float64))
    text[5] = text[4]  # ties in radius and similarity
    image = normalise(torch.randn(20, 4, generator=generator, dtype=torch.float64))
    space = SphereSpace(text, image, text[19])
    data = RankedNames(
        name="random", split="all", revision=None, sha256="", image_source="",
        texts=tuple(map(str, range(20))), images=(), ranks=ranks, row_image=np.arange(20),
    )  # fmt: skip
    object.__setattr__(data, "images", tuple(type("I", (), {"name": str(i)})() for i in range(20)))
    scores = TaxonomyRetrieval(steps=steps).score(space, data, generator)
    for i, row in enumerate(ranks.tolist()):
        predicted = predictions(space.radius.tolist(), (image @ text.T)[i].tolist(), steps)
        expected = np.array(by_rank(predicted, row, ranks.tolist()))
        np.testing.assert_allclose(scores.items["precision"][i], expected[:, 0], atol=1e-9)
        np.testing.assert_allclose(scores.items["recall"][i], expected[:, 1], atol=1e-9)
    tau = Taxonomy().score(space, data, generator).items["tau"]
    rows = list(dict.fromkeys(map(tuple, ranks.tolist())))
    expected_tau = [kendalltau(space.radius[list(r)].numpy(), [1, 2, 3]).statistic for r in rows]
    np.testing.assert_allclose(tau, expected_tau, atol=1e-9)


def test_a_table_without_images(tmp_path: Path) -> None:
    table = "\n".join(line.rsplit(",", 2)[0] for line in TABLE.splitlines())
    data = taxonomy(write(tmp_path, table))
    assert data.images == ()
    assert TaxonomyRetrieval().unfit(data) == "taxonomy has no images"
    assert Taxonomy().unfit(data) is None
    assert len(data.head(2).ranks) == 2


def test_constant_radii_are_undefined(tmp_path: Path) -> None:
    data = taxonomy(write(tmp_path, TABLE))
    text = torch.tensor([[1.0] if i % 2 else [-1.0] for i in range(len(data.texts))])
    space = EuclideanSpace(text, torch.randn(4, 1), torch.zeros(1))
    scores = Taxonomy().score(space, data, torch.Generator())
    assert scores.undefined == {"tau_d": "all radii are equal, as a constant encoder's are"}
    retrieval = TaxonomyRetrieval().score(space, data, torch.Generator())
    assert retrieval.undefined["recall_rank3"] == "all radii are equal, as a constant encoder's are"
    assert len(retrieval.undefined) == 8


def test_head_keeps_only_the_images_of_its_rows(tmp_path: Path) -> None:
    data = taxonomy(write(tmp_path, TABLE))
    part = data.head(2)
    assert [image.name for image in part.images] == ["1.jpg", "2.jpg"]
    assert part.texts == data.texts
    assert part.sha256 != data.sha256
    assert data.head(4) is data


def test_another_table_is_a_split(tmp_path: Path) -> None:
    write(tmp_path, TABLE, "birds")
    assert (
        taxonomy(DataOptions(places=Places.of(data_dir=tmp_path), split="birds")).split == "birds"
    )


def test_steps_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"^The steps 0 must be at least 1\.$"):
        TaxonomyRetrieval(steps=0)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("rank1,rank3\na,b\n", ":1: the columns must be rank1, rank2, ... without a gap, found "
         "rank1, rank3."),
        ("rank1\na\n", ":1: the columns must be rank1, rank2, ... without a gap, found rank1."),
        ("", ":1: the columns must be rank1, rank2, ... without a gap, found none."),
        ('rank1,rank2\na,"b\n', ":2: unexpected end of data."),
        ("rank1,rank2\n", ": the table must hold at least one row."),
        ("rank1,rank2\na,b\nc\n", ":3: the rank2 must not be empty."),
        ("rank1,rank2,image\na,b,9.jpg\n",
         ":2: the image '9.jpg' must be a file beside the table."),
    ],
)  # fmt: skip
def test_bad_tables(tmp_path: Path, table: str, problem: str) -> None:
    options = write(tmp_path, table)
    with pytest.raises(HierevalError) as raised:
        taxonomy(options)
    assert str(raised.value) == f"{tmp_path}/taxonomy/taxonomy.csv{problem}"


def test_all_problems_are_counted(tmp_path: Path) -> None:
    options = write(tmp_path, "rank1,rank2\n" + "a,\n" * 12)
    with pytest.raises(HierevalError) as raised:
        taxonomy(options)
    lines = str(raised.value).splitlines()
    assert (len(lines), lines[-1]) == (11, "... and 2 more")


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(HierevalError) as raised:
        taxonomy(DataOptions(places=Places.of(data_dir=tmp_path)))
    assert str(raised.value) == (
        f"The table of ranks must stand at '{tmp_path}/taxonomy/taxonomy.csv' with columns rank1, "
        "rank2, ... (general to specific) and, where there are pictures, image; species come from "
        "https://github.com/visipedia/inat_comp or your own list."
    )
