"""`hiereval fit`: fit a trained probe on a model's frozen embeddings and keep it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hiereval.commands import options

if TYPE_CHECKING:
    from hiereval.session import Report, Session


@click.command(
    epilog="""\b
Examples:
  hiereval fit --model toy --probe radial-linear --train-data shapes:train --out probe
  hiereval run --model toy --dataset shapes --probes path:probe
"""
)
@options.model_option
@options.model_args
@options.revision
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
@options.session_options
@options.plugins_option
def command(session: Callable[[Report], Session], model: str, out: str, **rest: Any) -> None:
    """Fit a probe for three seeds, on the chains and on the same with shuffled tiers.

    The fitted probes are used with 'hiereval run --probes path:DIR', on the same model only.
    """
    from hiereval.probes.fitting import FitConfig, fit
    from hiereval.progress import Bars

    def report(folder: Path, facts: Mapping[str, Any]) -> None:
        click.echo(
            f"{folder}: development loss {facts['before']:.4f} -> {facts['after']:.4f} "
            f"(best at step {facts['best_step']} of {facts['steps']})"
        )

    with Bars() as bars:
        fit(session(bars), FitConfig(model=model, out=Path(out), **rest), report)
    fitted = shlex.quote(f"path:{out}")
    click.echo(f"Measure it: hiereval run --model {shlex.quote(model)} --probes {fitted}")
