"""A session: where things are, how models load, what is shown. Made once, asked by everything.

A run, a fit, a fine-tuning, a score and the controls are functions of (session, what is asked).
It is the only caller of the store and of `embed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval import models, streaming
from hiereval.batch_sizes import batches
from hiereval.datasets import open_dataset
from hiereval.embed import ALONE, EmbedStats, embed, encode
from hiereval.places import Places
from hiereval.processes import Processes
from hiereval.store import Store
from hiereval.types import Adapter, DataOptions, Dataset, Embeddings, LoadOptions
from hiereval.upkeep import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from hiereval.datasets.image_parts import HeldImage
    from hiereval.errors import HierevalError
    from hiereval.types import Precision

Report = Callable[[str, str, int, int], None]  # (model, stage, done, of how many; 0: unknown)


def silent(model: str, stage: str, done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One user's settings, and the datasets that were opened under them."""

    options: LoadOptions = field(default_factory=LoadOptions)  # revision and seed: each model's own
    batch_size: int | None = None  # images a forward pass; None: by device
    report: Report = silent
    processes: Processes = ALONE  # that encode together, this one among them
    opened: dict[str, Dataset] = field(default_factory=dict)

    @staticmethod
    def of(
        *,
        device: str = "auto",
        precision: Precision = "fp32",
        batch_size: int | None = None,
        cache_dir: str | Path | None = None,
        data_dir: str | Path | None = None,
        offline: bool = False,
        trust_remote_code: bool = False,
        root_text: str | None = None,
        report: Report = silent,
    ) -> Session:
        """Return the session of these settings; raises HierevalError for a device there is not."""
        from hiereval.environment import pick_device

        options = LoadOptions(
            device=pick_device(device),
            precision=precision,
            trust_remote_code=trust_remote_code,
            root_text=root_text,
            places=Places.of(cache_dir, data_dir, offline),
        )
        return Session(options=options, batch_size=batch_size, report=report)

    def among(self, processes: Processes) -> Session:
        """Return the session of one of several processes; of those that work together the
        first alone shows progress."""
        return replace(
            self,
            options=replace(self.options, device=processes.device(self.options.device)),
            report=self.report if processes.first or processes.apart else silent,
            processes=processes,
        )

    @property
    def places(self) -> Places:
        """Where things are."""
        return self.options.places

    def adapter(
        self,
        spec: str,
        arguments: Mapping[str, str] | None = None,
        *,
        revision: str | None = None,
        random_init: int | None = None,
    ) -> Adapter:
        """Return the adapter of `--model`; its weights stay unloaded until something is encoded."""
        options = replace(self.options, revision=revision, random_init=random_init)
        return models.open_adapter(spec, options, arguments or {})

    def at_hand(self, spec: str) -> Dataset:
        """Return the dataset if it is here already; raises HierevalError, and fetches nothing."""
        places = replace(self.places, offline=True)
        return self.opened.get(spec) or open_dataset(spec, DataOptions(places=places))

    def dataset(self, spec: str) -> Dataset:
        """Return the dataset of `--dataset`, read and checked once."""
        if spec not in self.opened:
            self.opened[spec] = open_dataset(spec, DataOptions(places=self.places))
        return self.opened[spec]

    def vectors(
        self, adapter: Adapter, data: Dataset, *, images: bool, anchors: Sequence[str] = ()
    ) -> tuple[Embeddings, EmbedStats]:
        """Return a dataset's vectors, encoding only what the store lacks."""
        return embed(adapter, data, images=images, **self._how(adapter, anchors))

    def encode(
        self, adapter: Adapter, data: Dataset, *, images: bool, anchors: Sequence[str] = ()
    ) -> None:
        """Encode this process's part of what the store lacks, and read nothing back."""
        encode(adapter, data, images=images, **self._how(adapter, anchors))

    def encoded_images(
        self,
        adapter: Adapter,
        images: Iterable[HeldImage],
        broken: Callable[[HierevalError], None],
    ) -> Iterator[tuple[list[HeldImage], Tensor]]:
        """Yield batches of images that are read once, and their vectors; nothing is stored."""
        device = self.options.device
        batch = batches(self.batch_size, device)["images"]
        return streaming.images(adapter, images, batch, device, self.processes.cpus, broken)

    def encoded_texts(self, adapter: Adapter, texts: Sequence[str]) -> Tensor:
        """Return the vectors of texts, float32 [n, d]; nothing is stored."""
        device = self.options.device
        return streaming.texts(adapter, texts, batches(self.batch_size, device)["texts"], device)

    def _how(self, adapter: Adapter, anchors: Sequence[str]) -> dict[str, Any]:
        """Return what encoding and reading back are both told."""
        name = models.label(adapter.id)
        self.report(name, "loading", 0, 0)
        return {
            "anchors": tuple(dict.fromkeys(anchors)),
            "store": Store(self.places.cache),
            "batch_size": self.batch_size,
            "device": self.options.device,
            "progress": self.progress(name),
            "processes": self.processes,
        }

    def progress(self, model: str) -> Progress:
        """Return the callback (stage, done, total) for one model's work."""
        return lambda stage, done, total: self.report(model, stage, done, total)
