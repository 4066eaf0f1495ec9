"""`hiereval doctor`: what is installed, where things are kept, what is missing."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from hiereval.commands import options
from hiereval.hooks import Fetches

if TYPE_CHECKING:
    from hiereval.session import Session

EXTRAS = {
    "siglip": ("sentencepiece", "google.protobuf"),
    "text": ("sentence_transformers",),
    "wordnet": ("nltk",),
    "mteb": ("mteb",),
}


NEEDS = {"mteb": ("mteb",), "st": ("text",)}  # of an adapter, whatever the model
BYTES = 4  # of a parameter: weights are float32 in memory


@click.command(
    epilog="""\b
Examples:
  hiereval doctor
  hiereval doctor --model qwen3-vl-embedding-2b
"""
)
@click.option("--model", metavar="MODEL", help="Say what is missing for this one; fetches nothing.")
@options.model_args
@options.revision
@click.option("--trust-remote-code", is_flag=True, help="As in 'hiereval run'.")
@options.places_options
@options.plugins_option
def command(
    session: Callable[[], Session],
    model: str | None,
    model_args: dict[str, str],
    revision: str | None,
    trust_remote_code: bool,
) -> None:
    """Say what is installed, where data and embeddings are kept, and what is missing.

    With --model, what that model lacks: extras, a flag, files, before anything is downloaded. The
    exit code is 1 if something is missing.
    """
    if model is not None:
        if _lacking(session(), model, model_args, revision, trust_remote_code):
            raise SystemExit(1)
        return
    _everything(session)


def _lacking(
    session: Session, spec: str, arguments: dict[str, str], revision: str | None, trust: bool
) -> bool:
    """Print what a model is and what it lacks here; return whether it lacks anything."""
    from hiereval import distribution, models
    from hiereval.errors import HierevalError

    found = models.resolve(spec, session.places)
    card = found.card
    _line("model", f"{spec}: {found.adapter}:{found.checkpoint}")
    if card is not None and card.parameters:
        size = f"{card.parameters / 1e6:,.1f} M, {card.parameters * BYTES / 1e9:,.1f} GB in float32"
        _line("parameters", size)
    lacking = False
    for need in dict.fromkeys([*NEEDS.get(found.adapter, ()), *(card.needs if card else ())]):
        if need == "--trust-remote-code":
            there, way = (
                session.options.trust_remote_code,
                "runs its repository's Python code as you: say so with the flag",
            )
        else:
            there = all(_importable(module) for module in EXTRAS[need])
            way = f"missing: {distribution.install(need)}"
        _line(f"needs {need}", "there" if there else way)
        lacking |= not there
    if lacking:
        return True
    places = replace(session.places, offline=True)
    options = replace(session.options, places=places, trust_remote_code=trust)
    try:
        opened = replace(session, options=options).adapter(spec, arguments, revision=revision)
    except HierevalError as error:
        _line("files", str(error))
        return True
    if isinstance(opened, Fetches):
        _line("files", f"fetched at first use, or by 'hiereval download {spec}'")
        return False
    _line("files", f"here{f', at {opened.id.revision}' if opened.id.revision else ''}")
    return False


def _everything(session: Callable[[], Session]) -> None:
    import torch
    from huggingface_hub import constants

    from hiereval import distribution, registry
    from hiereval.environment import environment, packages

    device = "cuda" if torch.cuda.is_available() else "cpu"
    here = environment(device)
    _line("hiereval", f"{here.hiereval}, Python {here.python}")
    foreign = distribution.foreign_version()
    if foreign is not None:
        _line(
            "warning",
            f"another project's distribution {distribution.FOREIGN!r} ({foreign}) is installed and "
            f"also brings a module hiereval: pip uninstall {distribution.FOREIGN}, then "
            f"pip install --force-reinstall --no-deps {distribution.NAME}",
        )
    _line("device", f"{here.device}{f' ({here.driver})' if here.driver else ''}")
    _line("packages", ", ".join(f"{name} {version}" for name, version in packages().items()))
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if not _importable(m)]
        _line(f"extra {extra}", distribution.install(extra) if missing else "installed")
    places = session().places
    cache, root = places.cache, places.data
    used = sum(f.stat().st_size for f in cache.rglob("*") if f.is_file()) if cache.exists() else 0
    parent = next(p for p in [cache, *cache.parents] if p.exists())
    free = shutil.disk_usage(parent).free
    _line("cache", f"{cache} ({used / 1e6:,.0f} MB used, {free / 1e9:,.0f} GB free)")
    there = (root / "hierarcaps" / "hierarcaps_test.csv").is_file()
    _line("data root", f"{root}{'' if there else ' (no HierarCaps: hiereval download hierarcaps)'}")
    _line("hub", "offline" if places.offline else "online, as far as settings say")
    _line("hub's files", str(places.hub or constants.HF_HUB_CACHE))
    aliases = places.aliases
    _line("own aliases", f"{aliases}{'' if aliases and aliases.is_file() else ' (none yet)'}")
    for kind in registry.KINDS:
        broken = []
        for name in registry.names(kind):
            try:
                registry.load(kind, name)
            except Exception as error:
                broken.append(str(error))
        _line(kind, f"{len(registry.names(kind))} registered, {len(broken)} broken")
        for problem in broken:
            click.echo(f"  {problem}")


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _line(what: str, value: str) -> None:
    click.echo(f"{click.style(f'{what:14}', bold=True)} {value}")
