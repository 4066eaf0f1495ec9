"""Paired draws of a board's models, from the samples that stand beside their records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hiereval import samples
from hiereval.errors import HierevalError
from hiereval.records import Record

if TYPE_CHECKING:
    import numpy as np

DRAWS = 10_000


class SamplesBeside:
    """Looks for samples where `hiereval run --log-samples` keeps them: samples/ beside records."""

    def __init__(self, results: Iterable[Path], draws: int = DRAWS, seed: int = 0) -> None:
        self.folders = [path if path.is_dir() else path.parent for path in results]
        self.draws, self.seed = draws, seed
        self._read = cache(samples.read)

    def __call__(self, records: Sequence[Record], metric: str) -> np.ndarray | None:
        """Return the metric's resampled values [b, records] over the items that all share.

        None if a record has no samples here, or if they share no item. Only then is torch loaded.
        """
        paths = [self._path(record) for record in records]
        there = [path for path in paths if path is not None]
        if len(there) < len(records):
            return None
        from hiereval.compare import replicates
        from hiereval.matching import shared

        sides = shared([self._in(path, r) for path, r in zip(there, records, strict=True)])
        if not sides[0].scores.ids:
            return None
        known = samples.metrics_of(records[0].task, sides[0].scores.items)
        wanted = [one for one in known if one.name == metric]
        drawn = replicates(sides, wanted, seed=self.seed, resamples=self.draws)
        return drawn[metric].numpy() if wanted else None

    def of(self, record: Record) -> samples.Samples | None:
        """Return a record's samples; None where there are none."""
        path = self._path(record)
        return None if path is None else self._in(path, record)

    def _path(self, record: Record) -> Path | None:
        places = (samples.path_of(folder, record) for folder in self.folders)
        return next((path for path in places if path.is_file()), None)

    def _in(self, path: Path, record: Record) -> samples.Samples:
        for found in self._read(path):
            if found.identity.record_id == record.record_id:
                return found
        raise HierevalError(f"The samples {str(path)!r} must be of the record {record.record_id}.")
