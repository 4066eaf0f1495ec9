"""What every task of chains costs as their number grows: scoring, bootstrap, nulls, blind scores.

    python benchmarks/cost.py [--sizes 100,300,1000] [--tasks ordering,retrieval] [--log cost.jsonl]
        [--plot cost.svg]

Chains are made so that captions repeat as HierarCaps' do: general ones often, and more distinct
ones the more chains there are. Vectors are random, 512 dimensions; an image a chain. Every point
is a process of its own, one thread. Each part stands beside what it cannot do without, measured
in the same process: scoring beside the similarity product of its images and captions (or the inner
products of its pairs), the bootstrap beside its draws of weights, the nulls beside their deals,
blind scores beside nothing. A part whose last two points say that it would take more than `--limit`
seconds is not run; in brackets then stands what they say. `--log` keeps points as they come, and
does not measure again what it holds.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from clocks import timed
from torch import Tensor

SIZES = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
TASKS = ("ordering", "entailment", "image-entailment", "pep", "retrieval", "flat-retrieval",
         "interpolation")  # fmt: skip
PARTS = ("scoring", "bootstrap", "nulls", "blind", "samples")
WORDS = (1, 2, 4, 9)  # of a caption, up to three more
# how distinct captions of a tier grow, n to this power, and how rare the most frequent one is;
# the two of HierarCaps' general tiers, nearly none of its others repeat
DISTINCT = ((0.7, 60.0), (0.85, 200.0))
DIM = 512


@dataclass
class Point:
    """One task at one size: processor seconds of each part and of its bound, and memory."""

    task: str
    chains: int
    seconds: dict[str, float] = field(default_factory=dict)
    bound: dict[str, float] = field(default_factory=dict)
    held_gb: float = 0.0  # before anything is scored: vectors, captions, libraries
    peak_gb: dict[str, float] = field(default_factory=dict)  # the most while a part ran
    left_out: dict[str, float] = field(default_factory=dict)  # seconds that were expected


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--limit", type=float, default=600.0, help="seconds of one part")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--plot", type=Path, help="SVG or PNG")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(asdict(measured(**json.loads(given.one)))))
        return
    points = read(given.log)
    for task in given.tasks.split(","):
        for chains in map(int, given.sizes.split(",")):
            if not any(p.task == task and p.chains == chains for p in points):
                points.append(apart(task, chains, expected(points, task, chains), given.limit))
                keep(points[-1], given.log)
    points.sort(key=lambda point: (TASKS.index(point.task), point.chains))
    print(*table(points), sep="\n")
    print(*slopes(points), sep="\n")
    if given.plot:
        plot(points, given.plot)


# --- one point ------------------------------------------------------------------------------------


def apart(task: str, chains: int, expected: dict[str, float], limit: float) -> Point:
    """Measure a point in a process of its own, without the parts that would take too long."""
    skip = {part: seconds for part, seconds in expected.items() if seconds > limit}
    if "scoring" in skip:
        return Point(task, chains, left_out=skip)
    one = json.dumps({"task": task, "chains": chains, "skip": skip})
    command = [sys.executable, __file__, "--one", one]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Point(**json.loads(done.stdout))


def measured(task: str, chains: int, skip: dict[str, float]) -> Point:
    """Measure a point in this process."""
    from hiereval import registry

    torch.set_num_threads(1)
    data, scorer = made(chains, task == "entailment"), registry.load("tasks", task)()
    space = space_of(data)
    point = Point(task, chains, held_gb=peak())
    for part, work, bound in parts(scorer, space, data):
        if part in skip:
            point.left_out[part] = skip[part]
            continue
        peak()
        point.seconds[part] = timed(work)[1]
        point.peak_gb[part] = peak()
        if bound is not None:
            point.bound[part] = timed(bound)[1]
    return point


Work = Callable[[], object]


def parts(task: Any, space: Any, data: Any) -> Iterator[tuple[str, Work, Work | None]]:
    """Yield each part's name, itself, and what it cannot do without."""
    from hiereval import blind, nulls
    from hiereval.estimates import bootstrap, metrics_of, resample

    found: dict[str, Any] = {}

    def score() -> None:
        found["scores"] = task.score(space, data, torch.Generator().manual_seed(0))

    yield "scoring", score, least(task.name, space, data)
    scores = found["scores"]
    metrics = metrics_of(task, scores.items)

    def intervals() -> None:
        found["values"] = bootstrap(metrics, scores, seed=0)

    n = len(scores.ids)
    yield "bootstrap", intervals, lambda: [None for _ in resample(n, 1000, 0)]
    if scores.nulls:

        def drawn() -> None:
            nulls.evaluate(metrics, scores, found["values"], seed=0)

        yield "nulls", drawn, lambda: deals(scores.nulls)
    yield "blind", lambda: blind.ceilings(task, data, metrics), None
    yield "samples", lambda: [scores.details(i) for i in range(n)], None


def least(task: str, space: Any, data: Any) -> Work:
    """Return the products that scoring takes: of all images and captions, or of its pairs."""
    texts, images = torch.from_numpy(data.chains), space.image
    if task in ("retrieval", "interpolation"):
        return lambda: product(images, space.text)
    if task == "flat-retrieval":
        return lambda: product(images, space.text[texts[:, -1]])
    if task == "entailment":
        wrong = torch.from_numpy(data.negatives)
        pairs = [(texts[:, j], other[:, j + 1]) for other in (texts, wrong) for j in range(3)]
        pairs += [(texts[:, j], wrong[:, j]) for j in range(3)]
        return lambda: [(space.text[a] * space.text[b]).sum(1) for a, b in pairs]
    if task == "ordering":
        return lambda: (space.text - space.root).norm(dim=1)[texts]
    each = {"image-entailment": 44, "pep": 204}[task]
    return lambda: [(space.text[texts[:, i % 4]] * images).sum(1) for i in range(each)]


def product(x: Tensor, y: Tensor) -> None:
    for rows in x.split(max(1, (1 << 24) // len(y))):
        rows @ y.T


def deals(dealt: Any) -> None:
    """Deal out as often as the nulls do, and score nothing."""
    from hiereval.nulls import NUMBERS, deal

    for null in dealt.values():
        generator = torch.Generator().manual_seed(0)
        rows = max(1, NUMBERS // null.draw.size)
        for start in range(0, null.draws, rows):
            deal(null.draw.groups, min(rows, null.draws - start), generator)


def peak() -> float:
    """Return the most memory held since the last call, in GB; forget it."""
    status = Path("/proc/self/status").read_text()
    held = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(held.split()[1]) * 1024 / 1e9


# --- what is scored -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    name: str

    def read(self) -> bytes:
        return self.name.encode()  # it is hashed with the data, never decoded


def made(chains: int, negatives: bool) -> Any:
    """Return so many chains of four captions, each with an image of its own."""
    from hiereval.datasets.chains import assemble

    generator = torch.Generator().manual_seed(0)

    def rows(kind: str) -> list[list[str]]:
        tiers = []
        for j, words in enumerate(WORDS):
            number = torch.arange(chains)
            if j < len(DISTINCT):
                power, rarity = DISTINCT[j]
                drawn = torch.rand(chains, dtype=torch.float64, generator=generator)
                number = (rarity * (drawn ** (-1 / power) - 1)).long()
            tiers.append([caption(f"{kind}{j}", words, n) for n in number.tolist()])
        return [list(row) for row in zip(*tiers, strict=True)]

    pictures = [Picture(f"{i}.jpg") for i in range(chains)]
    return assemble(rows("p"), rows("n") if negatives else None, pictures, name="made", split="all")


def caption(kind: str, words: int, number: int) -> str:
    """Return the caption of this number, which has up to three words more, some a full stop."""
    text = " ".join([f"{kind}x{number:x}"] * (words + number % 4))
    return f"{text[0].upper()}{text[1:]}." if number % 5 == 0 else text


def space_of(data: Any) -> Any:
    """Return random unit vectors for the data's texts, images and root."""
    from hiereval.geometry import SphereSpace

    generator = torch.Generator().manual_seed(0)
    text, image, root = (
        torch.randn(n, DIM, generator=generator) for n in (len(data.texts), len(data.images), 1)
    )
    for points in (text, image, root):
        points /= points.norm(dim=1, keepdim=True)
    return SphereSpace(text, image, root[0])


# --- all points -----------------------------------------------------------------------------------


def read(log: Path | None) -> list[Point]:
    if log is None or not log.exists():
        return []
    return [Point(**json.loads(line)) for line in log.read_text().splitlines()]


def keep(point: Point, log: Path | None) -> None:
    print(json.dumps(asdict(point)), file=sys.stderr, flush=True)
    if log is not None:
        with log.open("a") as file:
            file.write(json.dumps(asdict(point)) + "\n")


def curve(points: Sequence[Point], task: str, part: str) -> list[tuple[int, float]]:
    """Return (chains, seconds) of a task's part, in order."""
    known = [(p.chains, p.seconds[part]) for p in points if p.task == task and part in p.seconds]
    return sorted(known)


def slope(line: Sequence[tuple[int, float]]) -> float | None:
    """Return the power of the number of chains by which the last two points grow."""
    if len(line) < 2 or min(line[-1][1], line[-2][1]) <= 0:
        return None
    (m, low), (n, high) = line[-2:]
    return math.log(high / low) / math.log(n / m)


def expected(points: Sequence[Point], task: str, chains: int) -> dict[str, float]:
    """Return the seconds of each part at this size, as its last two points go on."""
    found = {}
    for part in PARTS:
        line = [(n, s) for n, s in curve(points, task, part) if n < chains]
        power = slope(line)
        if power is not None:
            n, seconds = line[-1]
            found[part] = seconds * (chains / n) ** min(max(1.0, power), 2.0)
    return found


def table(points: Sequence[Point]) -> Iterator[str]:
    """Yield a row a point: seconds of the processor, times its bound in brackets, and memory."""
    yield "\n| task | chains | " + " | ".join(PARTS) + " | held, GB | peak, GB |"
    yield "|---|--:" + "|--:" * (len(PARTS) + 2) + "|"
    for p in points:
        cells = [cell(p, part) for part in PARTS]
        most = max(p.peak_gb.values(), default=0.0)
        yield f"| {p.task} | {p.chains:,} | {' | '.join(cells)} | {p.held_gb:.2f} | {most:.2f} |"


def cell(point: Point, part: str) -> str:
    if part in point.left_out:
        return f"(about {point.left_out[part]:,.0f})"
    if part not in point.seconds:
        return "–"
    seconds, bound = point.seconds[part], point.bound.get(part)
    return f"{seconds:.2f}" + (f" ({seconds / bound:.1f})" if bound else "")


def slopes(points: Sequence[Point]) -> Iterator[str]:
    """Yield each part's slope over its last two points."""
    yield "\n| task, the last slope | " + " | ".join(PARTS) + " |"
    yield "|---" + "|--:" * len(PARTS) + "|"
    for task in dict.fromkeys(p.task for p in points):
        found = [slope(curve(points, task, part)) for part in PARTS]
        cells = ["–" if power is None else f"{power:.2f}" for power in found]
        yield f"| {task} | {' | '.join(cells)} |"


def plot(points: Sequence[Point], picture: Path) -> None:
    """Draw a panel a part, a line a task, both axes logarithmic."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3, sharex=True, sharey=True).flat
    ends = [min(p.chains for p in points), max(p.chains for p in points)]
    for panel, part in zip(panels, PARTS, strict=False):
        for task in dict.fromkeys(p.task for p in points):
            line = curve(points, task, part)
            sizes, seconds = [n for n, _ in line], [s for _, s in line]
            panel.plot(sizes, seconds, marker="o", markersize=3, label=task)
        for power, style in ((1, "--"), (2, ":")):
            rising = [1e-3 * (n / ends[0]) ** power for n in ends]
            panel.plot(ends, rising, style, color="0.6", label=f"grows with power {power}")
        panel.set(title=part, xscale="log", yscale="log", ylim=(1e-4, 1e3))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    last = figure.axes[-1]
    last.axis("off")
    last.legend(*figure.axes[0].get_legend_handles_labels(), loc="center")
    figure.supxlabel("chains")
    figure.supylabel("seconds of the processor")
    # text as text, and the same file from the same points
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "cost"}):
        figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
