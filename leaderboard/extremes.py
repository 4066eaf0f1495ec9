"""The items that a model does best and worst on, by a score that its samples hold, and the path of
captions of each, general to specific."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hiereval.leaderboard.wording import clean, number
from hiereval.types import Chains, Scores

EACH = 3  # best, and as many worst
_STEPS = 8  # captions of a path
LONGEST = 160  # characters of a caption
_FARTHEST = 1e9  # a radius that is drawn


@dataclass(frozen=True)
class Step:
    """A caption of a path, what is said of it, and whether it is one that was looked for."""

    caption: str
    said: str
    own: bool = True


@dataclass(frozen=True)
class Told:
    """How the items of a task are ranked and shown."""

    keys: tuple[str, ...]  # per-item scores, the first decides; then the item's place in the data
    by: str  # the same in words
    path: Callable[[Mapping[str, Any]], list[Step]]  # of an item's details
    image: Callable[[Chains, Scores, int], int | None]  # of item i, by its place in the dataset


@dataclass(frozen=True)
class Item:
    """One item: its score in words, its path, its image's place in the dataset."""

    score: str
    path: list[Step]
    left_out: int  # captions of the path
    image: int | None


def extremes(told: Told, scores: Scores, dataset: Chains | None) -> tuple[list[Item], list[Item]]:
    """Return the best items, best first, and of the others the worst, worst first.

    Items whose score is not finite are left out, and of equal ones the earlier comes first.
    """
    columns = [scores.items[key].tolist() for key in told.keys if key in scores.items]
    if len(columns) < len(told.keys):
        return [], []
    of = {i: values for i, values in enumerate(zip(*columns, strict=True)) if _finite(values)}
    best = sorted(of, key=lambda i: ([-value for value in of[i]], i))[:EACH]
    others = [i for i in of if i not in best]
    worst = sorted(others, key=lambda i: (of[i], i))[:EACH]

    def item(i: int) -> Item:
        said = ", ".join(f"{k} {number(v)}" for k, v in zip(told.keys, of[i], strict=True))
        details = scores.details(i) if scores.details else None
        path = told.path(details) if isinstance(details, Mapping) else []
        kept = _kept(path)
        image = told.image(dataset, scores, i) if dataset else None
        return Item(said, kept, len(path) - len(kept), image)

    return [item(i) for i in best], [item(i) for i in worst]


def _finite(values: Sequence[Any]) -> bool:
    return all(isinstance(value, float) and abs(value) <= 1 for value in values)


def _kept(path: list[Step]) -> list[Step]:
    """Return a path of a few steps: those looked for before others, the first before the last."""
    order = sorted(range(len(path)), key=lambda k: (not path[k].own, k))
    return [path[k] for k in sorted(order[:_STEPS])]


def radii_of(details: object) -> list[float]:
    """Return a chain's radii from an item's details; none where they are no numbers."""
    radii = details.get("radii") if isinstance(details, Mapping) else None
    sound = isinstance(radii, list) and all(
        type(radius) in (int, float) and abs(radius) < _FARTHEST for radius in radii
    )
    return list(map(float, radii)) if sound and radii else []


def _chain(details: Mapping[str, Any]) -> list[Step]:
    """Return a chain's own captions, and where one does not lie farther out than the one before."""
    captions, radii = details.get("captions"), radii_of(details)
    if not isinstance(captions, list) or len(captions) != len(radii):
        return []
    path = []
    for k, (caption, radius) in enumerate(zip(captions, radii, strict=True)):
        inward = k > 0 and radius <= radii[k - 1]
        said = f"{number(radius)}{', not farther out' * inward}"
        path.append(Step(clean(caption, LONGEST), said))
    return path


def _predicted(details: Mapping[str, Any]) -> list[Step]:
    """Return the captions that a model gives an image, and which tier of its chain each is."""
    steps = details.get("predictions")
    if not isinstance(steps, list):
        return []
    path = []
    for step in steps:
        if not isinstance(step, dict) or "caption" not in step:
            return []
        tier = step.get("tier")
        own = type(tier) is int and 0 < tier < 100
        said = f"its tier {tier}" if own else "not its own"
        path.append(Step(clean(step["caption"], LONGEST), said, own))
    return path


def _image_of_chain(dataset: Chains, scores: Scores, i: int) -> int | None:
    """Return the image of chain i: items are the chains, in the data's order."""
    if dataset.chain_image is None or len(scores.ids) != len(dataset.chains):
        return None
    return int(dataset.chain_image[i])


def _image_named(dataset: Chains, scores: Scores, i: int) -> int | None:
    """Return the image that the item is named by."""
    return next((k for k, one in enumerate(dataset.images) if one.name == scores.ids[i]), None)


TASKS: Mapping[str, Told] = {
    "retrieval": Told(
        ("recall", "precision"), "recall, then precision, of the radius sweep", _predicted,
        _image_named,
    ),
    "ordering": Told(("tau",), "Kendall's tau-b of radius and tier", _chain, _image_of_chain),
}  # fmt: skip
