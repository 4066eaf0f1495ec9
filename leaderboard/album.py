"""What a row's sheet shows of single items, from the samples that stand beside its records: radii
of chains for its map, and, where they are asked for, images with their paths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval.errors import HierevalError
from hiereval.leaderboard import extremes
from hiereval.leaderboard.board import Section
from hiereval.leaderboard.columns import plain
from hiereval.leaderboard.extremes import Item
from hiereval.leaderboard.paired import SamplesBeside
from hiereval.leaderboard.rows import Row
from hiereval.leaderboard.thumbnails import Thumbnails
from hiereval.leaderboard.wording import clean
from hiereval.types import Chains

if TYPE_CHECKING:
    from hiereval.places import Places
    from hiereval.samples import Samples

MOST = 12  # rows of a section that have it, the first ones
SPOKES = 48  # chains of a map

Packed = dict[str, Any]


class Album:
    """Finds samples beside records, and, with places, the images of the datasets that are there."""

    def __init__(self, beside: SamplesBeside, places: Places | None = None) -> None:
        self.beside, self.places = beside, places
        self.thumbnails = Thumbnails()
        self.missing: list[str] = []  # whole datasets without pictures, and why

    def points(self, section: Section) -> dict[int, Packed]:
        """Return the radii of a few chains of each row whose samples hold them, by its number."""
        found: dict[int, Packed] = {}
        for i, row in enumerate(section.rows):
            if len(found) < MOST and row.curve and (own := self._samples(row, "ordering")):
                radii = _radii(own, len(row.curve))
                found |= {i: radii} if radii["of"] else {}
        return found

    def pictures(self, section: Section) -> dict[int, list[Packed]] | None:
        """Return the best and worst of each row whose samples hold them; None if not asked for."""
        if self.places is None:
            return None
        found: dict[int, list[Packed]] = {}
        dataset: Chains | str | None = None
        for i, row in enumerate(section.rows):
            if len(found) == MOST:
                break
            there = [(name, self._samples(row, name)) for name in extremes.TASKS]
            if any(own for _, own in there):
                dataset = dataset or self._dataset(section, self.places)
                found[i] = [self._task(name, own, dataset) for name, own in there if own]
        return found

    def _samples(self, row: Row, task: str) -> Samples | None:
        """Return the newest samples of a row's task; of a trained probe not the shuffled ones."""
        own = [r for r in row.records if r.task.name == task and not r.probe.shuffled]
        newest = sorted(own, key=lambda record: record.timestamp, reverse=True)
        return next((found for r in newest if (found := self.beside.of(r)) is not None), None)

    def _task(self, name: str, own: Samples, dataset: Chains | str) -> Packed:
        told = extremes.TASKS[name]
        at_hand = dataset if isinstance(dataset, Chains) else None
        best, worst = extremes.extremes(told, own.scores, at_hand)
        options = [f"{k}={plain(v)}" for k, v in sorted(own.identity.task.parameters.items())]
        return {
            "task": clean(" ".join([name, *options])),
            "by": told.by,
            "seed": own.identity.probe.seed,
            "best": [self._item(item, dataset) for item in best],
            "worst": [self._item(item, dataset) for item in worst],
        }

    def _item(self, item: Item, dataset: Chains | str) -> Packed:
        placed: int | str = dataset if isinstance(dataset, str) else "no image"
        said = ""
        if isinstance(dataset, Chains) and item.image is not None:
            placed = self.thumbnails.place(dataset.sha256, dataset.images[item.image])
            said = _caption(dataset, item.image)
        path = [[step.caption, step.said] for step in item.path]
        return {
            "score": item.score,
            "path": path,
            "left": item.left_out,
            "image": placed,
            "alt": said,
        }

    def _dataset(self, section: Section, places: Places) -> Chains | str:
        """Return the section's own dataset, to the byte; else a word on why it is not at hand."""
        from hiereval.datasets import open_dataset
        from hiereval.types import DataOptions

        try:
            there = open_dataset(_spec(section, places.data), DataOptions(places=places))
        except (HierevalError, OSError) as error:
            self.missing.append(f"{section.title}: no pictures: {error}")
            return "dataset not at hand"
        if there.sha256 == section.sha256 and isinstance(there, Chains):
            return there
        self.missing.append(f"{section.title}: no pictures: the data at hand is another version.")
        return "dataset at hand is another version"


def _spec(section: Section, root: Path) -> str:
    """Return how to open a dataset by its name: registered, else a file in the data root."""
    from hiereval import registry

    if section.name in registry.names("datasets"):
        return f"{section.name}:{section.split}" if section.split else section.name
    return str(root / (Path(section.name).name or "unnamed"))


def _caption(dataset: Chains, image: int) -> str:
    """Return the most specific caption that the data gives an image: what is seen on it."""
    assert dataset.chain_image is not None
    chain = dataset.chains[dataset.chain_image.tolist().index(image)]
    return clean(dataset.texts[chain[-1]], extremes.LONGEST)


def _radii(own: Samples, tiers: int) -> Packed:
    """Return how many chains there are, and the radii [chains, tiers] of some, evenly apart."""
    n = len(own.scores.ids)
    few = min(n, SPOKES)
    details = own.scores.details or (lambda i: {})
    chains = [extremes.radii_of(details(i * n // few)) for i in range(few)]
    of = [[float(f"{r:.3g}") for r in radii] for radii in chains if len(radii) == tiers]
    return {"n": n, "of": of}
