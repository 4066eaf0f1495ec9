"""`hiereval diff`: is one model better than another, on the same items?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.commands import options
from hiereval.errors import HierevalError, nearest

if TYPE_CHECKING:
    from rich.table import Table

    from hiereval.compare import Comparison, Difference
    from hiereval.samples import Samples


@click.command(
    epilog="""\b
Examples:
  hiereval run --model clip-b32 --log-samples              # writes results/samples/
  hiereval run --model siglip --log-samples
  hiereval diff results                                    # the two models in there
  hiereval diff results --models clip-b32 siglip           # of several
  hiereval diff before.samples.jsonl after.samples.jsonl
  hiereval diff old/ new/ --tasks 'ordering,*retrieval' --format json
"""
)
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A [B]"
)
@click.option("--models", nargs=2, metavar="A B", help="Which models, where there are others.")
@click.option("--tasks", default="all", show_default=True, help="all, names or globs: 'a,b*'.")
@click.option("--resamples", default=10_000, show_default=True, callback=options.positive)
@click.option("--level", default=0.95, show_default=True, type=click.FloatRange(0.5, 0.9999))
@click.option("--seed", default=0, show_default=True, help="Of the resampling.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@options.plugins_option
def command(
    sources: tuple[Path, ...],
    models: tuple[str, str] | None,
    tasks: str,
    resamples: int,
    level: float,
    seed: int,
    form: str,
) -> None:
    """Compare two models by a paired bootstrap over the items they share.

    A and B are samples files, or folders of them, as 'hiereval run --log-samples' writes; one
    folder is enough if it holds both models. Each resample draws the same items for both.
    Differences are B - A. The two-sided p is min(1, 2 min(1 + #{d <= 0}, 1 + #{d >= 0}) / (1 + R))
    over the R resampled differences d; "p (Holm)" is corrected for all comparisons shown.
    """
    from hiereval import samples
    from hiereval.compare import compare

    if len(sources) > 2:
        raise HierevalError(
            f"The sources must be one or two files or folders, found {len(sources)}."
        )
    found = [samples.find(source) for source in sources]
    a, b = _sides(found, [str(source) for source in sources], models)
    a, b = _chosen(a, tasks), _chosen(b, tasks)
    result = compare(a, b, seed=seed, resamples=resamples, level=level)
    names = (a[0].identity.model.name, b[0].identity.model.name)
    if form == "json":
        report = {
            "a": asdict_model(a[0]), "b": asdict_model(b[0]), "level": level,
            "resamples": resamples, "seed": seed, "notes": result.notes,
            "differences": [asdict(d) for d in result.differences],
        }  # fmt: skip
        click.echo(json.dumps(report, indent=2, allow_nan=False))
    else:
        _show(result, names, resamples, level)
    if not result.differences:
        raise HierevalError("Nothing could be compared." + ("" if form == "table" else " ") +
                            (" ".join(result.notes) if form == "json" else ""))  # fmt: skip


def asdict_model(samples: Samples) -> dict[str, str]:
    """Return which model a side is."""
    return samples.identity.model.model_dump()


def _sides(
    found: list[list[Samples]], sources: list[str], models: tuple[str, str] | None
) -> tuple[list[Samples], list[Samples]]:
    """Return A's and B's samples: of the named models, or of the only possible ones."""
    if len(found) == 2 and models is None:
        for side, source in zip(found, sources, strict=True):
            known = _models(side)
            if len(known) > 1:
                raise HierevalError(
                    f"The samples {source!r} must be of one model, found {', '.join(known)}: "
                    "--models A B names one of each side."
                )
        return found[0], found[1]
    pools = [found[0], found[-1]]
    if models is None:
        known = _models(found[0])
        if len(known) != 2:
            raise HierevalError(
                f"The samples {sources[0]!r} must be of two models, found {', '.join(known)}: "
                + ("--models A B chooses." if len(known) > 2 else "give the other's as well.")
            )
        models = (known[0], known[1])
    chosen = []
    for pool, name in zip(pools, models, strict=True):
        side = [s for s in pool if s.identity.model.name == name]
        if not side:
            known = _models(pool)
            raise HierevalError(
                f"The model {name!r} must be one of {', '.join(known)}.{nearest(name, known)}"
            )
        chosen.append(side)
    return chosen[0], chosen[1]


def _models(pool: list[Samples]) -> list[str]:
    return list(dict.fromkeys(s.identity.model.name for s in pool))


def _chosen(side: list[Samples], tasks: str) -> list[Samples]:
    from fnmatch import fnmatch

    if tasks == "all":
        return side
    patterns = [part.strip() for part in tasks.split(",") if part.strip()]
    kept = [s for s in side if any(fnmatch(s.identity.task.name, p) for p in patterns)]
    if not kept:
        known = list(dict.fromkeys(s.identity.task.name for s in side))
        raise HierevalError(
            f"The tasks {tasks!r} must name one of {', '.join(known)}.{nearest(tasks, known)}"
        )
    return kept


def _show(result: Comparison, names: tuple[str, str], resamples: int, level: float) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(f"A = {names[0]}    B = {names[1]}    differences are B - A"), style="bold")
    groups = dict.fromkeys(_group(d) for d in result.differences)
    for group in groups:
        console.print(_table([d for d in result.differences if _group(d) == group], group, level))
        console.print()
    m = sum(d.p is not None for d in result.differences)
    if m:
        console.print(
            Text(f"{resamples:,} paired resamples; Holm over {m} comparisons; bold: p (Holm) < "
                 f"{1 - level:.3g}."), style="dim", soft_wrap=True,
        )  # fmt: skip
    for d in result.differences:
        if d.undefined_reason:
            console.print(Text(f"{d.task} {d.metric}: n/a, {d.undefined_reason}"), style="dim",
                          soft_wrap=True)  # fmt: skip
    for note in result.notes:
        console.print(Text(note), style="yellow", soft_wrap=True)


def _group(d: Difference) -> str:
    parameters = "".join(f" {k}={v}" for k, v in d.parameters.items())
    probe = d.probe_a if d.probe_a == d.probe_b else f"{d.probe_a} (A), {d.probe_b} (B)"
    return f"{d.task}{parameters} on {d.dataset}:{d.split}, probe {probe}, {d.n:,} items"


def _table(rows: list[Difference], title: str, level: float) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, "cyan"),
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("metric", no_wrap=True)
    for heading in ("A", "B", "B - A", f"{100 * level:.4g} % interval", "p", "p (Holm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for d in rows:
        clear = d.p_holm is not None and d.p_holm < 1 - level
        better = (d.difference or 0.0) > 0
        style = ""
        if clear:
            good = None if d.higher_is_better is None else better == d.higher_is_better
            style = "bold" if good is None else "bold green" if good else "bold red"
        table.add_row(
            d.metric,
            _number(d.a),
            _number(d.b),
            Text(_number(d.difference, sign=True), style),
            "" if d.low is None or d.high is None else f"[{d.low:+.3f}, {d.high:+.3f}]",
            _p(d.p),
            Text(_p(d.p_holm), style),
        )
    return table


def _number(value: float | None, sign: bool = False) -> str:
    if value is None:
        return "n/a"
    return f"{value:+.3f}" if sign else f"{value:.3f}"


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if value >= 0.0001 else f"{value:.1e}"
