"""Class folders, WordNet and BREEDS, on miniatures with the published files' formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hiereval.datasets.breeds import Rule, breeds, select
from hiereval.datasets.hierarchy import build
from hiereval.datasets.imagenet import imagenet_wordnet
from hiereval.errors import HierevalError
from hiereval.places import Places
from hiereval.types import DataOptions

# a WordNet of six nouns: word -> parents
NOUNS = {
    "entity": [], "animal": ["entity"], "bird": ["animal"], "european_robin": ["bird"],
    "pug": ["animal", "toy"], "toy": ["entity"],
}  # fmt: skip


def write_wordnet(folder: Path) -> dict[str, str]:
    """Write the six nouns in WordNet's format; return word -> wnid (offsets of the lines)."""
    folder.mkdir(parents=True)

    def line(word: str, offsets: dict[str, int]) -> str:
        pointers = "".join(f" @ {offsets[p]:08d} n 0000" for p in NOUNS[word])
        return (
            f"{offsets[word]:08d} 00 n 01 {word} 0 {len(NOUNS[word]):03d}{pointers} | a {word}  \n"
        )

    offsets, place = dict.fromkeys(NOUNS, 0), 0
    for word in NOUNS:
        offsets[word] = place
        place += len(line(word, offsets))
    (folder / "data.noun").write_text("".join(line(word, offsets) for word in NOUNS))
    (folder / "lexnames").write_text("00\tnoun.Tops\t1\n")
    index = [f"{word} n 1 1 @ 1 0 {offset:08d}  \n" for word, offset in offsets.items()]
    (folder / "index.noun").write_text("".join(index))
    for pos in ("noun", "verb", "adj", "adv"):
        (folder / f"index.{pos}").touch()
        (folder / f"{pos}.exc").write_text("")
        (folder / f"data.{pos}").touch()
    for name in ("index.sense", "cntlist.rev"):
        (folder / name).write_text("")
    return {word: f"n{offset:08d}" for word, offset in offsets.items()}


def write_images(folder: Path, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i}.JPEG").write_bytes(b"")
        (folder / name / "notes.txt").write_text("no image")


def test_hierarchy_and_names_come_from_wordnet(tmp_path: Path) -> None:
    wnid = write_wordnet(tmp_path / "wordnet")
    robin, pug = wnid["european_robin"], wnid["pug"]
    write_images(tmp_path / "imagenet" / "val", {robin: 2, pug: 1})
    data = imagenet_wordnet(DataOptions(places=Places.of(data_dir=tmp_path)))
    assert data.classes == (robin, pug)
    assert data.texts == (
        "a photo of a european robin.", "a photo of a pug.", "european robin", "pug"
    )  # fmt: skip
    assert data.class_prompts.tolist() == [[0, 1], [2, 3]]
    # the first image of each class, then the second: a head stays balanced
    assert [image.name for image in data.images] == [
        f"{robin}/0.JPEG",
        f"{pug}/0.JPEG",
        f"{robin}/1.JPEG",
    ]
    assert data.labels.tolist() == [0, 1, 0]
    # robin - bird - animal - pug
    assert data.hierarchy.distance.tolist() == [[0, 3], [3, 0]]
    assert set(data.hierarchy.nodes) == set(wnid.values())
    assert data.superclasses == ()
    assert data.image_source == "the user's files in imagenet/val"
    assert data.head(2).labels.tolist() == [0, 1]
    assert data.head(2).sha256 != data.sha256
    assert data.head(3) is data


def test_a_users_hierarchy_names_superclasses_and_templates(tmp_path: Path) -> None:
    folder = tmp_path / "imagenet"
    write_images(folder / "val", {"robin": 1, "pug": 1, "rock": 1})
    (folder / "hierarchy.csv").write_text(
        "child,parent\nrobin,bird\npug,dog\nbird,thing\ndog,thing\nrock,thing\n"
    )
    (folder / "names.csv").write_text("class,name\nrobin,red robin\n")
    (folder / "superclasses.txt").write_text("dog\nbird\n")
    (folder / "templates.txt").write_text("art of the {}.\n\n")
    data = imagenet_wordnet(DataOptions(places=Places.of(data_dir=tmp_path)))
    assert data.templates == ("a photo of a {}.", "{}", "art of the {}.")
    assert [data.texts[i] for i in data.class_prompts[2]] == [
        "art of the pug.", "art of the red robin.", "art of the rock."
    ]  # fmt: skip
    assert [data.texts[i] for i in data.superclass_prompts[1]] == ["dog", "bird"]
    assert data.superclass_of.tolist() == [0, 1, -1]
    before = data.sha256
    (folder / "hierarchy.csv").write_text(
        "child,parent\nrobin,bird\npug,dog\nbird,thing\ndog,thing\nrock,dog\n"
    )
    assert imagenet_wordnet(DataOptions(places=Places.of(data_dir=tmp_path))).sha256 != before


def refusal(root: Path, split: str | None = None) -> str:
    with pytest.raises(HierevalError) as raised:
        imagenet_wordnet(DataOptions(places=Places.of(data_dir=root), split=split))
    return str(raised.value)


def test_missing_images_and_folders(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"ImageNet's images must stand in '{tmp_path}/imagenet/val', one folder a class "
        "(n01440764, ...): https://image-net.org/download.php has them; --data-dir names another "
        "data root."
    )
    assert "imagenet/train'" in refusal(tmp_path, "train")
    wnid = write_wordnet(tmp_path / "wordnet")
    write_images(tmp_path / "imagenet" / "val", {wnid["pug"]: 0})
    assert refusal(tmp_path) == (
        f"The class folder '{tmp_path}/imagenet/val/{wnid['pug']}' must hold at least one image "
        "(.bmp, .gif, .jpeg, .jpg, .png, .ppm, .tif, .tiff, .webp)."
    )


def test_missing_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    write_images(tmp_path / "imagenet" / "val", {"n00000000": 1})
    assert refusal(tmp_path) == (
        f"WordNet 3.0 must stand in '{tmp_path}/wordnet' (data.noun, ...) or in nltk's data "
        "folder, where 'python -m nltk.downloader wordnet' puts it; or give a hierarchy of your "
        f"own in '{tmp_path}/imagenet/hierarchy.csv' (child,parent)."
    )


def test_wordnet_where_nltk_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wnid = write_wordnet(tmp_path / "nltk" / "corpora" / "wordnet")
    monkeypatch.setattr("nltk.data.path", [str(tmp_path / "nltk")])
    write_images(tmp_path / "imagenet" / "val", {wnid["pug"]: 1})
    assert imagenet_wordnet(DataOptions(places=Places.of(data_dir=tmp_path))).texts == (
        "a photo of a pug.",
        "pug",
    )


@pytest.mark.parametrize("name", ["goldfish", "n99999999", "n00000001"])
def test_a_class_that_is_no_noun_of_wordnet(tmp_path: Path, name: str) -> None:
    write_wordnet(tmp_path / "wordnet")
    write_images(tmp_path / "imagenet" / "val", {name: 1})
    assert refusal(tmp_path) == (
        f"The class {name!r} must be a noun of WordNet 3.0, like n01440764 ({tmp_path}/wordnet)."
    )


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("superclasses.txt", "dog\ncat\n", ":2: the superclass 'cat' must be above a class."),
        (
            "superclasses.txt",
            "dog\nthing\n",
            ": the class 'pug' must be below one superclass, not 'dog' and 'thing'.",
        ),
        ("templates.txt", "a {}\na {name}\n", ":2: the template 'a {name}' must have one {} for "
         "the class name."),
        ("names.csv", "id,name\n", ":1: the header must be 'class,name'."),
    ],
)  # fmt: skip
def test_bad_files_beside_the_images(tmp_path: Path, file: str, text: str, problem: str) -> None:
    folder = tmp_path / "imagenet"
    write_images(folder / "val", {"pug": 1})
    (folder / "hierarchy.csv").write_text("child,parent\npug,dog\ndog,thing\n")
    (folder / file).write_text(text)
    assert refusal(tmp_path) == f"{folder / file}{problem}"


# --- BREEDS --------------------------------------------------------------------------------------


def write_breeds(folder: Path) -> None:
    """Root > n00004258 > a > b > c > two superclasses of five classes and one of two (depth 5)."""
    folder.mkdir(parents=True)
    edges = ["n00001740 n00004258", "n00004258 a", "a b", "b c"]
    classes = []
    for superclass, count in (("s1", 5), ("s0", 5), ("s2", 2)):
        edges.append(f"c {superclass}")
        for i in range(count):
            classes.append(f"{superclass}-{i}")
            edges.append(f"{superclass} {superclass}-{i}")
    info = [[n, wnid, f"{wnid} name, another"] for n, wnid in enumerate([*classes, "unused"])]
    (folder / "dataset_class_info.json").write_text(json.dumps(info))
    (folder / "class_hierarchy.txt").write_text("\n".join(edges) + "\n")
    (folder / "node_names.txt").write_text("s0\tsnake, serpent\ns1\tbear\n")


def test_breeds_chooses_superclasses_and_classes_as_published(tmp_path: Path) -> None:
    write_breeds(tmp_path / "breeds")
    write_images(tmp_path / "imagenet" / "val", {f"s{s}-{i}": 1 for s in (0, 1) for i in range(5)})
    data = breeds(DataOptions(places=Places.of(data_dir=tmp_path), split="living17"))
    # Superclasses by id; s2 has too few classes. From each five, four drawn without replacement
    # by one RandomState(2), superclass after superclass.
    draw = np.random.RandomState(2)
    first, second = draw.permutation(5)[:4], draw.permutation(5)[:4]
    assert (first.tolist(), second.tolist()) == ([2, 4, 1, 3], [4, 1, 0, 2])
    assert data.superclasses == ("s0", "s1")
    assert data.classes == tuple([f"s0-{i}" for i in first] + [f"s1-{i}" for i in second])
    assert data.superclass_of.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [data.texts[i] for i in data.superclass_prompts[1]] == ["snake", "bear"]
    assert data.texts[data.class_prompts[1, 0]] == "s0-2 name"
    assert (data.name, data.split, len(data.images)) == ("breeds", "living17", 8)
    assert data.hierarchy.distance.max() == 4


def test_breeds_rule_by_hand() -> None:
    edges = [("x", "root"), ("y", "root"), ("a", "x"), ("b", "x"), ("c", "y")]
    found = build(edges, ["a", "b", "c"], "test")
    assert {k: sorted(v) for k, v in select(found, Rule(1, 1, None)).items()} == {
        "x": [*select(found, Rule(1, 1, "x"))["x"]], "y": ["c"]
    }  # fmt: skip
    assert {k: sorted(v) for k, v in select(found, Rule(1, 2, None)).items()} == {"x": ["a", "b"]}
    with pytest.raises(HierevalError) as raised:
        select(found, Rule(4, 2, None))
    assert str(raised.value) == (
        "The BREEDS hierarchy must have superclasses of depth 4 with at least 2 classes; it has "
        "none."
    )


def test_breeds_refusals(tmp_path: Path) -> None:
    with pytest.raises(HierevalError) as raised:
        breeds(DataOptions(places=Places.of(data_dir=tmp_path), split="living-17"))
    assert str(raised.value) == (
        "The split 'living-17' of breeds must be one of entity13, entity30, living17, "
        "nonliving26. Did you mean 'living17'?"
    )
    with pytest.raises(HierevalError) as raised:
        breeds(DataOptions(places=Places.of(data_dir=tmp_path)))
    assert str(raised.value) == (
        f"BREEDS must have its '{tmp_path}/breeds/dataset_class_info.json': take "
        "dataset_class_info.json, class_hierarchy.txt, node_names.txt from "
        "imagenet_class_hierarchy/modified at https://github.com/MadryLab/BREEDS-Benchmarks; "
        "--data-dir names another data root."
    )
    write_breeds(tmp_path / "breeds")
    (tmp_path / "breeds" / "class_hierarchy.txt").write_text("a b\nc\n")
    with pytest.raises(HierevalError) as raised:
        breeds(DataOptions(places=Places.of(data_dir=tmp_path)))
    assert str(raised.value) == (
        f"{tmp_path}/breeds/class_hierarchy.txt:2: the line must have two columns, found 'c'."
    )
