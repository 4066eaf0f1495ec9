"""`hiereval doctor`: what is installed, where things are kept, what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil

import click

from hiereval.commands import options

EXTRAS = {
    "siglip": ("sentencepiece", "google.protobuf"),
    "text": ("sentence_transformers",),
    "wordnet": ("nltk",),
}


@click.command()
@options.data_options
def command(data_dir: str | None, cache_dir: str | None, offline: bool) -> None:
    """Say what is installed, where data and embeddings are kept, and what is missing."""
    import torch

    from hiereval import distribution, registry
    from hiereval.datasets import cache_dir as cache_folder
    from hiereval.datasets import data_root
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
    cache, root = cache_folder(cache_dir), data_root(data_dir, cache_dir)
    used = sum(f.stat().st_size for f in cache.rglob("*") if f.is_file()) if cache.exists() else 0
    parent = next(p for p in [cache, *cache.parents] if p.exists())
    free = shutil.disk_usage(parent).free
    _line("cache", f"{cache} ({used / 1e6:,.0f} MB used, {free / 1e9:,.0f} GB free)")
    there = (root / "hierarcaps" / "hierarcaps_test.csv").is_file()
    _line("data root", f"{root}{'' if there else ' (no HierarCaps: hiereval download hierarcaps)'}")
    _line("hub", "offline" if options.is_offline(offline) else "online, as far as settings say")
    _line("HF_HOME", os.environ.get("HF_HOME", "not set: ~/.cache/huggingface"))
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
