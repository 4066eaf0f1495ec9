"""Class hierarchies against a slow oracle on random graphs, and their refusals."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from reference import hierarchy as slow

from hiereval.datasets.hierarchy import build, read_edges
from hiereval.errors import HierevalError


def random_graph(seed: int) -> tuple[list[tuple[str, str]], list[str]]:
    """A root, 12 inner nodes with one or two parents, 8 classes; some inner nodes lead nowhere."""
    draw = random.Random(seed)
    names = ["root"] + [f"n{i}" for i in range(12)]
    edges = [
        (child, parent)
        for i, child in enumerate(names[1:], start=1)
        for parent in draw.sample(names[:i], min(i, draw.choice([1, 1, 2])))
    ]
    classes = [f"c{i}" for i in range(8)]
    edges += [(c, p) for c in classes for p in draw.sample(names, draw.choice([1, 1, 2]))]
    return edges, classes


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_agree_with_the_oracle(seed: int) -> None:
    edges, classes = random_graph(seed)
    found = build(edges, classes, "test")
    for i, node in enumerate(found.nodes):
        above = {found.nodes[j] for j in np.flatnonzero(found.ancestors[i])}
        assert above == slow.ancestors(edges, node)
        assert found.depth[i] == slow.depth(edges, node)
        assert found.height[i] == slow.height(edges, node, classes)
    for a, first in enumerate(classes):
        for b, second in enumerate(classes):
            assert found.distance[a, b] == slow.distance(edges, first, second, classes)


def test_a_class_may_stand_above_another() -> None:
    found = build([("dog", "animal"), ("pug", "dog")], ["dog", "pug"], "test")
    assert found.nodes == ("animal", "dog", "pug")
    assert found.height.tolist() == [2, 1, 0]
    assert found.distance.tolist() == [[0, 1], [1, 0]]
    lowest = found.lowest_common_ancestor(np.array([0, 1, 1]), np.array([1, 0, 1]))
    assert [found.nodes[i] for i in lowest] == ["dog", "dog", "pug"]


@pytest.mark.parametrize(
    ("edges", "classes", "message"),
    [
        (
            [("dog", "animal")],
            ["dog", "cat", "cow"],
            "edges.csv: the hierarchy must hold every class; 2 are missing, the first is 'cat'.",
        ),
        (
            [("a", "b"), ("b", "c"), ("c", "a")],
            ["a"],
            "edges.csv: the edges must not run in a circle: a > c > b > a.",
        ),
        (
            [("dog", "animal"), ("car", "vehicle")],
            ["dog", "car"],
            "edges.csv: the hierarchy must have one root above all classes; it has 2 "
            "('animal', 'vehicle').",
        ),
    ],
)
def test_what_is_no_hierarchy_is_refused(
    edges: list[tuple[str, str]], classes: list[str], message: str
) -> None:
    with pytest.raises(HierevalError) as raised:
        build(edges, classes, "edges.csv")
    assert str(raised.value) == message


def test_edges_file(tmp_path: Path) -> None:
    path = tmp_path / "hierarchy.csv"
    path.write_text('child,parent\ndog, animal\n\n"big cat",animal\n')
    assert read_edges(path) == [("dog", "animal"), ("big cat", "animal")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ":1: the header must be 'child,parent'."),
        ("parent,child\n", ":1: the header must be 'child,parent'."),
        ("child,parent\ndog\n", ":2: the line must hold a child and a parent, found 'dog'."),
        ('child,parent\ndog,"animal\n', ":2: unexpected end of data."),
        ("child,parent\ndog,\n", ":2: the line must hold a child and a parent, found 'dog,'."),
    ],
)
def test_bad_edges_files(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "hierarchy.csv"
    path.write_text(text)
    with pytest.raises(HierevalError) as raised:
        read_edges(path)
    assert str(raised.value) == f"{path}{problem}"
