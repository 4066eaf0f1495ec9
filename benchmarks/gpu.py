"""What a GPU does: encoding by architecture and precision, metrics, probes, fine-tuning.

    python benchmarks/gpu.py --data-dir DATA [--models clip-b32,clip-l14,siglip-so400m]
        [--precision fp32,tf32,bf16,fp16] [--images 1000] [--what encoding,probes,finetuning]

Full-size architectures with random weights (benchmarks/full_size.py). encoding: images and texts a
second from an empty store, as a share of the bare forward of inputs that are prepared already, the
most memory, and by how much every metric moves from the first precision. probes: steps a second of
both trained probes, on vectors of 100,000 captions. finetuning: `benchmarks/finetune_speed.py`.
Sweeps and nulls have no GPU figure: scoring is on the CPU, whatever encoded.

Without a GPU it says that nothing was measured. `--device cpu --models tiny` goes the same ways
with a network of two layers, so that they are known to work.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from full_size import ARCHITECTURES, Architecture

from hiereval import evaluate
from hiereval.datasets import head, image_files
from hiereval.embed import embed
from hiereval.session import Session
from hiereval.store import Store
from hiereval.types import Dataset, Embeddings, ModelId

DIM, CAPTIONS = 512, 100_000  # of the probes
UNMEASURED = "GPU: nothing was measured, torch finds no CUDA device here."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", default="clip-b32,clip-l14,siglip-so400m")
    parser.add_argument("--precision", default="fp32,tf32,bf16,fp16")
    parser.add_argument("--dataset", default="hierarcaps", help="`shapes` needs no data")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--what", default="encoding,probes,finetuning")
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print(UNMEASURED)
        return
    name = torch.cuda.get_device_name(given.device) if is_cuda(given.device) else given.device
    print(f"{name}, torch {torch.__version__}")
    for what in given.what.split(","):
        {"encoding": encoding, "probes": probes, "finetuning": finetuning}[what](given)


def is_cuda(device: str) -> bool:
    return device.startswith("cuda")


# --- encoding -------------------------------------------------------------------------------------


def encoding(given: argparse.Namespace) -> None:
    print(
        "\n| model | precision | images/s | of the forward | texts/s | of the forward | peak GiB |"
    )
    print("|---|---|--:|--:|--:|--:|--:|")
    moved: dict[str, dict[str, dict[str, float]]] = {}
    for name in given.models.split(","):
        for precision in given.precision.split(","):
            with tempfile.TemporaryDirectory() as scratch:
                one = opened(name, precision, Path(scratch), given)
                print(f"| {one.title} | {precision} | {row(one)} |", flush=True)
                moved.setdefault(one.title, {})[precision] = metrics(one, given.images)
    for title, by_precision in moved.items():
        for line in differences(title, by_precision):
            print(line)


@dataclass(frozen=True)
class Opened:
    """A model with random weights at one precision, and what it encodes."""

    title: str
    spec: str
    session: Session
    adapter: Any
    data: Dataset


def opened(name: str, precision: str, scratch: Path, given: argparse.Namespace) -> Opened:
    folder = scratch / name
    folder.mkdir()
    session = Session.of(
        device=given.device,
        precision=precision,  # type: ignore[arg-type]
        data_dir=given.data_dir,
        cache_dir=scratch / "cache",
    )
    data: Any = head(session.dataset(given.dataset), given.images)
    model = TINY if name == "tiny" else ARCHITECTURES[name]
    spec = f"{model.adapter}:{model.write(folder, data.texts) or folder}"
    adapter = session.adapter(spec, model.arguments, random_init=0)
    return Opened(model.title, spec, session, adapter, data)


def tiny(folder: Path, captions: Any) -> None:
    from support.checkpoints import clip

    clip(folder)


TINY = Architecture("CLIP of two layers", "hf-clip", tiny)


def row(one: Opened) -> str:
    """Return speeds beside the forward's own, and the most memory."""
    texts = replace(one.data, images=())
    images = replace(one.data, texts=())
    inputs = [one.adapter.preprocess(image_files.decode(image)) for image in images.images]
    lengths = one.adapter.text_lengths(texts.texts)
    longest_first = [texts.texts[i] for i in sorted(range(len(lengths)), key=lambda i: -lengths[i])]
    device = one.session.options.device
    batch = 256 if is_cuda(device) else 64
    cells = []
    for data, encode, given in (
        (images, one.adapter.encode_images, inputs),
        (texts, one.adapter.encode_texts, longest_first),
    ):
        forward(encode, given[:batch], batch, device)  # loads, and warms up
        bare = forward(encode, given, batch, device)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            embed(one.adapter, data, images=data is images, store=Store(Path(folder)),
                  batch_size=batch, device=device)  # fmt: skip
            took = time.perf_counter() - began
        cells.append(f"{len(given) / took:.1f} | {bare / took:.2f}")
    return " | ".join([*cells, peak(device)])


def forward(encode: Callable[[Any], Any], inputs: list[Any], batch: int, device: str) -> float:
    """Return the seconds in which the network computes prepared inputs."""
    began = time.perf_counter()
    for start in range(0, len(inputs), batch):
        encode(inputs[start : start + batch])
    if is_cuda(device):
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def peak(device: str) -> str:
    """Return the most GPU memory since the last call, in GiB."""
    if not is_cuda(device):
        return "–"
    used = torch.cuda.max_memory_allocated(device) / 2**30
    torch.cuda.reset_peak_memory_stats(device)
    return f"{used:.2f}"


def metrics(one: Opened, images: int) -> dict[str, float]:
    """Return every defined metric of every task on the same data."""
    options = one.session.options
    records = evaluate(
        one.spec,
        datasets=one.data.name,
        controls="none",
        random_init=0,
        device=options.device,
        precision=options.precision,
        limit=images,
        cache_dir=options.places.cache,
        data_dir=options.places.data,
        resamples=2,
        progress=False,
    )
    return {
        f"{record.task.name}/{name}": metric.value
        for record in records
        for name, metric in record.metrics.items()
        if metric.value is not None
    }


def differences(title: str, found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how far each metric lies from the first precision's."""
    first, *others = found
    lines = [f"\n| {title}, metric | {first} | {' | '.join(f'{p} - {first}' for p in others)} |"]
    lines.append("|---" + "|--:" * len(found) + "|")
    for name, value in found[first].items():
        cells = [f"{found[p][name] - value:+.1e}" if name in found[p] else "–" for p in others]
        lines.append(f"| {name} | {value:.4f} | {' | '.join(cells)} |")
    return lines


# --- training -------------------------------------------------------------------------------------


def probes(given: argparse.Namespace) -> None:
    """Steps a second of the trained probes on random vectors."""
    from cost import made

    from hiereval import registry

    data = made(CAPTIONS // 6 if is_cuda(given.device) else 100, negatives=True)
    model = ModelId(adapter="made", name="made", checkpoint="")
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(len(data.texts), DIM, generator=generator)
    vectors = Embeddings(model, text, None, {"": torch.randn(DIM, generator=generator)})
    print("\n| probe | chains a step | steps/s | peak GiB |")
    print("|---|--:|--:|--:|")
    for name in ("learned-root", "radial-linear"):
        for epochs in (1, 5):  # the first warms up
            probe = registry.load("probes", name)(
                device=given.device, epochs=epochs, patience=epochs + 1
            )
            began = time.perf_counter()
            probe.fit(vectors, data, generator)
            took = time.perf_counter() - began
        steps = len(probe.descent_.log) / took
        print(f"| {name} | {probe.batch:,} | {steps:.1f} | {peak(given.device)} |")


def finetuning(given: argparse.Namespace) -> None:
    """Steps a second and memory of fine-tuning, beside a plain loop."""
    script = Path(__file__).with_name("finetune_speed.py")
    size = [] if is_cuda(given.device) else ["--towers", "tiny", "--batches", "4", "--steps", "2"]
    print(flush=True)
    subprocess.run([sys.executable, str(script), "--device", given.device, *size], check=True)


if __name__ == "__main__":
    main()
