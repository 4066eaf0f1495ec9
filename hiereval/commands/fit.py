"""`hiereval fit`: fit a trained probe on a model's frozen embeddings and keep it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hiereval.commands import options


@click.command(
    epilog="""\b
Examples:
  hiereval fit --model toy --probe radial-linear --train-data shapes:train --out probe
  hiereval run --model toy --dataset shapes --probes path:probe
"""
)
@options.model_option
@options.model_options
@click.option("--probe", required=True, metavar="NAME", help="learned-root or radial-linear.")
@options.pairs("--probe-args", "Parameters of the probe: rank=16, or seed=3 for one seed alone.")
@click.option(
    "--train-data",
    required=True,
    metavar="DATA",
    help="Chains with negatives: hierarcaps-train, shapes:train, your own .csv(.gz) or .jsonl.",
)
@click.option("--out", required=True, type=click.Path(), help="New folder, one probe a subfolder.")
@click.option("--seed", default=0, show_default=True, help="First of three.")
@click.option("--batch-size", default="auto", show_default=True, callback=options.batch_size)
@options.data_options
@options.plugins_option
def command(
    model: str,
    model_args: dict[str, str],
    revision: str | None,
    device: str,
    precision: str,
    trust_remote_code: bool,
    out: str,
    data_dir: str | None,
    cache_dir: str | None,
    offline: bool,
    **rest: Any,
) -> None:
    """Fit a probe for three seeds, on the chains and on the same with shuffled tiers.

    The fitted probes are used with 'hiereval run --probes path:DIR', on the same model only.
    """
    from hiereval.commands.display import Bars
    from hiereval.datasets import cache_dir as cache_folder
    from hiereval.datasets import data_root
    from hiereval.probes.fitting import FitConfig, fit
    from hiereval.types import DataOptions

    load = options.load_options(revision, device, precision, offline, trust_remote_code)
    config = FitConfig(
        model=model,
        model_args=model_args,
        options=load,
        out=Path(out),
        cache_dir=cache_folder(cache_dir),
        data=DataOptions(root=data_root(data_dir, cache_dir), offline=load.offline),
        **rest,
    )

    def report(folder: Path, facts: Mapping[str, Any]) -> None:
        click.echo(
            f"{folder}: development loss {facts['before']:.4f} -> {facts['after']:.4f} "
            f"(best at step {facts['best_step']} of {facts['steps']})"
        )

    with Bars() as bars:
        fit(config, report, bars.of(model))
    click.echo(f"Measure it: hiereval run --model {model} --probes path:{out}")
