"""What the page says of a row beside its numbers: model, probe, machine, speed, options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hiereval.leaderboard import cards, command_line
from hiereval.leaderboard.coding import coded
from hiereval.leaderboard.columns import plain
from hiereval.leaderboard.rows import Row
from hiereval.leaderboard.wording import clean, public
from hiereval.records import Environment, Record, once
from hiereval.types import Curvature

_SHORT = 16  # hexadecimal digits of a hash that a page shows; JSON holds all


def of_rows(rows: Sequence[Row]) -> dict[str, Any]:
    """Return every fact by its name, of all rows."""
    known = [cards.of(row.model) for row in rows]
    facts = [[fact(row) for fact in _FACTS.values()] for row in rows]  # all of a row at once
    return {
        **{
            name: coded(values)
            for name, values in zip(_FACTS, zip(*facts, strict=True), strict=True)
        },
        "family": coded([clean(card.family, 40) for card in known]),
        "licence": coded([clean(card.licence, 40) for card in known]),
        "open": coded([card.openness for card in known]),
        "status": coded([row.standing for row in rows]),
        "curve": [_curve(row) for row in rows],
    }


def _fastest(row: Row, field: str) -> float | None:
    """Return the row's speed; None where every vector came from the store."""
    found = [speed for r in row.records if (speed := getattr(r.timings, field))]
    return _significant(max(found)) if found else None


def _significant(value: float) -> float:
    return float(f"{value:.3g}")


@once
def _environment(where: Environment) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(where.packages.items()))
    git = f", commit {where.git_commit[:8]}" if where.git_commit else ""
    return clean(
        f"hiereval {where.hiereval}{git}, Python {where.python}, {where.device}, {packages}", 300
    )


_FACTS: dict[str, Callable[[Row], Any]] = {
    "label": lambda row: row.label,
    "probe": lambda row: row.probe,
    "adapter": lambda row: clean(row.model.adapter, 60),
    "checkpoint": lambda row: _beside(public(row.model.checkpoint), row.label),
    "revision": lambda row: clean(row.model.revision or "", 64),
    "weights": lambda row: clean(row.model.weights_sha256 or "")[:_SHORT],
    "fingerprint": lambda row: clean(row.model.fingerprint)[:_SHORT],
    "geometry": lambda row: clean(row.model.geometry, 40),
    "curvature": lambda row: _curvature(row.model.curvature),
    "dtype": lambda row: clean(row.model.dtype, 20),
    "dim": lambda row: row.model.embed_dim,
    "params": lambda row: row.model.n_params,
    "context": lambda row: row.model.context_length,
    "random": lambda row: row.model.random_init,
    "remote": lambda row: row.model.trust_remote_code,
    "twins": lambda row: row.twins,
    "date": lambda row: row.date,
    "images_s": lambda row: _fastest(row, "images_per_s"),
    "texts_s": lambda row: _fastest(row, "texts_per_s"),
    "truncated": lambda row: row.newest.dataset.n_truncated,
    "texts": lambda row: row.newest.dataset.n_texts,
    "environment": lambda row: _environment(row.newest.environment),
    "fitted": lambda row: _fitted(row.newest),
    "options": lambda row: command_line.options_of(row.newest),
}


def _curvature(curvature: Curvature | None) -> float | str | None:
    """Return one curvature as it is, and those of a product's factors in words."""
    if not isinstance(curvature, tuple):
        return curvature
    return f"{len(curvature)} factors, {min(curvature):.3g} to {max(curvature):.3g}"


def _beside(checkpoint: str, label: str) -> str:
    """Return "" for a checkpoint that the row is named by."""
    return "" if checkpoint == label else checkpoint


def _fitted(record: Record) -> str:
    """Say a probe's parameters, and what it was fitted on."""
    own = {k: v for k, v in record.probe.parameters.items() if k not in ("seed", "shuffled")}
    said = " ".join(f"{name}={plain(value)}" for name, value in sorted(own.items()))
    training = record.probe.training
    on = f"fitted on {training.n:,} chains of {training.dataset}" if training else ""
    return clean(", ".join(part for part in (said, on) if part), 200)


def _curve(row: Row) -> list[float] | None:
    """Return mean and quartiles of each tier, one after the other."""
    return [_significant(v) for t in row.curve for v in (t.mean, t.low, t.high)] or None
