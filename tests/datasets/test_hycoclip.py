"""HyCoCLIP's files: edges, names and prompts are read, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.at import options

from hiereval.datasets.hycoclip import RELEASED_SHA256, hycoclip_wordnet, read_isa
from hiereval.errors import HierevalError
from hiereval.tasks.hycoclip_wordnet import HycoclipWordnet

EDGES = "thing animal\nanimal bird\nanimal pug\nthing car\nbird robin\n"
NAMES = 'CLASS_NAMES = dict(\n  mnist=["0"],\n  imagenet=["a car", "a pug", "a robin"],\n)\n'
CONFIG = 'print(1 / 0)\nevaluator = L(Made)(prompts={"imagenet": ["art of the {}.", "{} !"]})\n'


def write(root: Path, **files: str) -> Path:
    texts = {"imagenet_isa.txt": EDGES, "class_names.py": NAMES, **files}
    for name, text in texts.items():
        (root / "hycoclip").mkdir(exist_ok=True)
        (root / "hycoclip" / name).write_text(text)
    for image in ("robin/0.JPEG", "car/0.JPEG", "robin/1.JPEG"):
        (root / "imagenet" / "val" / image).parent.mkdir(parents=True, exist_ok=True)
        (root / "imagenet" / "val" / image).touch()
    return root


def refusal(root: Path) -> str:
    with pytest.raises(HierevalError) as raised:
        hycoclip_wordnet(options(root))
    return str(raised.value)


def test_everything_is_read_and_nothing_is_run(tmp_path: Path) -> None:
    write(tmp_path, **{"eval_hierarchical_metrics.py": CONFIG})
    data = hycoclip_wordnet(options(tmp_path))
    assert data.classes == ("car", "pug", "robin")
    assert data.templates == ("art of the {}.", "{} !")
    assert data.texts == (
        "art of the a car.", "art of the a pug.", "art of the a robin.",
        "a car !", "a pug !", "a robin !",
    )  # fmt: skip
    # a class without images stays a candidate; the first image of each class comes first
    assert [image.name for image in data.images] == ["car/0.JPEG", "robin/0.JPEG", "robin/1.JPEG"]
    assert data.labels.tolist() == [0, 2, 2]
    assert data.revision is None
    assert data.hierarchy.distance.tolist() == [[0, 3, 4], [3, 0, 3], [4, 3, 0]]


def test_the_classes_alone_need_no_names_and_no_pictures(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "hycoclip" / "class_names.py").unlink()
    data = hycoclip_wordnet(options(tmp_path, "classes"))
    assert (data.images, data.image_source, data.labels.tolist()) == ((), "", [0, 1, 2])
    uniform = HycoclipWordnet().blind(data)["uniform"]
    assert uniform.ids == ["car", "pug", "robin"]
    assert uniform.items["tie"].tolist() == [7 / 3, 2.0, 7 / 3]


def test_own_names_and_prompts(tmp_path: Path) -> None:
    write(tmp_path)
    assert hycoclip_wordnet(options(tmp_path)).texts[0] == "a photo of a a car."
    (tmp_path / "hycoclip" / "class_names.py").unlink()
    assert refusal(tmp_path) == (
        f"The class names must stand in '{tmp_path}/hycoclip/class_names.py', the released file, "
        f"or in '{tmp_path}/imagenet/names.csv' (class,name); 3 of 3 classes have none, the first "
        "is 'car'."
    )
    (tmp_path / "imagenet" / "names.csv").write_text("class,name\ncar,car\npug,pug\nrobin,robin\n")
    (tmp_path / "hycoclip" / "templates.txt").write_text("the {}\n\n")
    assert hycoclip_wordnet(options(tmp_path)).texts == ("the car", "the pug", "the robin")


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "hycoclip" / "imagenet_isa.txt"
    assert refusal(tmp_path).startswith(f"HyCoCLIP's edges of WordNet must stand at '{path}': ")
    write(tmp_path, **{"imagenet_isa.txt": "thing animal\nanimal\n"})
    assert refusal(tmp_path) == (
        f"{path}:2: the line must be a parent and a child, found 'animal'."
    )
    path.write_text("\n")
    assert refusal(tmp_path) == f"{path}: the file must hold at least one edge."
    path.write_text(EDGES + "robin animal\nbird pug\n")
    assert refusal(tmp_path).startswith(f"{path}: the edges must not run in a circle: ")
    path.write_text(EDGES + "stuff rock\n")
    assert refusal(tmp_path) == (
        f"{path}: the hierarchy must have one root above all classes; it has 2 ('stuff', 'thing')."
    )
    write(tmp_path, **{"class_names.py": 'names = dict(imagenet=["a car"])'})
    assert refusal(tmp_path) == (
        f"{tmp_path}/hycoclip/class_names.py: the list 'imagenet' must name the 3 classes of the "
        "edges, it has 1 names."
    )
    for text in ('names = dict(imagenet=["a", 1])', "imagenet = 3", 'dict(imagenet=open("x"))'):
        write(tmp_path, **{"class_names.py": text})
        assert refusal(tmp_path) == (
            f"{tmp_path}/hycoclip/class_names.py: the file must give a list of strings under the "
            "key 'imagenet'."
        )
    write(tmp_path, **{"class_names.py": "a b"})
    assert "class_names.py: the file must be Python source: " in refusal(tmp_path)
    write(tmp_path, **{"templates.txt": "a {}\na photo\n"})
    assert refusal(tmp_path) == (
        f"{tmp_path}/hycoclip/templates.txt:2: the template 'a photo' must have one {{}} for the "
        "class name."
    )
    (tmp_path / "hycoclip" / "templates.txt").unlink()
    (tmp_path / "imagenet" / "val" / "rock").mkdir()
    assert refusal(tmp_path) == (
        f"The folders in '{tmp_path}/imagenet/val' must be classes of the edges (car, ...); 1 are "
        "not, the first is 'rock'."
    )


@pytest.mark.data
def test_the_released_file_alone_gives_the_graph(hycoclip_edges: Path) -> None:
    import hashlib

    assert hashlib.sha256(hycoclip_edges.read_bytes()).hexdigest() == RELEASED_SHA256
    edges = read_isa(hycoclip_edges)
    nodes = {node for edge in edges for node in edge}
    parents = {parent for _, parent in edges}
    assert (len(edges), len(nodes), len(parents)) == (1371, 1372, 372)
