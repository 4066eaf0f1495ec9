"""`hiereval diff`: is one model better than another, on the same items?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiereval.choice import listed, matches
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
  hiereval diff results --models control:words siglip      # against a control
  hiereval diff results --models clip-b32 clip-b32 --probes empty-root radial-linear
  hiereval diff old/ new/ --tasks 'ordering,*retrieval' --metrics all --format json
"""
)
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A [B]"
)
@click.option("--models", nargs=2, metavar="A B", help="Which models, where there are others.")
@click.option(
    "--probes",
    nargs=2,
    metavar="A B",
    help="Which probe on each side; NAME:shuffled is a trained one's, on shuffled tiers.",
)
@click.option("--tasks", default="all", show_default=True, help="all, names or globs: 'a,b*'.")
@click.option(
    "--metrics",
    default="headline",
    show_default=True,
    help="headline (with what is to be retained), all, names or globs: 'a,b*'.",
)
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
    probes: tuple[str, str] | None,
    tasks: str,
    metrics: str,
    resamples: int,
    level: float,
    seed: int,
    form: str,
) -> None:
    """Compare two models, or two probes, by a paired bootstrap over the items they share.

    A and B are samples files, or folders of them, as 'hiereval run --log-samples' writes; one
    folder is enough if it holds both models. Each resample draws the same items for both.
    Differences are B - A. The two-sided p is min(1, 2 min(1 + #{d <= 0}, 1 + #{d >= 0}) / (1 + R))
    over the R resampled differences d; "p (Holm)" is corrected for all comparisons shown that are
    of better or worse; what is to be retained is read on its own interval. Beside each difference
    stands what two encoders without structure would differ by.
    """
    from hiereval import samples
    from hiereval.compare import compare
    from hiereval.findings import COVERS

    if len(sources) > 2:
        raise HierevalError(
            f"The sources must be one or two files or folders, found {len(sources)}."
        )
    found = [samples.find(source) for source in sources]
    (name_a, a), (name_b, b) = _sides(
        found, [str(source) for source in sources], models, one=probes is not None
    )
    if probes is not None:
        name_a, name_b = f"{name_a}, {probes[0]}", f"{name_b}, {probes[1]}"
    a, b = _chosen(a, tasks), _chosen(b, tasks)
    result = compare(
        a, b, seed=seed, resamples=resamples, level=level, metrics=metrics, probes=probes
    )
    if form == "json":
        report = {
            "a": a[0].identity.model.model_dump(), "b": b[0].identity.model.model_dump(),
            "level": level,
            "resamples": resamples, "seed": seed, "covers": COVERS, "notes": result.notes,
            "differences": [
                {**asdict(d), "below_spread": d.below_spread, "harm": d.harm,
                 "clear": d.clear(level)}
                for d in result.differences
            ],
        }  # fmt: skip
        click.echo(json.dumps(report, indent=2, allow_nan=False))
    else:
        _show(result, (name_a, name_b), resamples, level)
    if not result.differences:
        raise HierevalError("Nothing could be compared.")


def _sides(
    found: list[list[Samples]], sources: list[str], models: tuple[str, str] | None, *, one: bool
) -> tuple[tuple[str, list[Samples]], tuple[str, list[Samples]]]:
    """Return A's and B's name and samples: of the named models, or of the only possible ones.

    With `one`, a source of one model is both sides: two probes of it are compared.
    """
    pools = [_by_model(samples) for samples in found]
    if models is not None:
        first, second = models
        return (first, _named(pools[0], first)), (second, _named(pools[-1], second))
    wanted = 1 if one or len(pools) == 2 else 2
    pools = [_without_controls(pool, wanted) for pool in pools]
    if one and len(pools) == 1 and len(pools[0]) == 1:
        pools *= 2
    wanted = 2 if len(pools) == 1 else 1
    sources = sources * (3 - len(sources)) if len(pools) == 2 else sources
    for pool, source in zip(pools, sources, strict=True):
        if len(pool) != wanted:
            how = "--models A B names them" if len(pool) > wanted else "name the other's as well"
            must = "two models" if wanted == 2 else "one model"
            raise HierevalError(
                f"The samples {source!r} must be of {must}, found {', '.join(pool)}: {how}."
            )
    a, b = (side for pool in pools for side in pool.items())
    return a, b


def _by_model(found: list[Samples]) -> dict[str, list[Samples]]:
    """Return the samples of each model; models of one name are told apart by fingerprint."""
    prints: dict[str, dict[str, list[Samples]]] = {}
    for samples in found:
        model = samples.identity.model
        prints.setdefault(model.label, {}).setdefault(model.fingerprint, []).append(samples)
    return {
        label if len(models) == 1 else f"{label}@{fingerprint[:8]}": samples
        for label, models in prints.items()
        for fingerprint, samples in models.items()
    }


def _without_controls(pool: dict[str, list[Samples]], wanted: int) -> dict[str, list[Samples]]:
    """Leave the controls of a run out where that leaves as many models as are wanted."""
    own = {
        label: samples
        for label, samples in pool.items()
        if samples[0].identity.model.random_init is None and not label.startswith("control:")
    }
    return own if len(own) == wanted else pool


def _named(pool: dict[str, list[Samples]], name: str) -> list[Samples]:
    if name not in pool:
        raise HierevalError(
            f"The model {name!r} must be one of {', '.join(pool)}.{nearest(name, pool)}"
        )
    return pool[name]


def _chosen(side: list[Samples], tasks: str) -> list[Samples]:
    if tasks == "all":
        return side
    patterns = listed(tasks)
    kept = [s for s in side if matches(s.identity.task.name, patterns)]
    if not kept:
        known = list(dict.fromkeys(s.identity.task.name for s in side))
        raise HierevalError(
            f"The tasks {tasks!r} must name one of {', '.join(known)}.{nearest(tasks, known)}"
        )
    return kept


def _show(result: Comparison, names: tuple[str, str], resamples: int, level: float) -> None:
    from rich.text import Text

    console = options.console()
    console.print(Text(f"A = {names[0]}    B = {names[1]}    differences are B - A"), style="bold")
    groups = dict.fromkeys(_group(d) for d in result.differences)
    for group in groups:
        console.print(_table([d for d in result.differences if _group(d) == group], group, level))
        console.print()
    for line in _legend(result, resamples, level):
        console.print(Text(line), style="dim", soft_wrap=True)
    for d in result.differences:
        if d.undefined_reason:
            console.print(Text(f"{d.task} {d.metric}: n/a, {d.undefined_reason}"), style="dim",
                          soft_wrap=True)  # fmt: skip
    for note in result.notes:
        console.print(Text(note), style="yellow", soft_wrap=True)


def _legend(result: Comparison, resamples: int, level: float) -> Iterator[str]:
    from hiereval.findings import COVERS

    family = [d for d in result.differences if d.p_holm is not None]
    outside = dict.fromkeys(
        d.metric for d in result.differences if d.p is not None and d.p_holm is None
    )
    if family or outside:
        yield (
            f"{resamples:,} paired resamples; Holm over {len(family)} comparisons; bold: "
            f"p (Holm) < {1 - level:.3g}, and beyond the spread."
        )
        yield COVERS
    if outside:
        yield f"Outside the correction, on their own intervals: {', '.join(outside)}."
    if any(d.spread is not None for d in result.differences):
        yield (
            f"spread: what two encoders without structure differ by at most, in "
            f"{100 * level:.4g} % of cases; ~: B - A is within it."
        )
    if any(d.harm for d in result.differences):
        yield "▼: B is worse on this metric's own interval, whatever the correction says."


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
    headings = ["A", "B", "B - A", f"{100 * level:.4g} % interval", "p", "p (Holm)"]
    spread = any(d.spread is not None for d in rows)
    for heading in headings + ["spread"] * spread:
        table.add_column(heading, justify="right", no_wrap=True)
    for d in rows:
        style = ""
        if d.clear(level):
            better = (d.difference or 0.0) > 0
            style = "bold green" if better == d.higher_is_better else "bold red"
        table.add_row(
            d.metric,
            _number(d.a),
            _number(d.b),
            Text(f"{'▼' if d.harm else ''}{_number(d.difference, sign=True)}", style),
            "" if d.low is None or d.high is None else f"[{d.low:+.3f}, {d.high:+.3f}]",
            _p(d.p),
            Text(_p(d.p_holm), style),
            *([_spread(d)] if spread else []),
        )
    return table


def _spread(d: Difference) -> str:
    return "" if d.spread is None else f"{'~' if d.below_spread else ''}{d.spread:.3f}"


def _number(value: float | None, sign: bool = False) -> str:
    if value is None:
        return "n/a"
    return f"{value:+.3f}" if sign else f"{value:.3f}"


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if value >= 0.0001 else f"{value:.1e}"
