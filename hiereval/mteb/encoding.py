"""What an MTEB encoder makes of a dataset: Embeddings, by MTEB's public protocol alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from hiereval.datasets import image_files
from hiereval.errors import HierevalError
from hiereval.types import Dataset, Embeddings, ImageSource, ModelId

if TYPE_CHECKING:
    from mteb import EncoderProtocol, TaskMetadata
    from PIL.Image import Image

BATCH_SIZE = 32  # where `encode_kwargs` gives none
GENERATIVE = ("captioning", "vqa")  # registered as encoders, with heads that were never trained


@dataclass(frozen=True)
class Rows:
    """A column of texts or images as a map-style dataset, which says what it holds."""

    column: str  # "text" or "image"
    values: Sequence[str] | Sequence[ImageSource] | Sequence[Image]

    @property
    def features(self) -> dict[str, str]:
        """What encoders look at to know which tower is asked."""
        return {self.column: self.column}

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> dict[str, Any]:
        value = self.values[index]
        if not isinstance(value, ImageSource):  # a text, or a picture that is open and RGB
            return {self.column: value}
        return {self.column: image_files.decode(value).convert("RGB")}


def together(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as one batch of columns."""
    return {column: [row[column] for row in rows] for column in rows[0]}


@dataclass(frozen=True)
class Encoder:
    """An MTEB model as it is asked by one task."""

    model: EncoderProtocol
    metadata: TaskMetadata
    split: str
    subset: str
    options: dict[str, Any]  # MTEB's encode_kwargs

    def embeddings(self, data: Dataset, anchors: Sequence[str], *, images: bool) -> Embeddings:
        """Return the float32 vectors of the dataset and the anchors, each input encoded once."""
        texts = list(dict.fromkeys([*data.texts, *anchors]))
        place = {text: row for row, text in enumerate(texts)}
        vectors = self.encode(Rows("text", texts))
        return Embeddings(
            model=self.model_id(vectors),
            text=vectors[[place[text] for text in data.texts]],
            image=self.encode(Rows("image", data.images)) if images else None,
            anchors={anchor: vectors[place[anchor]] for anchor in anchors},
        )

    def encode(self, rows: Rows) -> Tensor:
        """Return [n, d] float32; raises HierevalError for anything but one finite vector a row."""
        return self.given(rows).float()

    def given(self, rows: Rows) -> Tensor:
        """Return the same in the type in which the model gives it."""
        loader: DataLoader[Any] = DataLoader(
            rows,  # type: ignore[arg-type]  # map-style by duck typing, as MTEB takes it
            batch_size=int(self.options.get("batch_size", BATCH_SIZE)),
            collate_fn=together,
        )
        given: Any = self.model.encode(
            loader,
            task_metadata=self.metadata,
            hf_split=self.split,
            hf_subset=self.subset,
            **self.options,
        )
        vectors = torch.as_tensor(given).detach().cpu()
        if vectors.ndim != 2 or len(vectors) != len(rows) or not vectors.is_floating_point():
            raise HierevalError(
                f"The {rows.column} vectors of {self.name!r} must be [{len(rows)}, d] numbers, one "
                f"vector each; they are {list(vectors.shape)} {vectors.dtype}."
            )
        bad = int((~vectors.isfinite().all(dim=1)).sum())
        if bad:
            raise HierevalError(
                f"The {rows.column} vectors of {self.name!r} must be finite; {bad:,} of "
                f"{len(rows):,} are not."
            )
        return vectors

    @property
    def name(self) -> str:
        """The model's name in MTEB."""
        return str(self.model.mteb_model_meta.name)

    def model_id(self, vectors: Tensor) -> ModelId:
        """Return who made the vectors, all of them on the sphere: MTEB compares by cosine."""
        meta = self.model.mteb_model_meta
        return ModelId(
            adapter="mteb",
            name=self.name,
            checkpoint=self.name,
            revision=meta.revision,
            geometry="sphere",
            embed_dim=vectors.shape[1],
        )

    def refuse(self) -> None:
        """Raise HierevalError for a model whose vectors are not to be compared by cosine."""
        refuse(self.name, self.model.mteb_model_meta)


def refuse(name: str, meta: Any) -> None:
    """Raise HierevalError for a registered model that is not to be compared by cosine."""
    how = getattr(meta.similarity_fn_name, "value", meta.similarity_fn_name)
    if how not in (None, "cosine"):
        raise HierevalError(
            f"The model {name!r} must compare by cosine; its similarity is {how!r}."
        )
    if any(word in name.lower() for word in GENERATIVE):
        raise HierevalError(
            f"The model {name!r} must be an encoder: it is a captioning or "
            "question-answering checkpoint, whose projections were never trained."
        )
