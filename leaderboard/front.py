"""Which columns a board opens with: few, and those that give nothing away."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hiereval.leaderboard.columns import Column, headline

MOST = 7  # columns that a board opens with
_CHANCE = 0.05  # of the way from chance to the best value: blind scores up to here are chance
_FEWEST = 3


def front(
    columns: Sequence[Column], filled: Collection[int], asked: Sequence[str] = ()
) -> list[int]:
    """Return the columns to open with, in their order: those `asked` for, where there are some.

    Else headline metrics that have a better and a worse and whose blind scores stand at chance;
    where fewer than three do, the headline metrics that give least away. Columns that no model has
    a value in, all but the `filled` ones, are not among them where others are.
    """
    if any(column.is_any(asked) for column in columns):
        return [i for i, column in enumerate(columns) if column.is_any(asked)]
    shown = sorted(filled) or range(len(columns))
    wanted = [i for i in shown if _ranks(columns[i]) and _is_headline(columns[i])]
    wanted = wanted or [i for i in shown if _ranks(columns[i])] or list(shown)
    wanted.sort(key=lambda i: given_away(columns[i]))
    honest = [i for i in wanted if given_away(columns[i]) <= _CHANCE]
    return sorted((honest if len(honest) >= _FEWEST else wanted)[:MOST])


def leading(columns: Sequence[Column], among: Sequence[int]) -> int | None:
    """Return the column to sort by: the ranked one that blind scores reach least of."""
    ranked = [i for i in among if _ranks(columns[i])]
    return min(ranked, key=lambda i: given_away(columns[i]), default=None)


def given_away(column: Column) -> float:
    """Return what blind scores reach, to two digits: a hundredth is chance. Unknown comes last."""
    return 2.0 if column.given_away is None else round(column.given_away, 2)


def _ranks(column: Column) -> bool:
    return (
        column.higher_is_better is not None
        and not column.unranked
        and column.role not in ("descriptive", "retention")
    )


def _is_headline(column: Column) -> bool:
    return column.role == "headline" or column.metric in headline().get(column.task, {})
