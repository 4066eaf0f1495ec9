"""What of two sides can be compared: sample with sample, and then item with item."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hiereval.errors import HierevalError, nearest
from hiereval.samples import Samples


def pairs(
    a: Sequence[Samples], b: Sequence[Samples], notes: list[str], *, across: bool
) -> Iterable[tuple[Samples, Samples]]:
    """Return what is comparable, noting the rest."""
    sides = [_grouped(a), _grouped(b)]
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        first, second = (side.get(key, []) for side in sides)
        where = f"{(first or second)[0].identity.task.name} on {data_label((first or second)[0])}"
        if not first or not second:
            notes.append(
                f"{where}: not compared, {'A' if not first else 'B'} has no samples of it."
            )
            continue
        if across:
            pairs = _across(first, second)
        elif len(first) > 1 or len(second) > 1:
            probes = {probe_label(samples): samples for samples in second}
            pairs = [(s, probes[probe_label(s)]) for s in first if probe_label(s) in probes]
            if not pairs:
                notes.append(f"{where}: not compared, no probe is on both sides.")
        else:
            pairs = [(first[0], second[0])]
        for one, other in pairs:
            if one.identity.dataset.sha256 == other.identity.dataset.sha256:
                yield one, other
            else:
                notes.append(f"{where}: not compared, the two sides saw different data.")


def of_probe(side: Sequence[Samples], name: str) -> list[Samples]:
    """Return the samples of one probe: NAME, or NAME:shuffled for what shuffled tiers gave."""
    found = [samples for samples in side if name in _probe_names(samples)]
    if not found:
        known = list(dict.fromkeys(n for samples in side for n in _probe_names(samples)))
        raise HierevalError(
            f"The probe {name!r} must be one of {', '.join(known)}.{nearest(name, known)}"
        )
    return found


def _probe_names(samples: Samples) -> list[str]:
    probe = samples.identity.probe
    return [f"{probe.name}:shuffled" if probe.shuffled else probe.name]


def _across(a: list[Samples], b: list[Samples]) -> list[tuple[Samples, Samples]]:
    """Pair two probes: seed with seed where both have several, else the one with each."""
    if len(a) == 1 or len(b) == 1:
        return [(one, other) for one in a for other in b]
    seeds = {samples.identity.probe.seed: samples for samples in b}
    return [(one, seeds[s]) for one in a if (s := one.identity.probe.seed) in seeds]


def _grouped(side: Sequence[Samples]) -> dict[str, list[Samples]]:
    """Return the samples by task and dataset, of each probe the newest."""
    groups: dict[str, dict[str, Samples]] = {}
    for samples in sorted(side, key=lambda s: s.identity.timestamp):
        task, data = samples.identity.task, samples.identity.dataset
        key = json.dumps([task.name, task.version, task.parameters, data.name, data.split],
                         sort_keys=True)  # fmt: skip
        groups.setdefault(key, {})[probe_label(samples)] = samples
    return {key: list(probes.values()) for key, probes in groups.items()}


def probe_label(samples: Samples) -> str:
    """Return a probe's name, with what tells it from others of that name."""
    probe = samples.identity.probe
    seed = "" if probe.seed is None else f", seed {probe.seed}"
    shuffled = ", tiers shuffled" if probe.shuffled else ""
    parameters = "".join(f", {k}={v}" for k, v in probe.parameters.items())
    return f"{probe.name}{parameters}{seed}{shuffled}"


def data_label(samples: Samples) -> str:
    """Return the dataset and its split."""
    return f"{samples.identity.dataset.name}:{samples.identity.dataset.split}"


def shared(sides: Sequence[Samples]) -> list[Samples]:
    """Return every side's samples of the items that all hold, in the first one's order.

    Equal names pair up in their order.
    """
    places = [{key: i for i, key in enumerate(_numbered(side.scores.ids))} for side in sides]
    common = [key for key in places[0] if all(key in place for place in places)]
    return [
        _rows(side, [place[key] for key in common])
        for side, place in zip(sides, places, strict=True)
    ]


def _numbered(ids: Sequence[str]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    numbered = []
    for name in ids:
        numbered.append((name, seen[name]))
        seen[name] += 1
    return numbered


def _rows(samples: Samples, rows: list[int]) -> Samples:
    items = {key: values[rows] for key, values in samples.scores.items.items()}
    ids = [samples.scores.ids[i] for i in rows]
    return replace(samples, scores=replace(samples.scores, ids=ids, items=items, details=None))
