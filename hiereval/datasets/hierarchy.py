"""A class hierarchy: the graph of is-a edges above a set of classes, and distances in it.

WordNet gives some classes two parents, so this is a rooted acyclic graph, not always a tree.
Depth and height are longest paths, so that an ancestor is always less deep than what is below it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """The classes and all their ancestors; every parent stands before its children."""

    nodes: tuple[str, ...]
    edges: np.ndarray  # [e, 2] (child, parent) indices into nodes
    classes: np.ndarray  # [c] index into nodes

    @cached_property
    def ancestors(self) -> Bool[np.ndarray, "v v"]:
        """Which nodes are above each node; every node is above itself."""
        above = np.eye(len(self.nodes), dtype=bool)
        for child, parents in self._parents():
            above[child] |= above[parents].any(axis=0)
        return above

    @cached_property
    def depth(self) -> Int64[np.ndarray, " v"]:
        """The longest path from the root, in edges."""
        depth = np.zeros(len(self.nodes), dtype=np.int64)
        for child, parents in self._parents():
            depth[child] = depth[parents].max() + 1
        return depth

    @cached_property
    def height(self) -> Int64[np.ndarray, " v"]:
        """The longest path down to a class, in edges; 0 for a class without classes below it."""
        height = np.zeros(len(self.nodes), dtype=np.int64)
        for child, parents in reversed(self._parents()):
            height[parents] = np.maximum(height[parents], height[child] + 1)
        return height

    @cached_property
    def distance(self) -> Int64[np.ndarray, "c c"]:
        """The shortest path between two classes, up or down, in edges."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import dijkstra

        v = len(self.nodes)
        graph = coo_array((np.ones(len(self.edges)), tuple(self.edges.T)), shape=(v, v)).tocsr()
        paths = dijkstra(graph, directed=False, indices=self.classes, unweighted=True)
        return paths[:, self.classes].astype(np.int64)

    def lowest_common_ancestor(
        self, a: Int64[np.ndarray, " m"], b: Int64[np.ndarray, " m"]
    ) -> Int64[np.ndarray, " m"]:
        """Return the deepest node above both classes (of several, the one of least height)."""
        order = self.depth * (int(self.height.max()) + 1) - self.height
        common = self.ancestors[self.classes[a]] & self.ancestors[self.classes[b]]
        lowest: np.ndarray = np.where(common, order, np.iinfo(np.int64).min).argmax(axis=1)
        return lowest

    def _parents(self) -> list[tuple[int, np.ndarray]]:
        """Return (child, its parents) for all nodes but the root, general first."""
        order = np.argsort(self.edges[:, 0], kind="stable")
        children, starts = np.unique(self.edges[order, 0], return_index=True)
        groups = np.split(self.edges[order, 1], starts[1:]) if len(children) else []
        return list(zip(children.tolist(), groups, strict=True))


def build(edges: Iterable[tuple[str, str]], classes: Sequence[str], source: str) -> Hierarchy:
    """Return the hierarchy of (child, parent) edges above these classes.

    Edges elsewhere are dropped. Raises HierevalError, naming the source, for a class without an
    edge, a cycle, and anything but one root.
    """
    parents: dict[str, set[str]] = {}
    known: set[str] = set()
    for child, parent in edges:
        parents.setdefault(child, set()).add(parent)
        known |= {child, parent}
    absent = [name for name in classes if name not in known]
    if absent:
        raise HierevalError(
            f"{source}: the hierarchy must hold every class; {len(absent):,} are missing, "
            f"the first is {absent[0]!r}."
        )
    graph = _above(parents, classes)
    try:
        nodes = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise HierevalError(f"{source}: the edges must not run in a circle: "
                            f"{' > '.join(error.args[1])}.") from error  # fmt: skip
    roots = sorted(node for node in nodes if not graph[node])
    if len(roots) != 1:
        shown = ", ".join(map(repr, roots[:3])) + (", ..." if len(roots) > 3 else "")
        raise HierevalError(
            f"{source}: the hierarchy must have one root above all classes; it has "
            f"{len(roots):,} ({shown})."
        )
    index = {node: i for i, node in enumerate(nodes)}
    pairs = [(index[child], index[parent]) for child in nodes for parent in graph[child]]
    return Hierarchy(
        nodes=nodes,
        edges=np.array(pairs, dtype=np.int64).reshape(-1, 2),
        classes=np.array([index[name] for name in classes], dtype=np.int64),
    )


def _above(parents: Mapping[str, set[str]], classes: Sequence[str]) -> dict[str, list[str]]:
    """Return node -> sorted parents for the classes and everything above them."""
    graph: dict[str, list[str]] = {}
    todo = sorted(classes)
    while todo:
        node = todo.pop()
        if node not in graph:
            graph[node] = sorted(parents.get(node, ()))
            todo.extend(graph[node])
    return dict(sorted(graph.items()))


def read_edges(path: Path) -> list[tuple[str, str]]:
    """Return the (child, parent) rows of a CSV file with that header."""
    rows = read_pairs(path, ("child", "parent"))
    return [(child, parent) for _, child, parent in rows]


def read_pairs(path: Path, header: tuple[str, str]) -> list[tuple[int, str, str]]:
    """Return (line, first, second) of a two-column CSV file; a bad line raises, named."""
    rows = []
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        if tuple(cell.strip() for cell in next(reader, [])) != header:
            raise HierevalError(f"{path}:1: the header must be '{','.join(header)}'.")
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) != 2 or not all(cells):
                raise HierevalError(
                    f"{path}:{reader.line_num}: the line must hold a {header[0]} and a "
                    f"{header[1]}, found {','.join(row)!r}."
                )
            rows.append((reader.line_num, cells[0], cells[1]))
    except csv.Error as error:
        raise HierevalError(f"{path}:{reader.line_num}: {error}.") from error
    return rows
