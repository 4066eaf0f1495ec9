"""Models by name: aliases from adapters/models.toml, plugins and the user, or
`adapter:checkpoint`."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from hiereval import lineage, registry
from hiereval.errors import HierevalError, nearest
from hiereval.hooks import folder_prefix
from hiereval.lineage import Lineage
from hiereval.places import Places
from hiereval.types import LONGEST_NAME, Adapter, LoadOptions, ModelId, is_modalities

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
    needs: Sequence[str] = ()  # extras, or --trust-remote-code
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
def known() -> dict[str, Card]:
    """Return the table of models that hiereval knows by an alias."""
    text = files("hiereval.adapters").joinpath("models.toml").read_text("utf-8")
    return {name: Card(**row) for name, row in tomllib.loads(text).items()}


def cards(places: Places) -> dict[str, Card]:
    """Return every alias: hiereval's, those of plugins, and the user's own, which come last.

    A plugin registers a table under the entry points `hiereval.models`: a mapping of alias to the
    fields of `Card`. The user's table is the file `places.aliases`.
    """
    tables = [(f"the plugin {n!r}", registry.load("models", n)) for n in registry.names("models")]
    if places.aliases is not None and places.aliases.is_file():
        tables.append((f"the file {str(places.aliases)!r}", _read(places.aliases)))
    own = {alias: _card(where, alias, row) for where, t in tables for alias, row in t.items()}
    return known() | own


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise HierevalError(
            f"The models in {str(path)!r} must be readable TOML: {error}"
        ) from error


def _card(where: str, alias: str, row: Any) -> Card:
    from pydantic import TypeAdapter, ValidationError

    fields = [field.name for field in dataclasses.fields(Card)]
    try:
        unknown = [key for key in row if key not in fields]
        if unknown:
            raise HierevalError(
                f"The model {alias!r} of {where} must have fields of {', '.join(fields)}; "
                f"{unknown[0]!r} is none.{nearest(unknown[0], fields)}"
            )
        return TypeAdapter(Card).validate_python({"description": "", **row})
    except (TypeError, ValidationError) as error:
        reason = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}" if reason else str(error)
        raise HierevalError(f"The model {alias!r} of {where}: {said}.") from error


def resolve(spec: str, places: Places) -> Resolved:
    """Turn `--model` into an adapter and a checkpoint; unknown names raise with the nearest."""
    aliases = cards(places)
    if spec in aliases:
        card = aliases[spec]
        return Resolved(card.adapter, card.checkpoint, card.revision, spec, card)
    adapter, colon, checkpoint = spec.partition(":")
    if colon and checkpoint and adapter in registry.names("adapters"):
        return Resolved(adapter, checkpoint, None, None, None)
    if colon and checkpoint and adapter in aliases:
        return Resolved(aliases[adapter].adapter, checkpoint, None, None, None)
    valid = [*aliases, *(f"{name}:" for name in registry.names("adapters"))]
    hint = nearest(adapter + colon, valid)
    if colon and not checkpoint:
        hint = " The checkpoint after the colon is missing."
    elif Path(spec).exists():
        hint = f" It is a folder: say which adapter loads it, for example 'hf-clip:{spec}'."
    elif "," in spec:
        hint = " Of several models, each has a --model of its own."
    raise HierevalError(
        f"The model {spec!r} must be a known alias or adapter:checkpoint.{hint} "
        "'hiereval ls models' and 'hiereval ls adapters' list both."
    )


def located(checkpoint: str) -> str:
    """Return a checkpoint as adapters take it: of one that is shipped, the folder it lies in."""
    if checkpoint.startswith(BUILTIN):
        return str(files(f"hiereval.{checkpoint.removeprefix(BUILTIN)}") / "checkpoint")
    return checkpoint


def open_adapter(spec: str, options: LoadOptions, model_args: Mapping[str, str]) -> Adapter:
    """Return the adapter of a model; weights stay unloaded until something is encoded."""
    found = resolve(spec, options.places)
    if options.revision is None and found.revision is not None:
        options = replace(options, revision=found.revision)
    arguments = {**(found.card.model_args if found.card else {}), **model_args}
    if "root_text" in arguments:  # of every adapter; a flag wins
        given = arguments.pop("root_text")
        options = options if options.root_text is not None else replace(options, root_text=given)
    factory = registry.load("adapters", found.adapter)
    known = _parameters(factory)
    for key in arguments:
        if known is not None and key not in known:
            raise HierevalError(
                f"The model argument {key!r} must be one that the adapter {found.adapter!r} takes "
                f"({', '.join(known) or 'none'}).{nearest(key, known)}"
            )
    place = located(found.checkpoint)
    adapter: Adapter = factory(place, options, **arguments)
    _check_contract(found.adapter, adapter)
    if options.root_text is not None:
        adapter.id = replace(adapter.id, root_text=options.root_text)
    trained = lineage_of(adapter)
    name = found.name or (trained and trained.name)
    if name:
        adapter.id = replace(adapter.id, name=name)
    _check_name(adapter.id.name)
    if found.checkpoint != place:  # where it lies is nobody else's business
        adapter.id = replace(adapter.id, checkpoint=found.checkpoint)
    return adapter


def _check_contract(name: str, adapter: Adapter) -> None:
    """Refuse what no run could ask of: an adapter that does not say who it is and what it reads."""
    model, modalities = getattr(adapter, "id", None), getattr(adapter, "modalities", None)
    if not isinstance(model, ModelId):
        wrong = f"an id, a ModelId, not {type(model).__name__}"
    elif not is_modalities(modalities):
        wrong = f"modalities, a frozenset of 'text' and perhaps 'image', not {modalities!r}"
    else:
        return
    raise HierevalError(f"The adapter {name!r} must have {wrong}.")


def _check_name(name: object) -> None:
    """Refuse now, before anything is encoded, a name that no record could hold."""
    good = isinstance(name, str) and 1 <= len(name) <= LONGEST_NAME
    try:
        good = good and bool(str(name).encode())
    except UnicodeEncodeError:
        good = False
    if not good:
        raise HierevalError(
            f"The model name {str(name)[:LONGEST_NAME]!r} must be text of 1 to {LONGEST_NAME} "
            "characters."
        )


def label(model: ModelId) -> str:
    """Return the model's name, and that its weights are random where they are."""
    return model.name if model.random_init is None else f"{model.name}-random-init"


def lineage_of(adapter: Adapter) -> Lineage | None:
    """Return what the model was fine-tuned on here, None where nothing says so."""
    checkpoint = adapter.id.checkpoint.removeprefix(folder_prefix(adapter))
    return lineage.read(Path(checkpoint).expanduser())


def _parameters(factory: object) -> list[str] | None:
    """Return the names of an adapter's own arguments; None where it takes any."""
    import inspect

    parameters = list(inspect.signature(factory).parameters.values())[2:]  # type: ignore[arg-type]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]
