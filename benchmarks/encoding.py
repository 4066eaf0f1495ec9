"""Images of HierarCaps through a full-size network with random weights: where the time goes.

    python benchmarks/encoding.py --data-dir DATA [--model clip-b32] [--images 208] [--repeats 3]
        [--what parts,batches,texts,preparing,settings]

parts: end to end, beside preparing alone and the forward alone. batches: the forward in batches of
several sizes, and by how much vectors differ; texts: the same of four times as many captions.
preparing: threads against processes. settings: how the forward may be computed otherwise. One way
after the other, in rounds, the best round counts; where other work shares the machine, the figures
per second of a core's own time still hold.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from clocks import timed
from torch import Tensor

from hiereval import linear
from hiereval.batch_sizes import Batch
from hiereval.datasets import head, image_files
from hiereval.embed import embed
from hiereval.inflight import launch
from hiereval.processes import Processes
from hiereval.session import Session
from hiereval.store import Store
from hiereval.types import Dataset, ImageSource

SIZES = (8, 16, 32, 64)


def main() -> None:
    from full_size import ARCHITECTURES

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--model", default="clip-b32", choices=ARCHITECTURES)
    parser.add_argument("--images", type=int, default=208)
    parser.add_argument("--batch", type=int, default=16, help="of parts and settings")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--what", default="parts,batches,texts,preparing,settings")
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} threads of torch")
    with tempfile.TemporaryDirectory() as scratch:
        row = ARCHITECTURES[given.model]
        folder = Path(scratch, given.model)
        folder.mkdir()
        session = Session.of(device="cpu", data_dir=given.data_dir, cache_dir=Path(scratch, "c"))
        data = session.dataset("hierarcaps")
        spec = f"{row.adapter}:{row.write(folder, data.texts) or folder}"
        adapter = session.adapter(spec, row.arguments, random_init=0)
        images = replace(head(data, given.images), texts=())
        for what in given.what.split(","):
            if what == "parts":
                parts(given.model, adapter, images, given.batch, given.repeats)
            elif what == "preparing":
                preparing(adapter, spec, row.arguments, images, given.repeats)
            elif what == "batches":
                inputs = inputs_of(adapter, images)
                batches("images", adapter.encode_images, inputs, SIZES, given.repeats)
            elif what == "texts":
                some = sorted(data.texts[: 4 * given.images], key=len)
                sizes = [4 * size for size in SIZES]
                batches("texts", adapter.encode_texts, some, sizes, given.repeats)
            else:
                settings(adapter, inputs_of(adapter, images), given.batch, given.repeats)


def parts(title: str, adapter: Any, images: Dataset, batch: int, repeats: int) -> None:
    """Images end to end, from files' bytes to stored vectors, beside its two parts alone."""
    inputs = inputs_of(adapter, images)
    adapter.encode_images(inputs[:1])  # loads the weights
    shares = []

    def end_to_end() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder))
            _, stats = embed(adapter, images, images=True, store=store, batch_size=batch)
            shares.append(stats.forward_share)

    best = rounds(
        {
            "prepare": lambda: prepared(adapter, images),
            "forward": lambda: forward(adapter.encode_images, inputs, batch),
            "end to end": end_to_end,
        },
        repeats,
    )
    title = f"{title}, batches of {batch}"
    show(title, len(images.images), best)
    wall, cpu = best["end to end"]
    two = [best["prepare"], best["forward"]]
    print(f"{title}: end to end / slower part: ", end="")
    print(f"{max(part[0] for part in two) / wall:.2f} wall; ", end="")
    print(f"both parts' share of the processor: {sum(part[1] for part in two) / cpu:.2f}; ", end="")
    print(f"forward_share: {', '.join(f'{share:.2f}' for share in shares if share)}")


def batches(
    title: str,
    encode: Callable[[list[Any]], Tensor],
    inputs: list[Any],
    sizes: Sequence[int],
    repeats: int,
) -> None:
    """The forward alone in batches of several sizes."""
    found: dict[str, Tensor] = {}

    def one(size: int) -> Callable[[], None]:
        return lambda: found.update({f"{title} by {size}": forward(encode, inputs, size)})

    encode(inputs[:1])
    show(title, len(inputs), rounds({f"by {size}": one(size) for size in sizes}, repeats))
    differences(found)


def preparing(
    adapter: Any, spec: str, arguments: Mapping[str, str], images: Dataset, repeats: int
) -> None:
    """Decode and resize by threads, and by as many processes, which send their pixels."""
    n = Processes().cpus
    with ProcessPoolExecutor(
        n, get_context("forkserver"), initializer=_open, initargs=(spec, arguments)
    ) as pool:
        list(pool.map(_prepare, images.images[:n]))

        def processes() -> float:
            done = list(pool.map(_prepare, images.images, chunksize=8))
            return sum(seconds for _, seconds in done)

        ways = {
            "1 thread": lambda: prepared(adapter, images, 1),
            f"{n} threads": lambda: prepared(adapter, images, n),
            f"{n} processes": processes,
        }
        show("preparing", len(images.images), rounds(ways, repeats))


def _open(spec: str, arguments: Mapping[str, str]) -> None:
    global ADAPTER
    torch.set_num_threads(1)
    ADAPTER = Session.of(device="cpu").adapter(spec, arguments, random_init=0)


def _prepare(image: ImageSource) -> tuple[Any, float]:
    """Return what is sent, and the processor's seconds that it took here."""
    began = time.process_time()
    made = _arrays(ADAPTER.preprocess(image_files.decode(image)))
    return made, time.process_time() - began


def _arrays(prepared: Any) -> Any:
    """As arrays, since tensors would be sent through shared memory, a file each."""
    if isinstance(prepared, dict):
        return {key: value.numpy() for key, value in prepared.items()}
    return prepared.numpy()


def settings(adapter: Any, inputs: list[Any], batch: int, repeats: int) -> None:
    """Other ways of computing the same forward (networks of transformers)."""
    network, found = adapter.towers.whole, {}

    def one(name: str, way: Callable[[Any], Any]) -> Callable[[], None]:
        def run() -> None:
            with way(network):
                found[name] = forward(adapter.encode_images, inputs, batch)

        return run

    ways = {
        "as it is": nullcontext,
        "linear layers by torch": by_torch,
        "attention eager": eager,
        "channels last": channels_last,
        "compiled": compiled,
    }
    with compiled(network):  # compiles
        began = time.perf_counter()
        forward(adapter.encode_images, inputs[: batch + len(inputs) % batch], batch)
        print(f"compiling: {time.perf_counter() - began:.0f} s")
    runs = {name: one(name, way) for name, way in ways.items()}
    show(f"batches of {batch}", len(inputs), rounds(runs, repeats))
    differences(found)


@contextmanager
def by_torch(network: Any) -> Iterator[None]:
    with mock.patch.object(linear, "is_faster", return_value=False):
        yield


@contextmanager
def eager(network: Any) -> Iterator[None]:
    before = network.config._attn_implementation
    network.set_attn_implementation("eager")
    yield
    network.set_attn_implementation(before)


@contextmanager
def channels_last(network: Any) -> Iterator[None]:
    network.to(memory_format=torch.channels_last)
    yield
    network.to(memory_format=torch.contiguous_format)


@contextmanager
def compiled(network: Any) -> Iterator[None]:
    plain = network.vision_model
    network.vision_model = COMPILED.setdefault(id(plain), torch.compile(plain))
    with by_torch(network):  # the compiler hands layers to whom it likes
        yield
    network.vision_model = plain


COMPILED: dict[int, Any] = {}


def inputs_of(adapter: Any, images: Dataset) -> list[Any]:
    return [adapter.preprocess(image_files.decode(image)) for image in images.images]


def forward(encode: Callable[[list[Any]], Tensor], inputs: list[Any], batch: int) -> Tensor:
    launched = (
        launch(encode, inputs[i : i + batch], Batch(batch), "cpu")
        for i in range(0, len(inputs), batch)
    )
    return torch.cat([one.vectors for one in launched])


def prepared(adapter: Any, data: Dataset, threads: int | None = None) -> None:
    """Read, decode and preprocess in threads, and compute nothing."""
    with ThreadPoolExecutor(threads or Processes().cpus) as pool:
        for _ in pool.map(lambda s: adapter.preprocess(image_files.decode(s)), data.images):
            pass


def differences(found: Mapping[str, Tensor]) -> None:
    """Print by how much vectors of length 1 differ from the first ones."""
    units = {name: torch.nn.functional.normalize(x.double()) for name, x in found.items()}
    (name, first), *others = units.items()
    for other, unit in others:
        print(f"unit vectors, {other} - {name}: at most {(unit - first).abs().max():.1e}")


def rounds(
    runs: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, tuple[float, float]]:
    """Return each way's least seconds, on the wall and of the processor."""
    best = {what: (float("inf"), float("inf")) for what in runs}
    for _ in range(repeats):
        for what, run in runs.items():
            wall, cpu = timed(run)
            best[what] = min(best[what][0], wall), min(best[what][1], cpu)
    return best


def show(title: str, n: int, best: Mapping[str, tuple[float, float]]) -> None:
    for what, (wall, cpu) in best.items():
        print(f"{title}: {what:16s} {n / wall:8.1f} a second, ", end="")
        print(f"{n / cpu:8.1f} per second of a core")


if __name__ == "__main__":
    main()
