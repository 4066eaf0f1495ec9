"""`hiereval finetune`: train a text tower with the RE objective, get a new checkpoint."""

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
  hiereval finetune --model toy --data shapes:train --out tuned --lr 1e-5
  hiereval finetune --model clip-b32 --data hierarcaps-train --out tuned
  hiereval run --model hf-clip:tuned/model
  torchrun --nproc-per-node 4 --no-python hiereval finetune --model clip-b32 --data my.csv --out o
"""
)
@options.model_option
@options.model_args
@options.revision
@click.option(
    "--data",
    "train_data",
    required=True,
    metavar="DATA",
    help="Chains with negatives: hierarcaps-train, shapes:train, your own .csv(.gz) or .jsonl.",
)
@click.option("--out", required=True, type=click.Path(), help="Folder of the new checkpoint.")
@click.option("--resume", is_flag=True, help="Go on where this folder's training stopped.")
@click.option("--epochs", default=1, show_default=True)
@click.option("--batch", default=8, show_default=True, help="Chains a forward pass.")
@click.option("--accumulate", default=1, show_default=True, help="Forward passes a step.")
@click.option("--lr", default=1e-7, show_default=True, help="Of AdamW.")
@click.option(
    "--schedule",
    type=click.Choice(["constant", "cosine"]),
    default="constant",
    show_default=True,
)
@click.option("--weight-decay", default=0.01, show_default=True)
@click.option("--clip", default=0.0, help="Largest norm of a step's gradient.  [default: any]")
@click.option("--pullback", default=10.0, show_default=True, help="Weight of staying near.")
@click.option("--entail", default=1.0, show_default=True, help="Weight of the mean angles.")
@click.option("--hard", default=1.0, show_default=True, help="Weight of a batch's worst pairs.")
@click.option(
    "--pairing",
    type=click.Choice(["released", "documented"]),
    default="released",
    show_default=True,
    help="Which negative a caption is contrasted with: the same tier's or the next one's.",
)
@click.option("--negatives/--no-negatives", default=True, show_default=True)
@click.option("--validation", default=0.0, show_default=True, help="Share of the images held out.")
@click.option("--validate-every", default=500, show_default=True, help="Steps.")
@click.option("--save-every", default=500, show_default=True, help="Steps.")
@click.option("--seed", default=0, show_default=True)
@options.session_options
@options.plugins_option
def command(
    session: Callable[[Report], Session],
    model: str,
    model_args: dict[str, str],
    revision: str | None,
    train_data: str,
    out: str,
    resume: bool,
    **recipe: Any,
) -> None:
    """Train a model's text tower so that general captions come nearer to the root.

    The defaults are the released recipe. The image tower stays as it is, so the new checkpoint
    keeps its images; it is written in the model's own format and loads like any other.
    """
    from hiereval.finetune.finetuning import FinetuneConfig, finetune
    from hiereval.finetune.recipe import Recipe

    config = FinetuneConfig(
        model=model,
        model_args=model_args,
        revision=revision,
        train_data=train_data,
        out=Path(out),
        resume=resume,
        recipe=Recipe(**recipe),
    )
    with _Progress() as shown:
        checkpoint = finetune(session(shown.stage), config, shown.report)
    if shown.first:
        click.echo(f"Written: {out}: model/, card.json, losses.jsonl, curves.png")
        click.echo(f"Measure it: hiereval run --model {shlex.quote(checkpoint)}")


class _Progress:
    """A bar with the losses on stderr; where that is no terminal, a line now and then."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        from hiereval.processes import Processes

        self.first = Processes.launched().first
        console = Console(stderr=True)
        self.live = console.is_terminal
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Remaining(elapsed_when_finished=True),
            console=console,
            disable=not (self.live and self.first),
        )
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> _Progress:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def stage(self, model: str, name: str, done: int, total: int) -> None:
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=total)
        self.bars.update(self.tasks[name], completed=done)

    def report(self, step: int, steps: int, losses: Mapping[str, float]) -> None:
        terms = ("total", "entail", "pullback", "hard")
        text = "  ".join(f"{name} {losses[name]:.4f}" for name in terms)
        self.stage("", "training", step, steps)
        self.bars.update(self.tasks["training"], description=f"training  {text}")
        if not self.live and self.first and (step % max(1, steps // 10) == 0 or step == 1):
            click.echo(f"step {step:,} of {steps:,}  {text}", err=True)
