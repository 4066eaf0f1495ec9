"""Estimate what each model of models.txt costs, and write it behind its alias there.

    python examples/first-board/cost.py

From what count.py counted (counts.csv) and each model's card, for HierarCaps and its expanded
chains with all controls: the model and five twins of random weights read every text, the model and
one twin every image. Estimates:

    GPU time   operations / (peak x utilisation), of one A100 in float32 without TF32
    rest       loading six networks and scoring, on one core
    memory     float32 weights + what lives at once in a batch of 256 images or 1,024 texts; where
               that does not fit, batches halve themselves, down to the weights and one image
    disk       float32 weights + stored vectors + samples
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from hiereval.controls import IMAGE_TWINS, TEXT_TWINS
from hiereval.many import listed
from hiereval.models import known

HERE = Path(__file__).parent
MODELS, COUNTS = HERE / "models.txt", HERE / "counts.csv"

TEXTS = 24_987  # distinct captions of hierarcaps and hierarcaps-expanded, and the root
IMAGES = 1000
IMAGE_BATCH, TEXT_BATCH = 256, 1024  # of a GPU
PEAK = 19.5e12  # float32 operations a second of an NVIDIA A100, by its data sheet
UTILISATION = 0.5  # assumed: no GPU was there to measure it
LOAD_S = 16e-9  # a parameter: of the rows of benchmarks/README.md the slowest, SigLIP so400m
SCORING_S = 82.0  # measured with `toy`, one core: scoring, bootstrap, nulls, twins; verification
SAMPLES_GB = 0.11  # measured with `toy`


@dataclass(frozen=True)
class Cost:
    """One model; None where nothing was counted."""

    parameters: int
    needs: tuple[str, ...]
    side: int | None = None  # pixels
    disk_gb: float | None = None
    memory_gb: float | None = None
    gpu_s: float | None = None
    rest_s: float | None = None

    def line(self, model: str) -> str:
        """Return the model's line of models.txt."""
        if self.gpu_s is None or self.rest_s is None:
            cells = f"{'?':>7} GB {'?':>4} px {'?':>5} GB {'?':>5} + {'?':>4} min"
        else:
            cells = (
                f"{self.disk_gb:7.1f} GB {self.side:4} px {self.memory_gb:5.1f} GB "
                f"{self.gpu_s / 60:5.1f} + {self.rest_s / 60:4.1f} min"
            )
        needs = f"; {', '.join(self.needs)}" if self.needs else ""
        return f"{model:<24}# {self.parameters / 1e6:5.0f} M {cells}{needs}"


def costs() -> dict[str, Cost]:
    """Return the estimate of every model in counts.csv."""
    with COUNTS.open(encoding="utf-8", newline="") as file:
        return {row["model"]: _cost(row) for row in csv.DictReader(file)}


def _cost(row: dict[str, str]) -> Cost:
    card = known()[row["model"]]
    assert card.parameters is not None
    if not row["side"]:
        return Cost(card.parameters, tuple(card.needs))
    texts, images = TEXTS * (1 + TEXT_TWINS), IMAGES * (1 + IMAGE_TWINS)
    gflop = images * float(row["image_gflop"]) + texts * float(row["text_gflop"])
    batch_mb = max(IMAGE_BATCH * float(row["image_mb"]), TEXT_BATCH * float(row["text_mb"]))
    weights = 4 * card.parameters
    vectors = 4 * int(row["dimensions"]) * (texts + images)
    return Cost(
        card.parameters,
        tuple(card.needs),
        int(row["side"]),
        disk_gb=(weights + vectors) / 1e9 + SAMPLES_GB,
        memory_gb=weights / 1e9 + batch_mb / 1e3,
        gpu_s=gflop * 1e9 / (PEAK * UTILISATION),
        rest_s=LOAD_S * card.parameters * (1 + TEXT_TWINS) + SCORING_S,
    )


def totals(found: dict[str, Cost]) -> str:
    """Return the sums over the models that were counted, in words."""
    counted = [cost for cost in found.values() if cost.gpu_s is not None]
    gpu, rest, disk = (
        sum(getattr(cost, name) or 0 for cost in counted) for name in ("gpu_s", "rest_s", "disk_gb")
    )
    return (
        f"{len(counted)} of {len(found)} models: {gpu / 3600:.1f} hours of an A100 and "
        f"{rest / 3600:.1f} hours of a core beside it, {disk:.0f} GB of disk"
    )


def main() -> None:
    """Write models.txt again, each line behind its alias."""
    found = costs()
    lines = MODELS.read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith("#"):
            model = line.split()[0]
            lines[number] = found[model].line(model)
    MODELS.write_text("\n".join(lines) + "\n", "utf-8")
    assert [fields["model"] for fields in listed(MODELS)] == list(found)
    print(totals(found))


if __name__ == "__main__":
    main()
