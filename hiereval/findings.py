"""When a number is a finding: beyond its null, the untrained twins and every blind score.

The one rule that the terminal, every format of a board and the API go by. A bar is passed if the
difference to it holds against the uncertainty of both sides, never if one side's interval merely
leaves out the other's point:

- the reassignment null: p at most 1 - level; within equal word count where that null was drawn,
  of the images for image tasks, free otherwise;
- random-init twins: value - mean of the seeds beyond the model's own interval and the seeds'
  prediction interval, combined as a root of squares; with one seed, beyond both intervals;
- blind scores: a blind score's interval is taken to be as wide as the model's;
- for a trained probe, instead of twins: the same probe on shuffled tiers, and `empty-root`.

An own interval without any width (every item is alike, or there is one) is no certainty: it counts
as wide as the exact one of n items that all agree.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from hiereval.printable import clean
from hiereval.records import MetricValue, NullValue

Bar = Literal["null", "twins", "blind", "capacity"]
COVERS = (
    "Intervals cover other items of the same kind, drawn again; they do not cover other training "
    "seeds, other data or other prompts."
)
_LONGEST = 300  # characters of a reason
KINDS = ("within-length", "images", "free", "within-tier")  # the first that was drawn applies


@dataclass(frozen=True)
class Finding:
    """True: beyond every bar. False: not beyond the bars in `failed`. None: not known, because
    the value is undefined or a bar is missing. `because` says which, in words."""

    finding: bool | None
    because: str
    failed: tuple[Bar, ...] = ()
    missing: tuple[Bar, ...] = ()


CONTROL = Finding(None, "it is a control")
SHUFFLED = Finding(None, "its tiers were shuffled")


_Reached = tuple[Bar, bool | None, str]  # a bar, whether it was passed or is missing, and in words


class Seeds:
    """What the seeds of one thing reached, worked out once for all that are compared with it."""

    def __init__(self, values: Iterable[MetricValue]) -> None:
        self.known = [value for value in values if value.value is not None]
        self.numbers = [value.value for value in self.known if value.value is not None]
        self.lowest = min(self.numbers, default=math.nan)
        self.highest = max(self.numbers, default=math.nan)
        self._predictions: dict[float, tuple[float, float, str]] = {}

    def prediction(self, level: float) -> tuple[float, float, str]:
        """Return the mean, half the prediction interval of one more seed (t sd sqrt(1 + 1/k), k - 1
        degrees), and both in words. There must be two values or more."""
        found = self._predictions.get(level)
        if found is None:
            from scipy.special import stdtrit

            k = len(self.numbers)
            t = float(stdtrit(k - 1, (1.0 + level) / 2.0))
            mean = statistics.fmean(self.numbers)
            wide = t * statistics.stdev(self.numbers) * math.sqrt(1.0 + 1.0 / k)
            found = self._predictions[level] = mean, wide, f"{mean:.3f} ± {wide:.3f}"
        return found


def judge(
    value: MetricValue,
    twins: Seeds | Sequence[MetricValue] = (),
    capacity: Mapping[str, Sequence[MetricValue]] | None = None,
) -> Finding:
    """Judge one value by its own null and blind scores, and by the twins' values of the metric.

    `capacity` holds what a trained probe must beat instead of twins: name -> values. One bar that
    is not passed is enough for False; only then does a missing one leave the answer open.
    """
    if value.value is None:
        return Finding(None, f"undefined: {clean(value.undefined_reason, _LONGEST)}")
    if value.higher_is_better is None or value.role == "descriptive":
        return Finding(None, "descriptive: no value is better than another")
    if value.ci_low is None or value.ci_high is None:
        return Finding(None, "not known: it has no interval")
    if capacity is not None:
        beside = _capacity(value, capacity)
    else:
        beside = [_twins(value, twins if isinstance(twins, Seeds) else Seeds(twins))]
    reached = [_null(value), *beside, *_blind(value)]
    level = _at(value.ci_level)
    failed = [one for one in reached if one[1] is False]
    missing = [one for one in reached if one[1] is None]
    bars = _bars(failed), _bars(missing)
    if failed:
        return Finding(False, f"not beyond {_listed(failed, 'or')}, {level}", *bars)
    if missing:
        return Finding(None, f"not known: {_listed(missing, 'and')}", *bars)
    return Finding(True, f"beyond {_listed(reached, 'and')}, {level}")


def over_seeds(found: Sequence[Finding]) -> Finding:
    """Return the verdict on a trained probe: that of its weakest seed."""
    if len(found) == 1:
        return found[0]
    for wanted in (False, None):
        for one in found:
            if one.finding is wanted:
                return one
    return found[0]


# --- bars ----------------------------------------------------------------------------------------


def structureless(value: MetricValue) -> NullValue | None:
    """Return the null that shows how far one encoder without structure lies from another."""
    return next((value.nulls[kind] for kind in ("free", "images") if kind in value.nulls), None)


def null_of(value: MetricValue) -> tuple[str, NullValue] | None:
    """Return the null that applies to a metric, with its kind; None where none was drawn."""
    for kind in KINDS:
        null = value.nulls.get(kind)
        if null is not None:
            return kind, null
    return None


def _null(value: MetricValue) -> _Reached:
    found = null_of(value)
    if found is None:
        return ("null", None, "no null was drawn")
    kind, null = found
    passed = null.p <= 1.0 - value.ci_level + 1e-12
    return ("null", passed, f"the {kind} null (p {null.p:.3f})")


def _twins(value: MetricValue, twins: Seeds) -> _Reached:
    if not twins.known:
        return ("twins", None, "there is no random-init twin")
    passed, reach = _beyond_seeds(value, twins)
    if len(twins.known) == 1:
        words = f"one random-init twin ({reach}, one seed: the spread is unknown)"
    else:
        words = f"{len(twins.known)} random-init twins ({reach})"
    return ("twins", passed, words)


def _capacity(value: MetricValue, capacity: Mapping[str, Sequence[MetricValue]]) -> list[_Reached]:
    """Return whether a trained probe is beyond what its capacity, and no training, reach."""
    reached: list[_Reached] = []
    for name, values in capacity.items():
        others = Seeds(values)
        if others.known:
            passed, reach = _beyond_seeds(value, others)
            reached.append(("capacity", passed, f"{name} ({reach})"))
        else:
            reached.append(("capacity", None, f"{name} is missing"))
    return reached


def _beyond_seeds(value: MetricValue, others: Seeds) -> tuple[bool, str]:
    """Return whether it is beyond all seeds of one thing, and beyond their prediction interval;
    and what they reach, in words."""
    if len(others.known) == 1:
        number = others.numbers[0]
        return _beyond(value, number, _half(others.known[0], better=True)), f"{number:.3f}"
    mean, wide, around = others.prediction(value.ci_level)
    best = others.highest if value.higher_is_better else others.lowest
    return _beyond(value, mean, wide) and _beyond(value, best, 0.0), around


def _blind(value: MetricValue) -> list[_Reached]:
    """Return the blind scores that are not passed, or else the best; nothing without any."""
    if not value.ceilings:
        return []
    assert value.value is not None
    own = _half(value, better=False)
    apart = math.hypot(own, own)
    sign = 1.0 if value.higher_is_better else -1.0
    ordered = _blind_scores(tuple(value.ceilings.items()), bool(value.higher_is_better))
    reached: list[_Reached] = []
    for score, words in ordered:
        if sign * (value.value - score) > apart:
            break  # and beyond all that follow
        reached.append(("blind", False, words))
    return reached or [("blind", True, ordered[0][1])]


@lru_cache(maxsize=1 << 12)  # they are of the data, not of the model
def _blind_scores(
    ceilings: tuple[tuple[str, float], ...], higher_is_better: bool
) -> list[tuple[float, str]]:
    """Return blind scores, the best first, each in words."""
    ordered = sorted(ceilings, key=lambda item: item[1], reverse=higher_is_better)
    return [(score, f"the blind score {clean(name)} ({score:.3f})") for name, score in ordered]


def _beyond(value: MetricValue, bar: float, half: float) -> bool:
    """Whether the value is better by more than its own half interval and `half` together."""
    assert value.value is not None
    ahead = value.value - bar if value.higher_is_better else bar - value.value
    return ahead > math.hypot(_half(value, better=False), half)


def _half(value: MetricValue, *, better: bool) -> float:
    """Return the width of the interval on the better or the worse side; 0 where it has none."""
    if value.value is None or value.ci_low is None or value.ci_high is None:
        return 0.0
    if value.ci_low == value.ci_high and not better:
        return _unseen(value)
    upwards = better == value.higher_is_better
    return max(0.0, value.ci_high - value.value if upwards else value.value - value.ci_low)


def _unseen(value: MetricValue) -> float:
    """Return by how much a value could fall of which all resamples agree.

    Of n items alike, up to 1 - tail^(1 / n) of all that exist may be others (Clopper & Pearson
    1934), each by the whole range: .0037 of it for 1,000 items, .975 for one. 0 if it has no end.
    """
    low, high = value.range or (0.0, math.inf)
    if not math.isfinite(high - low):
        return 0.0
    tail = (1.0 - value.ci_level) / 2.0
    return (high - low) * (1.0 - tail ** (1.0 / max(1, value.n)))


@lru_cache
def _at(level: float) -> str:
    return f"at {100 * level:g} %"


def _bars(reached: Sequence[_Reached]) -> tuple[Bar, ...]:
    return tuple(dict.fromkeys([bar for bar, _, _ in reached])) if reached else ()


def _listed(reached: Sequence[_Reached], last: str) -> str:
    words = [words for _, _, words in reached]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
