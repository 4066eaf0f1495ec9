"""Models of MTEB's registry (Muennighoff et al., EACL 2023), run by MTEB's own wrappers.

Only its public interface is used: `get_model_meta`, `load_model`, and `encode` over a plain loader.
The wrappers choose precision, padding and preprocessing, so a model that goes this way is tried
once before it is measured.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args
from unittest import mock

from hiereval import fingerprint
from hiereval.adapters import first_use
from hiereval.adapters.image_processing import middle, to_rgb
from hiereval.adapters.transformers_weights import no_missing, quiet
from hiereval.distribution import install
from hiereval.errors import HierevalError, nearest
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from hiereval.mteb.encoding import Encoder, Rows

COMMIT = re.compile(r"[0-9a-f]{40}")
PromptType = Literal["query", "document"]
# wrappers whose vectors are not those of the registered commit
MODALITIES: tuple[Modality, ...] = ("text", "image")
LOOSE = {
    "openclip_loader": "takes no revision and computes under CUDA's autocast: "
    "'--model openclip:hf-hub:{name}' does neither",
    "blip2_loader": "takes its weights from LAVIS, whatever the commit",
}


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
        self.meta = _registered(checkpoint)
        self.prompt_type = prompt_type
        _check_options(checkpoint, options, self.meta.revision, prompt_type, insist)
        _check_kind(checkpoint, self.meta)
        remote = _runs_remote_code(self.meta)
        if remote and not options.trust_remote_code:
            raise HierevalError(
                f"The model {checkpoint!r} must be allowed to run its repository's Python code as "
                "you: --trust-remote-code. The record and the board say so."
            )
        loose = LOOSE.get(_name_of(self.meta.loader))
        if loose and insist != "true":
            raise HierevalError(
                f"The wrapper of {checkpoint!r} in MTEB {loose.format(name=checkpoint)}. "
                "'--model-args insist=true' runs it all the same."
            )
        offered = self.meta.modalities
        self.modalities: frozenset[Modality] = frozenset(m for m in MODALITIES if m in offered)
        self.id = first_use.known(self._identity(remote), options.places.cache)

    def _identity(self, remote: bool) -> ModelId:
        from hiereval.mteb.task import metadata

        meta = self.meta
        libraries = fingerprint.versions("mteb", "sentence-transformers", "transformers")
        bound = getattr(meta.loader, "keywords", {})  # of a partial
        loader = {
            "loader": _name_of(meta.loader),
            "arguments": _plain({**bound, **meta.loader_kwargs}),
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
                    f"{_line(error)}{_extra(self.meta)}"
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


def registry_rows() -> list[dict[str, Any]]:
    """Return what MTEB's registry says of its dense text and image-text models, by name."""
    mteb = _library()
    rows = [
        {
            "name": f"mteb:{meta.name}",
            "parameters": meta.n_parameters,
            "licence": meta.license,
            "open_weights": meta.open_weights,
            "modalities": sorted(meta.modalities),
            "revision": meta.revision,
            "extra": list(meta.extra_requirements_groups or ()),
            "remote_code": _runs_remote_code(meta),
        }
        for meta in mteb.get_model_metas()
        if list(meta.model_type) == ["dense"] and "text" in meta.modalities
    ]
    return sorted(rows, key=lambda row: str(row["name"]).lower())


def _library() -> Any:
    try:
        import mteb
    except ImportError as error:
        raise HierevalError(
            f"MTEB must be installed to use its models: {install('mteb')}."
        ) from error
    return mteb


def _registered(name: str) -> Any:
    mteb = _library()
    try:
        return mteb.get_model_meta(name)
    except KeyError as error:
        names = [str(meta.name) for meta in mteb.get_model_metas()]
        raise HierevalError(
            f"The model {name!r} must be one of MTEB's registry.{nearest(name, names)} "
            "'hiereval ls models --source mteb' lists them."
        ) from error


def _check_options(
    name: str, options: LoadOptions, commit: str | None, prompt_type: str | None, insist: str
) -> None:
    if insist not in ("true", "false"):
        raise HierevalError(f"The insist {insist!r} must be true or false.")
    if prompt_type not in (None, *get_args(PromptType)):
        raise HierevalError(
            f"The prompt_type {prompt_type!r} must be one of {', '.join(get_args(PromptType))}."
        )
    if options.random_init is not None:
        raise HierevalError(
            f"The random initialisation of 'mteb:{name}' must be left out: MTEB loads trained "
            "weights alone."
        )
    if options.precision != "fp32":
        raise HierevalError(
            f"The precision {options.precision!r} must be left out with 'mteb:{name}': its wrapper "
            "chooses it, and the record says what came back."
        )
    if commit is None or not COMMIT.fullmatch(commit):
        raise HierevalError(
            f"The model {name!r} must have a commit in MTEB's registry; it has {commit!r}, which "
            "says nothing about its weights."
        )
    if options.revision not in (None, commit):
        raise HierevalError(
            f"The revision {options.revision!r} must be the one that MTEB registers for {name!r}: "
            f"{commit}."
        )


def _check_kind(name: str, meta: Any) -> None:
    from hiereval.mteb.encoding import refuse

    if not meta.open_weights:
        raise HierevalError(
            f"The model {name!r} must have open weights to be run here; 'hiereval inputs' writes "
            "what a closed one has to embed."
        )
    if list(meta.model_type) != ["dense"] or "text" not in meta.modalities:
        raise HierevalError(
            f"The model {name!r} must give one vector for each text; MTEB registers it as "
            f"{', '.join(meta.model_type)} for {', '.join(sorted(meta.modalities))}."
        )
    refuse(name, meta)


def _runs_remote_code(meta: Any) -> bool:
    """Whether a wrapper asks for a repository's code, in its arguments or in its own source."""
    if _says(meta.loader_kwargs, "trust_remote_code"):
        return True
    try:
        source = inspect.getsource(getattr(meta.loader, "func", meta.loader))
    except (OSError, TypeError):
        return False
    return re.search(r"trust_remote_code\W+True", source) is not None


def _says(value: Any, key: str) -> bool:
    if not isinstance(value, Mapping):
        return False
    return bool(value.get(key)) or any(_says(part, key) for part in value.values())


def _plain(value: Any) -> Any:
    """Return a loader's argument as JSON that is the same in every process."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return _name_of(value) if callable(value) else str(value)


def _name_of(loader: Callable[..., Any] | None) -> str:
    return str(getattr(getattr(loader, "func", loader), "__name__", type(loader).__name__))


def _extra(meta: Any) -> str:
    groups = ",".join(meta.extra_requirements_groups or ())
    return f" pip install 'mteb[{groups}]'" if groups else ""


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
