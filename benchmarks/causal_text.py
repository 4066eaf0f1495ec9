"""open_clip's text towers up to the longest text of a batch, beside all 77 positions.

    python benchmarks/causal_text.py --data-dir DATA [--architecture ViT-B-32] [--every 6]

Every sixth caption of HierarCaps' test split, longest first as in a run, random weights, float32.
Prints both speeds, their ratio and how far the unit vectors differ.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hiereval.adapters.openclip import OpenClip
from hiereval.datasets import open_dataset
from hiereval.geometry import normalise
from hiereval.places import Places
from hiereval.types import DataOptions, LoadOptions

BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--every", type=int, default=6)
    given = parser.parse_args()
    adapter = OpenClip(given.architecture, LoadOptions(random_init=0))
    texts = open_dataset("hierarcaps", DataOptions(places=Places.of(data_dir=given.data_dir))).texts
    lengths = dict(zip(texts, adapter.text_lengths(texts), strict=True))
    texts = sorted(texts, key=lambda text: -lengths[text])[:: given.every]

    def whole(batch: Sequence[str]) -> Tensor:
        with torch.inference_mode():
            return adapter.towers.whole.encode_text(adapter.tokenizer(list(batch)))

    adapter.encode_texts(texts[:8])  # loads the network
    (slow, a), (fast, b) = (timed(encode, texts) for encode in (whole, adapter.encode_texts))
    difference = (normalise(a) - normalise(b)).abs().max().item()
    print(
        f"{given.architecture}: {len(texts)} texts, {len(texts) / fast:.1f}/s against "
        f"{len(texts) / slow:.1f}/s, {slow / fast:.2f} times as fast, within {difference:.1e}"
    )


def timed(encode: Callable[[Sequence[str]], Tensor], texts: Sequence[str]) -> tuple[float, Tensor]:
    """Return the seconds that all texts take, and their vectors."""
    started = time.perf_counter()
    vectors = [encode(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
    return time.perf_counter() - started, torch.cat(vectors)


if __name__ == "__main__":
    main()
