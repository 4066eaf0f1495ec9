"""Full-size architectures with random weights over HierarCaps: memory and speed of the adapters.

    python benchmarks/adapters.py --data-dir DATA [--only clip-b32,blip] [--precision bf16]

Every architecture runs in a process of its own through the pipeline of `hiereval run` (decode,
preprocess, encode, store), from a folder that holds the configuration, a tokenizer and the image
processor's settings (benchmarks/full_size.py); the weights are random (--random-init 0). Prints a
Markdown table; where other work shares the machine, the figures per second of one core's time
still hold. "load" holds what st: and mteb: try once before their first vector.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from full_size import ARCHITECTURES


def measure(name: str, data: Path, chains: int, precision: Any) -> dict[str, Any]:
    """Run one architecture in this process."""
    from PIL import Image

    from hiereval import registry
    from hiereval.datasets import head, open_dataset
    from hiereval.embed import embed
    from hiereval.store import Store
    from hiereval.types import DataOptions, LoadOptions

    row = ARCHITECTURES[name]
    from hiereval.places import Places

    whole = open_dataset("hierarcaps", DataOptions(places=Places.of(data_dir=data)))
    dataset = head(whole, chains)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, name)
        folder.mkdir()
        checkpoint = row.write(folder, whole.texts) or str(folder)
        places = Places(cache=Path(scratch, "cache"), data=data)
        options = LoadOptions(
            random_init=None if row.weights else 0, precision=precision, places=places
        )
        adapter = registry.load("adapters", row.adapter)(checkpoint, options, **row.arguments)
        sees = "image" in adapter.modalities
        started = time.perf_counter()
        adapter.encode_texts(["a bird"])  # loads the network
        if sees:
            adapter.encode_images([adapter.preprocess(Image.new("RGB", (8, 8)))])
        loaded = time.perf_counter() - started
        store, clock = Store(Path(scratch)), time.process_time
        busy = [clock()]
        _, texts = embed(adapter, dataset, images=False, store=store)
        busy.append(clock())
        vectors, images = embed(adapter, dataset, images=sees, store=store)
        busy.append(clock())
    for part in (vectors.text, vectors.image) if sees else (vectors.text,):
        assert part is not None
        assert part.isfinite().all()
        assert adapter.id.embed_dim in (None, part.shape[1])
        assert len(part.unique(dim=0)) > 0.9 * len(part)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "architecture": row.title,
        "parameters": (adapter.id.n_params or _parameters(adapter)) / 1e6,
        "precision": precision,
        "load_s": loaded,
        "images": images.n_images,
        "images_per_s": images.images_per_s,
        "images_per_core_s": images.n_images / (busy[2] - busy[1]) if sees else 0.0,
        "texts": texts.n_texts,
        "texts_per_s": texts.texts_per_s,
        "texts_per_core_s": texts.n_texts / (busy[1] - busy[0]),
        "peak_gb": peak,
    }


def _parameters(adapter: Any) -> int:
    network = adapter.towers.whole if hasattr(adapter, "towers") else adapter.model
    return sum(p.numel() for p in network.parameters())


def main() -> None:
    """Measure each architecture in a fresh process and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    parser.add_argument("--precision", default="fp32")
    parser.add_argument(
        "--chains", type=int, default=64, help="of HierarCaps: images, a quarter of the texts"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.data_dir, given.chains, given.precision)))
        return
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {_processor()}, float32 weights")
    print(
        "\n| architecture | parameters (M) | precision | images | images/s | per core s | texts "
        "| texts/s | per core s | load (s) | peak memory (GB) |"
    )
    print("|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in given.only.split(","):
        arguments = ["--one", name, "--data-dir", given.data_dir, "--chains", given.chains]
        done = subprocess.run(
            [sys.executable, __file__, *map(str, arguments), "--precision", given.precision],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        row = json.loads(done.stdout.splitlines()[-1])
        seen = "– | –"
        if row["images"]:
            seen = f"{row['images_per_s']:.2f} | {row['images_per_core_s']:.2f}"
        print(
            f"| {row['architecture']} | {row['parameters']:.0f} | {row['precision']} "
            f"| {row['images'] or '–'} | {seen} "
            f"| {row['texts']} | {row['texts_per_s']:.1f} | {row['texts_per_core_s']:.1f} "
            f"| {row['load_s']:.0f} | {row['peak_gb']:.1f} |",
            flush=True,
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
