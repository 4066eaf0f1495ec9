"""Models that another library runs as it likes: what must hold is tried once, and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval import files, fingerprint
from hiereval.errors import HierevalError
from hiereval.testing import check_vectors
from hiereval.types import Adapter, ModelId

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "conformance"  # below the cache


@dataclass(frozen=True)
class Seen:
    """What came back at first use, and what became of the checks."""

    output_dtype: str
    conformance: str


class Bare:
    """A model while it is being tried: it encodes without asking for that again."""

    def __init__(self, adapter: Adapter, dtype: str, given: Callable[..., Tensor]) -> None:
        self.modalities = adapter.modalities
        self.id = replace(adapter.id, dtype=dtype)  # how equal equal vectors are
        self.preprocess, self.text_lengths = adapter.preprocess, adapter.text_lengths
        self.given = given

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors."""
        return self.given("text", texts)

    def encode_images(self, inputs: Sequence[Any]) -> Tensor:
        """Return [n, d] float32 image vectors."""
        return self.given("image", inputs)


def known(model: ModelId, cache: Path) -> ModelId:
    """Return the identity with what was seen before, if anything was."""
    file = _file(model, cache)
    if not file.is_file():
        return model
    try:
        seen = Seen(**fingerprint.read_json(file))
    except (HierevalError, TypeError):  # damaged: it is tried again
        return model
    return replace(model, output_dtype=seen.output_dtype, conformance=seen.conformance)


def tried(model: ModelId, adapter: Adapter, output_dtype: str, cache: Path) -> ModelId:
    """Return the model's identity with the outcome of the checks, or raise with what failed.

    A text must have one vector whatever its batch, its neighbours and their order; two captions
    have two; so has a picture. `adapter` encodes without asking for this again.
    """
    checks = check_vectors(adapter)
    failed = [check for check in checks if check.passed is False]
    if failed:
        raise HierevalError(
            f"The model {model.name!r} must give each text and picture one vector; it was "
            f"not measured, because a check failed: {failed[0].name}: {failed[0].detail}."
        )
    passed = "; ".join(f"{check.name}: {check.detail}" for check in checks if check.passed)
    seen = {"output_dtype": output_dtype, "conformance": f"passed: {passed}"}
    files.write_whole(_file(model, cache), json.dumps(seen).encode())
    return replace(model, output_dtype=seen["output_dtype"], conformance=seen["conformance"])


def _file(model: ModelId, cache: Path) -> Path:
    return cache / FOLDER / f"{model.fingerprint()}.json"
