"""Count what each model of models.txt computes and holds, without its weights, into counts.csv.

    python examples/first-board/count.py              # all of them, a minute or two
    python examples/first-board/count.py --check      # against the rates of benchmarks/README.md

The architecture is built on torch's "meta" device, where shapes are computed and numbers are not,
and is taken only if it has exactly the parameters that the model's card states, to the unit: where
positions are learned, that fixes the image's side too. Operations are those of matrix products,
convolutions and attention, a multiplication and an addition counted as two; memory is the largest
sum of the tensors that live at once, attention's scores, which GPUs do not store, left out. A row
without numbers is of a model that reads a picture in pieces of its own choice.
"""

from __future__ import annotations

import argparse
import csv
import re
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from architectures import FAMILIES, Network
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from hiereval.many import listed
from hiereval.models import Card, known

HERE = Path(__file__).parent
COUNTS = HERE / "counts.csv"
BENCHMARKS = HERE.parents[1] / "benchmarks" / "README.md"
TOKENS = 12  # of HierarCaps' captions: 9.9 on average, 11.4 with the padding of batches of 1,024
MEASURED_TOKENS = 27  # of the longest of the benchmark's 244 captions, in one batch
MEASURED = {  # row of the benchmark -> a model of its architecture
    "CLIP ViT-B/32": "clip-b32",
    "CLIP ViT-L/14": "clip-l14",
    "SigLIP base, 224": "siglip",
    "SigLIP so400m, 384": "siglip-so400m",
    "SigLIP 2 base, 224": "siglip2",
    "SigLIP 2 base NaFlex, 256 patches": "siglip2-naflex",
    "BLIP base, 384": "blip-base",
    "ALIGN base (EfficientNet-B7), 289": "align",
    "OpenCLIP ViT-B/32": "openclip-b32-laion2b",
    "OpenCLIP ViT-H/14": "openclip-h14-laion2b",
    "MERU ViT-B/16": "meru-b16",
    "MERU ViT-L/16": "meru",
}


@dataclass(frozen=True)
class Counts:
    """One model: an image's side, its and a text's operations (1e9) and memory (1e6 bytes)."""

    model: str
    side: int | None = None
    dimensions: int | None = None
    image_gflop: float | None = None
    text_gflop: float | None = None
    image_mb: float | None = None
    text_mb: float | None = None


def counted(model: str, tokens: int = TOKENS) -> Counts:
    """Return a model's counts for texts of so many tokens where it does not pad to its context."""
    card = known()[model]
    if card.adapter not in FAMILIES:
        return Counts(model)
    with torch.device("meta"), torch.no_grad():
        network = FAMILIES[card.adapter](model, card)
        _refuse_another(model, card, network)
        network.module.eval().requires_grad_(False)
        tokens = min(tokens, network.context) if network.pads_to_longest else network.context
        ids = torch.zeros(1, tokens, dtype=torch.long)
        image, text = lambda: network.image(1), lambda: network.text(ids)
        return Counts(
            model,
            network.side,
            text().shape[-1],
            _gflop(image),
            _gflop(text),
            _live_mb(image, network.module),
            _live_mb(text, network.module),
        )


def _refuse_another(model: str, card: Card, network: Network) -> None:
    found = sum(p.numel() for p in network.module.parameters())
    if found != card.parameters:
        stated = f"its card says {card.parameters:,}"
        raise SystemExit(f"{model}: the architecture has {found:,} parameters, {stated}")


def _gflop(call: Callable[[], Tensor]) -> float:
    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops() / 1e9)


def _live_mb(call: Callable[[], Tensor], module: torch.nn.Module) -> float:
    with _Live(module) as live, _NoScores():
        call()
    return live.peak / 1e6


class _NoScores(TorchFunctionMode):
    """Gives attention's result without what it is computed from."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            return torch.empty_like(args[0] if args else (kwargs or {})["query"])
        return func(*args, **(kwargs or {}))


class _Live(TorchDispatchMode):
    """Adds up the bytes of tensors that live, a module's own left out."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        own = [*module.parameters(), *module.buffers()]
        self.seen = {tensor.untyped_storage()._cdata for tensor in own}
        self.now = self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.seen:
            return
        self.seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


def check() -> None:
    """Print what each measured row computed a second and held, beside what was counted.

    Alike in every row if operations are what costs time; what no count explains of the memory is
    the process itself.
    """
    print("| architecture | image, GFLOP | /s of a core | text, GFLOP | /s of a core ", end="")
    print("| memory counted, GB | measured |\n|---|--:|--:|--:|--:|--:|--:|")
    rows = re.findall(r"^\| (.+?) \|(.+)\|$", BENCHMARKS.read_text("utf-8"), re.MULTILINE)
    for title, rest in rows:
        if title in MEASURED:
            print(f"| {title} | {_beside(MEASURED.pop(title), rest.split('|'))} |", flush=True)


def _beside(model: str, cells: list[str]) -> str:
    """Return the counts beside a row of the benchmark: 64 images in one batch, 244 texts."""
    found, card = counted(model, MEASURED_TOKENS), known()[model]
    image, text = found.image_gflop or 0, found.text_gflop or 0
    held = 4 * (card.parameters or 0) / 1e9 + 64 * (found.image_mb or 0) / 1e3
    images, texts, memory = (float(cells[i]) for i in (4, 7, 9))
    return (
        f"{image:.1f} | {images * image:.0f} | {text:.2f} | {texts * text:.0f} "
        f"| {held:.1f} | {memory:.1f}"
    )


def main() -> None:
    """Count every model of the file, or check the rule."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        check()
        return
    with COUNTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Counts.__dataclass_fields__)
        for fields in listed(HERE / "models.txt"):
            found = counted(fields["model"])
            writer.writerow(
                "" if value is None else f"{value:.4g}" if isinstance(value, float) else value
                for value in vars(found).values()
            )
            print(found, flush=True)


if __name__ == "__main__":
    main()
