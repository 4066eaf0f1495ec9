"""Batches in flight: looked at one batch later, in order, whatever device computes them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.fakes import HashAdapter
from support.pictures import painted

from hiereval import inflight, streaming
from hiereval.batch_sizes import Batch
from hiereval.embed import embed, encode
from hiereval.errors import HierevalError
from hiereval.inflight import InFlight, Launched, launch
from hiereval.processes import Processes
from hiereval.store import Store
from hiereval.types import LoadOptions

DATA = painted(texts=200, images=60)
GIB = 1 << 30


@pytest.fixture
def fake() -> HashAdapter:
    HashAdapter.calls.clear()
    return HashAdapter("c", LoadOptions())


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch in flight, as on a GPU."""
    monkeypatch.setattr(inflight, "depth", lambda device: 1)


def test_a_batch_is_looked_at_when_the_next_was_handed_over(later: None) -> None:
    flight: InFlight[str] = InFlight("cpu")
    events: list[str] = []

    def launched(name: str) -> Launched:
        def computed() -> float:
            events.append(f"wait for {name}")
            return 0.0

        events.append(f"launch {name}")
        return Launched(torch.empty(0), computed)

    got = [what for name in "abc" for what, _ in flight.add(name, launched(name))]
    assert events == ["launch a", "launch b", "wait for a", "launch c", "wait for b"]
    assert got == ["a", "b"]
    assert [what for what, _ in flight.rest()] == ["c"]
    assert list(flight.rest()) == []


def test_a_wait_that_is_interrupted_loses_no_batch(later: None) -> None:
    flight: InFlight[str] = InFlight("cpu")
    interrupts = [KeyboardInterrupt]

    def computed() -> float:
        if interrupts:
            raise interrupts.pop()
        return 0.0

    list(flight.add("a", Launched(torch.empty(0), computed)))
    with pytest.raises(KeyboardInterrupt):
        list(flight.add("b", Launched(torch.empty(0), computed)))
    assert [what for what, _ in flight.rest()] == ["a", "b"]


def test_a_cpu_has_none_in_flight() -> None:
    assert [inflight.depth(d) for d in ("cpu", "mps", "cuda", "cuda:3")] == [0, 0, 1, 1]
    launched = launch(lambda rows: torch.tensor(rows), [[1], [2]], Batch(2), "cpu")
    assert launched.vectors.tolist() == [[1.0], [2.0]]
    assert launched.vectors.dtype == torch.float32
    assert launched.computed() == launched.computed() > 0


@pytest.mark.parametrize(
    ("returned", "seen"),
    [
        (np.ones((2, 3)), "a ndarray"),
        ([[1.0], [2.0]], "a list"),
        (torch.ones(2), "[2]"),
        (torch.ones(1, 3), "[1, 3]"),
        (None, "a NoneType"),
    ],
)
def test_what_is_no_vector_for_each_input_is_refused(returned: Any, seen: str) -> None:
    with pytest.raises(HierevalError) as caught:
        launch(lambda rows: returned, ["bird", "cat"], Batch(2), "cpu")
    assert str(caught.value) == (
        "The vectors that the adapter returned for 2 inputs must be a tensor [2, d], not "
        f"{seen}. 'hiereval check-adapter' tries all that an adapter must do."
    )


def test_vectors_and_rows_on_the_disk_are_those_of_none_in_flight(
    tmp_path: Path, fake: HashAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stored(folder: Path) -> tuple[Any, list[list[bytes]]]:
        store = Store(folder)
        vectors, _ = embed(fake, DATA, images=True, anchors=[""], store=store, batch_size=4)
        opened = store.shelf(fake.id).opened
        rows = [shard.read(torch.arange(len(shard)).numpy())[0] for shard in opened]
        return vectors, sorted([row.tobytes() for row in part.keys] for part in rows)

    plain, rows = stored(tmp_path / "plain")
    monkeypatch.setattr(inflight, "depth", lambda device: 1)
    later, rows_later = stored(tmp_path / "later")
    assert rows_later == rows
    assert torch.equal(later.text, plain.text)
    assert torch.equal(later.image, plain.image)
    assert torch.equal(later.anchors[""], plain.anchors[""])


def test_collections_come_in_order(fake: HashAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    from hiereval.datasets.image_parts import HeldImage

    held = [HeldImage(p.name, p.name, p.read()) for p in DATA.images]

    def of(device: str) -> list[tuple[list[str], torch.Tensor]]:
        given = streaming.images(fake, held, Batch(7), device, 2, pytest.fail)
        return [([image.key for image in some], vectors) for some, vectors in given]

    def texts() -> torch.Tensor:
        return streaming.texts(fake, DATA.texts, Batch(7), "cpu")

    plain, plain_texts = of("cpu"), texts()
    monkeypatch.setattr(inflight, "depth", lambda device: 1)
    later = of("cpu")
    assert [names for names, _ in later] == [names for names, _ in plain]
    assert sum(len(names) for names, _ in later) == 60
    for (_, got), (_, expected) in zip(later, plain, strict=True):
        assert torch.equal(got, expected)
    assert torch.equal(texts(), plain_texts)


def test_an_interrupted_run_keeps_what_was_in_flight(
    tmp_path: Path, fake: HashAdapter, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_texts, batches = fake.encode_texts, []

    def interrupted(texts: list[str]) -> torch.Tensor:
        if len(batches) == 3:
            raise KeyboardInterrupt
        batches.append(texts)
        return encode_texts(texts)

    monkeypatch.setattr(fake, "encode_texts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed(fake, DATA, images=False, store=Store(tmp_path), batch_size=2)
    assert len(Store(tmp_path).shelf(fake.id)) == 3 * 8


def test_of_several_processes_a_kill_costs_two_batches(
    tmp_path: Path, fake: HashAdapter, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is computed, and the one before it while it is written."""
    encode_texts, stored = fake.encode_texts, []

    def watched(texts: list[str]) -> torch.Tensor:
        stored.append(len(Store(tmp_path).shelf(fake.id)))
        return encode_texts(texts)

    monkeypatch.setattr(fake, "encode_texts", watched)
    apart = Processes(0, 2, apart=True)
    encode(fake, DATA, images=False, store=Store(tmp_path), batch_size=4, processes=apart)
    assert stored == [0, 0, 16, 32, 48, 64, 80]
    assert len(Store(tmp_path).shelf(fake.id)) == 100


def test_memory_that_does_not_suffice_halves_batches_in_flight(
    tmp_path: Path, fake: HashAdapter, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_texts, tried = fake.encode_texts, []

    def small(texts: list[str]) -> torch.Tensor:
        tried.append(len(texts))
        if len(texts) > 50:
            raise torch.OutOfMemoryError
        return encode_texts(texts)

    monkeypatch.setattr(fake, "encode_texts", small)
    got, _ = embed(fake, DATA, images=False, store=Store(tmp_path / "a"), batch_size=16)
    monkeypatch.undo()
    assert tried == [64, 32, 32, 32, 32, 32, 32, 8]
    expected, _ = embed(fake, DATA, images=False, store=Store(tmp_path / "b"), batch_size=16)
    assert torch.equal(got.text, expected.text)


class Gpu:
    """What `launch` asks of CUDA, and in which order; a model's memory is what is said here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, free: int = 16 * GIB) -> None:
        self.asked: list[str] = []
        gpu = self

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing

            def record(self) -> None:
                gpu.asked.append("record")

            def synchronize(self) -> None:
                gpu.asked.append("synchronize")

            def elapsed_time(self, other: Event) -> float:
                return 250.0  # milliseconds

        empty = torch.empty

        def pinned(shape: torch.Size, *, pin_memory: bool) -> torch.Tensor:
            assert pin_memory
            return empty(shape)

        for name, value in {
            "Event": Event,
            "device": lambda device: nullcontext(gpu.asked.append(device)),
            "reset_peak_memory_stats": lambda: None,
            "max_memory_allocated": lambda: 7 * GIB,
            "memory_allocated": lambda: 4 * GIB,  # of which the weights
            "memory_reserved": lambda: 8 * GIB,
            "mem_get_info": lambda: (free - 4 * GIB, 80 * GIB),
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch, "empty", pinned)


def test_a_gpu_is_waited_for_when_the_vectors_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)

    def encode(rows: list[float]) -> torch.Tensor:
        gpu.asked.append("encode")
        with torch.inference_mode():
            return torch.tensor([rows, rows], dtype=torch.float64)

    launched = launch(encode, [0.5, 2.0], Batch(2), "cuda:1")
    assert gpu.asked == ["cuda:1", "record", "encode", "record"]
    assert launched.computed() == 0.25
    assert gpu.asked[-1] == "synchronize"
    assert launched.vectors.tolist() == [[0.5, 2.0]] * 2
    assert launched.vectors.dtype == torch.float32


@pytest.mark.parametrize(("free", "size"), [(80 * GIB, 256), (16 * GIB, 128), (GIB, 8)])
def test_the_first_batch_says_how_many_fit(
    free: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 images took 3 GiB more than stays in memory."""
    Gpu(monkeypatch, free=free)
    batch = Batch(256, first=32)
    launch(lambda rows: torch.tensor(rows), [[0.0]] * 32, batch, "cuda")
    assert batch == Batch(size)
    launch(lambda rows: torch.tensor(rows), [[0.0]] * size, batch, "cuda")
    assert batch == Batch(size)


@pytest.mark.gpu
def test_on_a_gpu_vectors_are_those_of_the_device(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    weights = torch.randn(64, 512, generator=torch.Generator().manual_seed(0)).cuda()

    def encode(rows: list[torch.Tensor]) -> torch.Tensor:
        x = torch.stack(rows).cuda()
        for _ in range(50):  # long enough that the copy would come first if it did not wait
            x = (x @ weights @ weights.T).tanh()
        return x

    rows = list(torch.randn(96, 64, generator=torch.Generator().manual_seed(1)))
    batch, flight = Batch(256, first=32), InFlight[None]("cuda")
    found = []
    for start in range(0, 96, 32):
        found += flight.add(None, launch(encode, rows[start : start + 32], batch, "cuda"))
    found += flight.rest()
    expected = torch.cat([encode(rows[start : start + 32]).cpu() for start in range(0, 96, 32)])
    assert torch.equal(torch.cat([vectors for _, vectors in found]), expected)
    assert batch.first is None
