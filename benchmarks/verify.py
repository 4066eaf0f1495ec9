"""What `hiereval verify` costs: every task of HierarCaps, from vectors of 512 dimensions.

    python benchmarks/verify.py --data-dir DATA [--dim 512]

Vectors are random; the time does not depend on them. The run that makes the records and the
verification are each a process of their own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from clocks import command
from nulls import TASKS
from safetensors.torch import save_file

from hiereval import registry
from hiereval.datasets import open_dataset
from hiereval.places import Places
from hiereval.types import DataOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--dim", type=int, default=512)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        vectors, results = Path(scratch) / "mine", Path(scratch) / "results"
        write_vectors(vectors, given.data_dir, given.dim)
        own = ["--data-dir", given.data_dir, "--cache-dir", Path(scratch) / "cache"]
        model = ["--model", f"precomputed:{vectors}", "--controls", "none"]
        run = ["run", *model, "--tasks", ",".join(TASKS), "--output-path", results, *own]
        verify = ["verify", results, "--vectors", vectors, "--out", f"{scratch}/v.verified.json"]
        for asked in (run, [*verify, *own]):
            clock, processors, memory = command(*asked)
            print(f"{asked[0]}: {clock:.1f} s, {processors:.1f} s of processors, {memory:.2f} GB")


def write_vectors(folder: Path, data_dir: Path, dim: int) -> None:
    """Write random vectors of all that the tasks look at."""
    options = DataOptions(places=Places.of(data_dir=data_dir, offline=True))
    names = dict.fromkeys(registry.load("tasks", task).datasets[0] for task in TASKS)
    data = [open_dataset(name, options) for name in names]
    texts = list(dict.fromkeys(["", *(text for one in data for text in one.texts)]))
    images = list(dict.fromkeys(image.name for one in data for image in one.images))
    generator = torch.Generator().manual_seed(0)
    folder.mkdir()
    tensors = {
        "text": torch.randn(len(texts), dim, generator=generator),
        "image": torch.randn(len(images), dim, generator=generator),
    }
    save_file(tensors, folder / "embeddings.safetensors")
    (folder / "index.json").write_text(json.dumps({"texts": texts, "images": images}))


if __name__ == "__main__":
    main()
