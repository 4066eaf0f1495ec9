"""MTEB's registry: what it says of a model, and which of its models can be run here."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from hiereval.distribution import install
from hiereval.errors import HierevalError, nearest
from hiereval.types import LoadOptions

COMMIT = re.compile(r"[0-9a-f]{40}")
PromptType = Literal["query", "document"]
# wrappers whose vectors are not those of the registered commit
LOOSE = {
    "openclip_loader": "takes no revision and computes under CUDA's autocast: "
    "'--model openclip:hf-hub:{name}' does neither",
    "blip2_loader": "takes its weights from LAVIS, whatever the commit",
}


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


def registered(name: str) -> Any:
    """Return what MTEB registers of a model."""
    mteb = _library()
    try:
        return mteb.get_model_meta(name)
    except KeyError as error:
        names = [str(meta.name) for meta in mteb.get_model_metas()]
        raise HierevalError(
            f"The model {name!r} must be one of MTEB's registry.{nearest(name, names)} "
            "'hiereval ls models --source mteb' lists them."
        ) from error


def checked(
    name: str, meta: Any, options: LoadOptions, prompt_type: str | None, insist: str
) -> bool:
    """Return whether a model runs its repository's code; raise if it cannot, or may not, be run."""
    _check_options(name, options, meta.revision, prompt_type, insist)
    _check_kind(name, meta)
    remote = _runs_remote_code(meta)
    if remote and not options.trust_remote_code:
        raise HierevalError(
            f"The model {name!r} must be allowed to run its repository's Python code as you: "
            "--trust-remote-code. The record and the board say so."
        )
    loose = LOOSE.get(name_of(meta.loader))
    if loose and insist != "true":
        raise HierevalError(
            f"The wrapper of {name!r} in MTEB {loose.format(name=name)}. "
            "'--model-args insist=true' runs it all the same."
        )
    return remote


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


def plain(value: Any) -> Any:
    """Return a loader's argument as JSON that is the same in every process."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return name_of(value) if callable(value) else str(value)


def name_of(loader: Callable[..., Any] | None) -> str:
    """Return the name of a function, also of one whose arguments are bound."""
    return str(getattr(getattr(loader, "func", loader), "__name__", type(loader).__name__))


def extra(meta: Any) -> str:
    """Say how to install what MTEB loads a model with."""
    groups = ",".join(meta.extra_requirements_groups or ())
    return f" pip install 'mteb[{groups}]'" if groups else ""
