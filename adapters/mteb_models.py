"""Models of MTEB's registry (Muennighoff et al., EACL 2023), run by MTEB's own wrappers.

Only its public interface is used: `get_model_meta`, `load_model`, and `encode` over a plain loader.
The wrappers choose precision, padding and preprocessing, so a model that goes this way is tried
once before it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from unittest import mock

from hiereval import fingerprint
from hiereval.adapters import first_use
from hiereval.adapters.image_processing import middle, to_rgb
from hiereval.adapters.mteb_registry import checked, extra, name_of, plain, registered
from hiereval.adapters.transformers_weights import no_missing, quiet
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from hiereval.mteb.encoding import Encoder, Rows

MODALITIES: tuple[Modality, ...] = ("text", "image")


class MtebModel:
    """Any dense text or image-text model of MTEB's registry, by the name it has there.

    `prompt_type` is `query` or `document` where a model reads the two differently; `insist=true`
    runs a wrapper that does not keep to its commit.
    """

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        prompt_type: str | None = None,
        insist: str = "false",
    ) -> None:
        self.options = options
        self.meta = registered(checkpoint)
        self.prompt_type = prompt_type
        remote = checked(checkpoint, self.meta, options, prompt_type, insist)
        offered = self.meta.modalities
        self.modalities: frozenset[Modality] = frozenset(m for m in MODALITIES if m in offered)
        self.id = first_use.known(self._identity(remote), options.places.cache)

    def _identity(self, remote: bool) -> ModelId:
        from hiereval.mteb.task import metadata

        meta = self.meta
        libraries = fingerprint.versions("mteb", "sentence-transformers", "transformers")
        bound = getattr(meta.loader, "keywords", {})  # of a partial
        loader = {
            "loader": name_of(meta.loader),
            "arguments": plain({**bound, **meta.loader_kwargs}),
        }
        asked = metadata("image-entailment", "hierarcaps").model_dump(mode="json")
        pixels = {"convert": "RGB", **fingerprint.versions("torchvision", "pillow")}
        dims = meta.embed_dim
        return ModelId(
            adapter="mteb",
            name=str(meta.name).rpartition("/")[2],
            checkpoint=str(meta.name),
            revision=meta.revision,
            # MTEB loads by name and commit, and the commit is a hash of the weights' hashes
            weights_sha256=fingerprint.json_sha256({"name": meta.name, "commit": meta.revision}),
            config_sha256=fingerprint.json_sha256({**loader, **libraries}),
            preprocess_fingerprint=fingerprint.json_sha256({**pixels, **libraries}),
            tokenizer_fingerprint=fingerprint.json_sha256(
                {"task": asked, "prompt type": self.prompt_type, **libraries}
            ),
            dtype="the wrapper's own",
            embed_dim=dims if isinstance(dims, int) else None,
            n_params=meta.n_parameters,
            trust_remote_code=remote,
        )

    @cached_property
    def encoder(self) -> Encoder:
        """Return the model as MTEB wraps it; loads the weights."""
        from hiereval.mteb.encoding import Encoder
        from hiereval.mteb.task import metadata

        options: dict[str, Any] = {"show_progress_bar": False}
        if self.prompt_type is not None:
            from mteb.types import PromptType as Kind

            options["prompt_type"] = Kind(self.prompt_type)
        asked = metadata("image-entailment", "hierarcaps")
        return Encoder(self._load(), asked, "test", "default", options)

    def fetch(self) -> None:
        """Load the model once, which fetches its files."""
        self.encoder  # noqa: B018

    def _load(self) -> Any:
        from huggingface_hub import constants

        places = self.options.places
        with ExitStack() as settings:
            settings.enter_context(quiet())
            settings.enter_context(no_missing(self.id.checkpoint))
            if places.offline:
                settings.enter_context(mock.patch.object(constants, "HF_HUB_OFFLINE", True))
            if places.hub is not None:
                settings.enter_context(
                    mock.patch.object(constants, "HF_HUB_CACHE", str(places.hub))
                )
            try:
                return self.meta.load_model(device=self.options.device)
            except ImportError as error:
                raise HierevalError(
                    f"The model {self.id.checkpoint!r} must have what MTEB loads it with: "
                    f"{_line(error)}{extra(self.meta)}"
                ) from error
            except HierevalError:
                raise
            except Exception as error:  # every wrapper fails in its own way
                raise HierevalError(
                    f"The model {self.id.checkpoint!r} must load in MTEB: {_line(error)}"
                ) from error

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of characters: MTEB counts no tokens."""
        return [len(text) for text in texts]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors, as MTEB's wrapper gives them."""
        return self._checked()._given("text", texts)

    def preprocess(self, image: Image) -> Image:
        """Return the picture in RGB; the wrapper does the rest."""
        return middle(to_rgb(image))

    def encode_images(self, inputs: Sequence[Image]) -> Tensor:
        """Return [n, d] float32 image vectors, as MTEB's wrapper gives them."""
        return self._checked()._given("image", inputs)

    def _checked(self) -> MtebModel:
        """Return self, tried before its first vector."""
        if self.id.conformance is None:
            given = self._raw("text", ["a bird"]).dtype
            computed = _weights_dtype(self.encoder.model) or given
            shorter = min(given, computed, key=lambda dtype: dtype.itemsize)
            bare = first_use.Bare(self, _named(shorter), self._given)
            said = _named(given) + (f" (weights {_named(computed)})" if computed != given else "")
            self.id = first_use.tried(self.id, bare, said, self.options.places.cache)
        return self

    def _given(self, column: str, values: Sequence[Any]) -> Tensor:
        return self._raw(column, values).float()

    def _raw(self, column: str, values: Sequence[Any]) -> Tensor:
        """Return the vectors in the type that the wrapper gives; all of them in one batch."""
        from hiereval.mteb.encoding import Rows

        rows: Rows = Rows(column, values)
        encoder = self.encoder
        options = {**encoder.options, "batch_size": len(values)}
        return replace(encoder, options=options).given(rows)


def _weights_dtype(wrapper: Any) -> torch.dtype | None:
    """Return the type of the weights inside a wrapper, the shortest; None where none is seen."""
    from torch import nn

    networks = [part for part in vars(wrapper).values() if isinstance(part, nn.Module)]
    types = {w.dtype for network in networks for w in network.parameters() if w.is_floating_point()}
    return min(types, key=lambda dtype: dtype.itemsize, default=None)


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
