"""Models by name: aliases from adapters/models.toml, or `adapter:checkpoint`."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from hiereval import registry
from hiereval.errors import HierevalError, nearest
from hiereval.finetune import CARD, MODEL
from hiereval.types import Adapter, LoadOptions, ModelId

BUILTIN = "builtin:"  # a checkpoint that is shipped in hiereval/<name>/checkpoint


@dataclass(frozen=True, kw_only=True)
class Card:
    """One row of models.toml: what an alias stands for, as far as a public source says."""

    adapter: str
    checkpoint: str
    description: str
    revision: str | None = None  # pinned commit; None is resolved at run time and recorded
    parameters: int | None = None
    context_length: int | None = None
    licence: str | None = None
    paper: str | None = None
    link: str | None = None
    model_args: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Resolved:
    """Which adapter loads which checkpoint, and what to call the result."""

    adapter: str
    checkpoint: str
    revision: str | None
    name: str | None  # the alias; None lets the adapter name the model
    card: Card | None


@cache
def cards() -> dict[str, Card]:
    """Return the table of known models by alias."""
    text = files("hiereval.adapters").joinpath("models.toml").read_text("utf-8")
    return {name: Card(**row) for name, row in tomllib.loads(text).items()}


def resolve(spec: str) -> Resolved:
    """Turn `--model` into an adapter and a checkpoint; unknown names raise with the nearest."""
    if spec in cards():
        card = cards()[spec]
        return Resolved(card.adapter, _local(card.checkpoint), card.revision, spec, card)
    adapter, colon, checkpoint = spec.partition(":")
    if colon and checkpoint and adapter in registry.names("adapters"):
        return Resolved(adapter, _local(checkpoint), None, None, None)
    if colon and checkpoint and adapter in cards():
        return Resolved(cards()[adapter].adapter, _local(checkpoint), None, None, None)
    known = [*cards(), *(f"{name}:" for name in registry.names("adapters"))]
    hint = nearest(adapter + colon, known)
    if colon and not checkpoint:
        hint = " The checkpoint after the colon is missing."
    elif Path(spec).exists():
        hint = f" It is a folder: say which adapter loads it, for example 'hf-clip:{spec}'."
    raise HierevalError(
        f"The model {spec!r} must be a known alias or adapter:checkpoint.{hint} "
        "'hiereval ls models' and 'hiereval ls adapters' list both."
    )


def _local(checkpoint: str) -> str:
    if checkpoint.startswith(BUILTIN):
        return str(files(f"hiereval.{checkpoint.removeprefix(BUILTIN)}") / "checkpoint")
    return checkpoint


def open_adapter(spec: str, options: LoadOptions, model_args: Mapping[str, str]) -> Adapter:
    """Return the adapter of a model; weights stay unloaded until something is encoded."""
    found = resolve(spec)
    if options.revision is None and found.revision is not None:
        options = dataclasses.replace(options, revision=found.revision)
    arguments = {**(found.card.model_args if found.card else {}), **model_args}
    factory = registry.load("adapters", found.adapter)
    known = _parameters(factory)
    for key in arguments:
        if known is not None and key not in known:
            raise HierevalError(
                f"The model argument {key!r} must be one that the adapter {found.adapter!r} takes "
                f"({', '.join(known) or 'none'}).{nearest(key, known)}"
            )
    adapter: Adapter = factory(found.checkpoint, options, **arguments)
    name = found.name or _finetuning(adapter)
    if name is not None:
        adapter.id = dataclasses.replace(adapter.id, name=name)
    return adapter


def _finetuning(adapter: Adapter) -> str | None:
    """Return the name of the fine-tuning whose `model` folder this is; None if it is of none."""
    prefix = getattr(adapter, "folder_prefix", "")
    folder = Path(adapter.id.checkpoint.removeprefix(prefix)).absolute()
    if folder.name == MODEL and (folder.parent / CARD).is_file():
        return folder.parent.name
    return None


def download(spec: str, revision: str | None = None) -> ModelId:
    """Fetch a model's files into the hub's cache, so that a run needs no network."""
    return open_adapter(spec, LoadOptions(revision=revision), {}).id


def _parameters(factory: object) -> list[str] | None:
    """Return the names of an adapter's own arguments; None where it takes any."""
    import inspect

    parameters = list(inspect.signature(factory).parameters.values())[2:]  # type: ignore[arg-type]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]
