"""What a wrong class is worth in a hierarchy, slowly: sets, recursion and breadth-first search."""

from __future__ import annotations

from collections import deque

Edges = list[tuple[str, str]]  # (child, parent)


def ancestors(edges: Edges, node: str) -> set[str]:
    """The node and everything above it."""
    found = {node}
    for child, parent in edges:
        if child == node:
            found |= ancestors(edges, parent)
    return found


def depth(edges: Edges, node: str) -> int:
    return max((depth(edges, parent) + 1 for child, parent in edges if child == node), default=0)


def height(edges: Edges, node: str, classes: list[str]) -> int:
    """The longest way down to a class; ways that end elsewhere do not count."""
    ways = [
        height(edges, child, classes) + 1
        for child, parent in edges
        if parent == node and any(node in ancestors(edges, c) for c in classes)
        and any(child in ancestors(edges, c) for c in classes)
    ]  # fmt: skip
    return max(ways, default=0)


def distance(edges: Edges, start: str, end: str, classes: list[str]) -> int:
    """The fewest edges between two nodes, within what is above the classes."""
    inside = set().union(*(ancestors(edges, c) for c in classes))
    seen, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for child, parent in edges:
            for here, there in ((child, parent), (parent, child)):
                if here == node and there in inside and there not in seen:
                    seen[there] = seen[node] + 1
                    queue.append(there)
    return seen[end]


def mistake(
    edges: Edges, classes: list[str], true: str, predicted: str, count_root: bool
) -> dict[str, float]:
    common = ancestors(edges, true) & ancestors(edges, predicted)
    lowest = max(common, key=lambda n: (depth(edges, n), -height(edges, n, classes)))

    def kept(node: str) -> set[str]:
        return {n for n in ancestors(edges, node) if count_root or n == node or depth(edges, n) > 0}

    t, p = kept(true), kept(predicted)
    return {
        "tie": distance(edges, true, predicted, classes),
        "height": 0 if true == predicted else height(edges, lowest, classes),
        "depth": depth(edges, lowest),
        "jaccard": len(t & p) / len(t | p),
        "precision": len(t & p) / len(p),
        "recall": len(t & p) / len(t),
    }


def strict_mistake(edges: Edges, classes: list[str], true: str, predicted: str) -> dict[str, float]:
    """HyCoCLIP's measures: a class is not among its own ancestors, the root is."""
    t, p = ancestors(edges, true) - {true}, ancestors(edges, predicted) - {predicted}
    return {
        "tie": distance(edges, true, predicted, classes),
        "lca": len(p - t) + 1,
        "jaccard": len(t & p) / len(t | p),
        "precision": len(t & p) / len(p),
        "recall": len(t & p) / len(t),
    }
