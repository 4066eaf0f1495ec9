"""An adapter whose network never loads: what the store lacks is an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from hiereval.errors import HierevalError
from hiereval.hooks import ByName
from hiereval.types import Adapter, Modality, ModelId


class StoredOnly:
    """Stands for an adapter whose every vector must be in the store already."""

    def __init__(self, adapter: Adapter) -> None:
        self.id: ModelId = adapter.id
        self.modalities: frozenset[Modality] = adapter.modalities

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Refuse: asked for the texts that the store lacks."""
        self._refuse("texts", len(texts), texts[0])

    def encode_texts(self, texts: Sequence[str]) -> NoReturn:
        """Refuse."""
        self._refuse("texts", len(texts), texts[0])

    def preprocess(self, image: Any) -> NoReturn:
        """Refuse: asked for an image that the store lacks."""
        self._refuse("images")

    def encode_images(self, inputs: Sequence[Any]) -> NoReturn:
        """Refuse."""
        self._refuse("images", len(inputs))

    def _refuse(self, what: str, n: int | None = None, first: str | None = None) -> NoReturn:
        count = "" if n is None else f"{n:,} "
        named = "" if first is None else f", the first is {first!r}"
        raise HierevalError(
            f"The store must hold every vector of {self.id.name!r}; {count}{what} are missing"
            f"{named}. 'hiereval run' encodes them."
        )


class StoredByName(StoredOnly):
    """The same where the adapter's images are stored under their names."""

    def encode_image_names(self, names: Sequence[str]) -> NoReturn:
        """Refuse."""
        self._refuse("images", len(names))


def stored_only(adapter: Adapter) -> Adapter:
    """Return what stands for an adapter whose every vector must be in the store already."""
    return StoredByName(adapter) if isinstance(adapter, ByName) else StoredOnly(adapter)
