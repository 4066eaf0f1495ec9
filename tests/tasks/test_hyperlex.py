"""HyperLex on a miniature worked by hand, and its reader on good and bad files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from reference.spearman import spearman

from hiereval.errors import HierevalError
from hiereval.estimates import bootstrap
from hiereval.geometry import EuclideanSpace, SphereSpace, normalise
from hiereval.places import Places
from hiereval.tasks.hyperlex import HyperLex, hyperlex
from hiereval.types import DataOptions, Scores

HEADER = "WORD1 WORD2 POS TYPE AVG_SCORE AVG_SCORE_0_10 STD SCORES..\n"
MINIATURE = """\
dog animal N hyp-1 6.00 10.00 0.00 6 6
puppy animal N hyp-2 5.00 8.33 0.00 5 5
animal dog N r-hyp-1 1.00 1.67 0.00 1 1
rock animal N no-rel 0.00 0.00 0.00 0 0
run move V hyp-1 4.00 6.67 0.00 4 4
move run V r-hyp-1 2.00 3.33 0.00 2 2
"""
VECTORS = {
    "animal": (1.0, 0.0), "dog": (2.0, 0.0), "puppy": (3.0, 0.0), "rock": (0.0, 2.0),
    "move": (0.0, 1.0), "run": (0.0, 3.0),
}  # fmt: skip


def write(root: Path, text: str) -> DataOptions:
    (root / "hyperlex").mkdir()
    (root / "hyperlex" / "hyperlex-all.txt").write_text(text)
    return DataOptions(places=Places.of(data_dir=root))


def score(options: DataOptions, vectors: dict[str, tuple[float, float]]) -> Scores:
    data = hyperlex(options)
    text = torch.tensor([vectors[word] for word in data.texts])
    return HyperLex().score(EuclideanSpace(text, None, torch.zeros(2)), data, torch.Generator())


def values(scores: Scores) -> dict[str, float | None]:
    found = bootstrap(HyperLex.metrics, scores, seed=0, resamples=20)
    return {name: estimate.value for name, estimate in found.items()}


def test_miniature_by_hand(tmp_path: Path) -> None:
    # Root (0, 0). Xi(animal, dog): (1, 0) . (1, 0) -> 0; the same for puppy and (run, move).
    # Reversed pairs point back at the root: pi. Xi(animal, rock): (1, 0) . (-1, 2) / sqrt(5).
    scores = score(write(tmp_path, HEADER + MINIATURE), VECTORS)
    rock = -math.acos(-1 / math.sqrt(5))
    assert scores.items["angle"].tolist() == pytest.approx(
        [0.0, 0.0, -math.pi, rock, 0.0, -math.pi], abs=1e-6
    )
    assert scores.items["radius"].tolist() == [1.0, 2.0, -1.0, 1.0, 2.0, -2.0]
    # Ranks about their mean. Nouns, ratings 6 5 1 0: 1.5 0.5 -0.5 -1.5 (squares 5).
    # angle 1 1 -1.5 -0.5 (squares 4.5): 1.5 + 0.5 + 0.75 + 0.75 = 3.5
    # radius 0 1.5 -1.5 0 (squares 4.5): 0.75 + 0.75 = 1.5
    # Verbs: two pairs in the right order by both. All, ratings 6 5 1 0 4 2:
    # 2.5 1.5 -1.5 -2.5 0.5 -0.5 (squares 17.5)
    # angle 1.5 1.5 -2 -0.5 1.5 -2 (squares 15): 3.75 + 2.25 + 3 + 1.25 + 0.75 + 1 = 12
    # radius 0 2 -1.5 0 2 -2.5 (squares 16.5): 3 + 2.25 + 1 + 1.25 = 7.5
    assert values(scores) == pytest.approx(
        {
            "spearman_angle_all": 12 / math.sqrt(15 * 17.5),
            "spearman_angle_nouns": 3.5 / math.sqrt(4.5 * 5),
            "spearman_angle_verbs": 1.0,
            "spearman_radius_all": 7.5 / math.sqrt(16.5 * 17.5),
            "spearman_radius_nouns": 1.5 / math.sqrt(4.5 * 5),
            "spearman_radius_verbs": 1.0,
        },
        abs=1e-9,
    )
    assert scores.undefined == {}
    assert scores.ids[0] == "dog animal N"
    assert scores.details is not None
    assert scores.details(4) == {
        "specific": "run", "general": "move", "pos": "V", "relation": "hyp-1"
    }  # fmt: skip


def test_agrees_with_the_oracle_on_a_random_sphere(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    data = hyperlex(write(tmp_path, HEADER + MINIATURE))
    text = normalise(torch.randn(len(data.texts), 5, generator=generator, dtype=torch.float64))
    root = normalise(torch.randn(5, generator=generator, dtype=torch.float64))
    scores = HyperLex().score(SphereSpace(text, None, root), data, generator)
    angles, radii = [], []
    for x, y in zip(data.specific.tolist(), data.general.tolist(), strict=True):
        a, b, r = text[y].tolist(), text[x].tolist(), root.tolist()
        out = [p - q for p, q in zip(a, r, strict=True)]
        on = [p - q for p, q in zip(b, a, strict=True)]
        dot = math.fsum(p * q for p, q in zip(out, on, strict=True))
        angles.append(-math.acos(dot / (math.hypot(*out) * math.hypot(*on))))
        radii.append(math.dist(b, r) - math.dist(a, r))
    rating = data.rating.tolist()
    found = values(scores)
    assert found["spearman_angle_all"] == pytest.approx(spearman(angles, rating), abs=1e-9)
    assert found["spearman_radius_all"] == pytest.approx(spearman(radii, rating), abs=1e-9)
    assert found["spearman_angle_nouns"] == pytest.approx(
        spearman(angles[:4], rating[:4]), abs=1e-9
    )


def test_constant_vectors_are_undefined(tmp_path: Path) -> None:
    scores = score(write(tmp_path, HEADER + MINIATURE), dict.fromkeys(VECTORS, (1.0, 0.0)))
    assert set(values(scores).values()) == {None}
    assert (
        scores.undefined["spearman_angle_all"] == "minus the exterior angle is defined for 0 pairs"
    )
    assert scores.undefined["spearman_radius_verbs"] == (
        "the difference of the radii is the same for all pairs"
    )


def test_a_pair_with_equal_vectors_is_left_out_of_the_angle(tmp_path: Path) -> None:
    options = write(tmp_path, HEADER + MINIATURE)
    scores = score(options, {**VECTORS, "puppy": VECTORS["animal"]})
    found = bootstrap(HyperLex.metrics, scores, seed=0, resamples=20)
    assert found["spearman_angle_nouns"].n == 3
    assert found["spearman_radius_nouns"].n == 4
    # dog 0, animal-dog -pi, rock -2.03; ratings 6 1 0: ranks 3 1 2 and 3 2 1, rho = 1 - 12 / 24
    assert found["spearman_angle_nouns"].value == pytest.approx(0.5, abs=1e-9)


def test_nouns_only(tmp_path: Path) -> None:
    scores = score(write(tmp_path, HEADER + "".join(MINIATURE.splitlines(True)[:4])), VECTORS)
    assert scores.undefined == {
        "spearman_angle_verbs": "there are no verbs", "spearman_radius_verbs": "there are no verbs"
    }  # fmt: skip


def test_head_keeps_the_first_pairs_and_changes_the_hash(tmp_path: Path) -> None:
    data = hyperlex(write(tmp_path, HEADER + MINIATURE))
    part = data.head(2)
    assert part.rating.tolist() == [6.0, 5.0]
    assert part.sha256 != data.sha256
    assert data.head(6) is data
    assert HyperLex().unfit(data.head(1)) == "a rank correlation needs two pairs"


def test_missing_data_names_the_path_and_the_source(tmp_path: Path) -> None:
    with pytest.raises(HierevalError) as raised:
        hyperlex(DataOptions(places=Places.of(data_dir=tmp_path)))
    assert str(raised.value) == (
        f"HyperLex must stand at '{tmp_path}/hyperlex/hyperlex-all.txt': take hyperlex-all.txt "
        "from hyperlex-data.zip at https://github.com/cambridgeltl/hyperlex; --data-dir names "
        "another data root."
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ":1: the header must begin with 'WORD1 WORD2 POS TYPE AVG_SCORE'."),
        (MINIATURE, ":1: the header must begin with 'WORD1 WORD2 POS TYPE AVG_SCORE'."),
        (HEADER, ": the file must hold at least one word pair."),
        (HEADER + "dog animal N\n", ":2: the line must have at least 5 columns, found 3."),
        (HEADER + "dog animal A hyp-1 6.0\n", ":2: the POS 'A' must be N or V."),
        (
            HEADER + MINIATURE + "\ncat animal N hyp-1 six 10\n",
            ":9: the AVG_SCORE 'six' must be a number from 0 to 6.",
        ),
        (
            HEADER + "cat animal N hyp-1 9.5 10\n",
            ":2: the AVG_SCORE '9.5' must be a number from 0 to 6.",
        ),
    ],
)
def test_bad_files_are_named_with_the_line(tmp_path: Path, text: str, problem: str) -> None:
    options = write(tmp_path, text)
    with pytest.raises(HierevalError) as raised:
        hyperlex(options)
    assert str(raised.value) == f"{tmp_path}/hyperlex/hyperlex-all.txt{problem}"


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(HierevalError, match=r"^The split 'dev' of hyperlex must be 'all'\.$"):
        hyperlex(DataOptions(places=Places.of(data_dir=tmp_path), split="dev"))


def test_rotating_the_space_and_reordering_the_pairs_change_nothing(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    data = hyperlex(write(tmp_path, HEADER + MINIATURE))
    text = normalise(torch.randn(len(data.texts), 5, generator=generator, dtype=torch.float64))
    root = normalise(torch.randn(5, generator=generator, dtype=torch.float64))
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64)).Q
    before = HyperLex().score(SphereSpace(text, None, root), data, generator)
    turned = HyperLex().score(SphereSpace(text @ turn, None, root @ turn), data, generator)
    assert values(turned) == pytest.approx(values(before), abs=1e-9)
    order = torch.randperm(len(data.rating), generator=generator)
    moved = Scores(
        [before.ids[i] for i in order], {key: v[order] for key, v in before.items.items()}
    )
    assert values(moved) == values(before)
