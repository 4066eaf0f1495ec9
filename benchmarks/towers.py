"""What texts cost where their tower loads alone, beside the whole network: seconds and memory.

    python benchmarks/towers.py --data-dir DATA [--only clip-b32,siglip-so400m] [--limit 8]

Full-size architectures (benchmarks/full_size.py), written with random weights in float32, the same
in half precision, and without weights (--random-init 0: a twin). Each row is a process of its own
that opens the model, loads what texts need (or all of it, as a run did before), and then runs
`ordering` over the first chains of HierarCaps. Prints a Markdown table; both rows of a pair must
have the same records, or the program fails.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from full_size import ARCHITECTURES

KINDS = ("float32", "half", "twin")


def write(name: str, data: Path, folder: Path) -> None:
    """Write an architecture's folder as each kind of weights."""
    from safetensors.torch import load_file, save_file

    from hiereval import registry
    from hiereval.datasets import open_dataset
    from hiereval.places import Places
    from hiereval.types import DataOptions, LoadOptions

    places = Places.of(folder / "cache", data)
    row, made = ARCHITECTURES[name], folder / "made"
    made.mkdir()
    texts = open_dataset("hierarcaps", DataOptions(places=places)).texts
    checkpoint = row.write(made, texts) or str(made)
    options = LoadOptions(random_init=0, places=places)
    (folder / "float32").mkdir()
    registry.load("adapters", row.adapter)(checkpoint, options).save(folder / "float32")
    shutil.copytree(folder / "float32", folder / "twin")
    shutil.copytree(folder / "float32", folder / "half")
    for file in (folder / "half").glob("*.safetensors"):
        halves = {k: v.half() if v.is_floating_point() else v for k, v in load_file(file).items()}
        save_file(halves, file, metadata={"format": "pt"})


def measure(name: str, data: Path, folder: Path, kind: str, whole: bool, limit: int) -> dict:
    """Load and run one model in this process."""
    from hiereval.adapters.towers import Towers
    from hiereval.hooks import folder_prefix
    from hiereval.job import Job  # imported before the clock starts, as torch is below
    from hiereval.run import RunConfig, run
    from hiereval.session import Session

    assert Job
    if whole:
        Towers.text = Towers.whole
    row = ARCHITECTURES[name]
    seed = 0 if kind == "twin" else None
    from hiereval import registry

    prefix = folder_prefix(registry.load("adapters", row.adapter))
    spec = f"{row.adapter}:{prefix}{folder / kind}"
    session = Session.of(data_dir=data, cache_dir=folder / "cache" / f"{kind}-{whole}")
    adapter: Any = session.adapter(spec, random_init=seed)
    adapter.text_lengths(["a bird"])  # imports, the tokenizer
    started = time.perf_counter(), time.process_time()
    network = adapter.towers.text
    loaded = time.perf_counter() - started[0], time.process_time() - started[1]
    held = sum(p.numel() for p in network.parameters())
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    del network, adapter
    config = RunConfig(
        model=spec, random_init=seed, name=f"{name}-{kind}", datasets=("hierarcaps",),
        tasks="ordering", limit=limit, null_draws=0,
    )  # fmt: skip
    found = run(session, config).records
    return {
        "load_s": loaded[0],
        "load_core_s": loaded[1],
        "parameters": held / 1e6,
        "resident_gb": resident / 1e9,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "records": [
            (r.record_id, r.model.fingerprint, {k: m.value for k, m in r.metrics.items()})
            for r in found
        ],
    }


def main() -> None:
    """Measure each pair in fresh processes and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--only", default="clip-b32,openclip-b32,siglip-so400m")
    parser.add_argument("--limit", type=int, default=8, help="chains of HierarCaps")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, kind, whole = given.one.split(",")
        if kind == "write":
            write(name, given.data_dir, given.folder)
        else:
            row = measure(name, given.data_dir, given.folder, kind, bool(whole), given.limit)
            print(json.dumps(row))
        return
    print(
        "| architecture | weights | network | parameters (M) | load (s) | core s | resident (GB) "
        "| peak of the run (GB) |\n|---|---|---|--:|--:|--:|--:|--:|"
    )
    for name in given.only.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            _child(given, scratch, f"{name},write,")
            for kind in KINDS:
                pair = [_child(given, scratch, f"{name},{kind},{how}") for how in ("whole", "")]
                assert pair[0]["records"] == pair[1]["records"], (name, kind)
                for row, how in zip(pair, ("whole", "texts alone"), strict=True):
                    print(
                        f"| {ARCHITECTURES[name].title} | {kind} | {how} "
                        f"| {row['parameters']:.0f} | {row['load_s']:.2f} "
                        f"| {row['load_core_s']:.2f} | {row['resident_gb']:.2f} "
                        f"| {row['peak_gb']:.2f} |",
                        flush=True,
                    )


def _child(given: argparse.Namespace, folder: str, one: str) -> Any:
    arguments = ["--one", one, "--folder", folder, "--data-dir", given.data_dir]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments), "--limit", str(given.limit)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    return json.loads(done.stdout.splitlines()[-1]) if ",write," not in one else None


if __name__ == "__main__":
    main()
