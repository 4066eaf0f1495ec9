"""`hiereval doctor`: what is installed, where things are kept, what is missing."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from hiereval.commands import options

if TYPE_CHECKING:
    from hiereval.session import Session

EXTRAS = {
    "siglip": ("sentencepiece", "google.protobuf"),
    "text": ("sentence_transformers",),
    "wordnet": ("nltk",),
    "mteb": ("mteb",),
}


@click.command()
@options.places_options
def command(session: Callable[[], Session]) -> None:
    """Say what is installed, where data and embeddings are kept, and what is missing."""
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
