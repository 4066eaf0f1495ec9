"""What a launcher says, and what each of its processes then encodes; here they are threads."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from support.fakes import HashAdapter
from support.pictures import painted

from hiereval import embed as encoding
from hiereval.embed import embed, encode, left_undone
from hiereval.errors import HierevalError
from hiereval.processes import Processes, wait_asleep
from hiereval.store import Shelf, Store, text_key
from hiereval.types import Embeddings, LoadOptions

KEYS = [text_key(str(i)) for i in range(1001)]
DATA = painted(texts=200, images=60)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Processes()),
        (
            {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
            Processes(3, 8, 1, 2),
        ),
        (
            {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "6", "SLURM_LOCALID": "1"},
            Processes(5, 6, 1, 1),
        ),
        (
            {
                "OMPI_COMM_WORLD_RANK": "1",
                "OMPI_COMM_WORLD_SIZE": "2",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            },
            Processes(1, 2, 1, 2),
        ),
        # a batch script outside srun: one process, though the job has four tasks
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"}, Processes()),
        # torchrun inside a step of SLURM
        (
            {"RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
            Processes(1, 2),
        ),
    ],
)
def test_what_a_launcher_says(variables: dict[str, str], expected: Processes) -> None:
    assert Processes.launched(variables) == expected


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"RANK": "two", "WORLD_SIZE": "2"},
            "The RANK 'two' of torchrun must be a whole number.",
        ),
        (
            {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "2"},
            "The SLURM_PROCID 2 of srun must be below its SLURM_STEP_NUM_TASKS, 2.",
        ),
    ],
)
def test_nonsense_of_a_launcher(variables: dict[str, str], message: str) -> None:
    with pytest.raises(HierevalError) as error:
        Processes.launched(variables)
    assert str(error.value) == message


@pytest.mark.parametrize("given", ["0/4", "5/4", "2", "a/b", "1/0", "-1/4"])
def test_a_share_that_is_none(given: str) -> None:
    with pytest.raises(HierevalError) as error:
        Processes.part(given)
    assert str(error.value) == (
        f"The share {given!r} must be R/N with R from 1 to N, for example 2/8."
    )
    assert Processes.part("2/4") == Processes(1, 4, apart=True)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 2000])
def test_shares_are_disjoint_complete_and_of_one_size(size: int) -> None:
    shares = [Processes(rank, size).share(KEYS) for rank in range(size)]
    assert Counter(key for share in shares for key in share) == Counter(KEYS)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for share in shares:
        assert share == sorted(share, key=KEYS.index)  # as they stand on the disk


def test_each_process_begins_elsewhere_with_what_others_left() -> None:
    taken = [set(Processes(rank, 4).others(KEYS, 20)) for rank in range(4)]
    assert [len(some) for some in taken] == [20] * 4
    assert len(set().union(*taken)) == 80
    few = [Processes(rank, 4).others(KEYS[:8], 8) for rank in range(4)]
    assert sorted(key for some in few for key in some) == sorted(KEYS[:8])
    assert Processes(63, 64).others(KEYS[:1], 8) == KEYS[:1]


def fake() -> HashAdapter:
    return HashAdapter("c", LoadOptions())


def one_process(folder: Path) -> Embeddings:
    return embed(fake(), DATA, images=True, anchors=[""], store=Store(folder), batch_size=4)[0]


def several(size: int, folder: Path, ranks: list[int] | None = None) -> Embeddings:
    """Return what the first of some processes reads; they all share one cache."""

    def one(rank: int) -> Embeddings | None:
        given = {"images": True, "anchors": [""], "store": Store(folder), "batch_size": 4}
        processes = Processes(rank, size)
        if processes.first:
            return embed(fake(), DATA, processes=processes, **given)[0]  # type: ignore[arg-type]
        encode(fake(), DATA, processes=processes, **given)  # type: ignore[arg-type]
        return None

    with ThreadPoolExecutor(size) as pool:
        done = list(pool.map(one, range(size) if ranks is None else ranks))
    return next(vectors for vectors in done if vectors is not None)


def same(one: Embeddings, other: Embeddings) -> bool:
    assert one.image is not None
    assert other.image is not None
    return (
        torch.equal(one.text, other.text)
        and torch.equal(one.image, other.image)
        and torch.equal(one.anchors[""], other.anchors[""])
    )


def encoded() -> dict[str, int]:
    total: Counter[str] = Counter()
    for what, n in HashAdapter.calls:
        total[what] += n
    return dict(total)


@pytest.mark.parametrize("size", [2, 4])
def test_several_processes_encode_each_input_once(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "GRACE_SECONDS", 60.0)
    expected = one_process(tmp_path / "one")
    HashAdapter.calls.clear()
    assert same(several(size, tmp_path / "several"), expected)
    assert encoded() == {"texts": 201, "images": 60}


def test_the_first_makes_up_for_dead_processes_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(encoding, "GRACE_SECONDS", 0.05)
    expected = one_process(tmp_path / "one")
    with caplog.at_level(logging.WARNING):
        assert same(several(4, tmp_path / "first", ranks=[0]), expected)
    assert caplog.messages == [
        f"{n} {what} that fell to other processes were encoded by the first one: another is "
        "slow, came late or has ended."
        for n, what in ((150, "texts"), (45, "images"))
    ]


def test_any_number_of_processes_go_on_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "GRACE_SECONDS", 60.0)
    expected = one_process(tmp_path / "one")
    apart = Processes(1, 4, apart=True)
    folder = tmp_path / "several"
    encode(fake(), DATA, images=True, store=Store(folder), batch_size=4, processes=apart)
    stored = len(Store(folder).shelf(fake().id))
    assert stored == 50 + 15
    HashAdapter.calls.clear()
    assert same(several(3, folder), expected)
    assert sum(encoded().values()) == 261 - stored


def test_caches_apart_are_joined_by_copying_their_files(tmp_path: Path) -> None:
    import shutil

    for rank in range(3):
        own, apart = Store(tmp_path / str(rank)), Processes(rank, 3, apart=True)
        encode(fake(), DATA, images=True, anchors=[""], store=own, batch_size=4, processes=apart)
        shutil.copytree(own.folder, Store(tmp_path / "all").folder, dirs_exist_ok=True)
    HashAdapter.calls.clear()
    joined = one_process(tmp_path / "all")
    assert HashAdapter.calls == []
    assert same(joined, one_process(tmp_path / "one"))


def test_every_batch_is_stored_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a kill costs at most one batch; no signal is needed to see what is on the disk."""
    adapter, seen = fake(), []
    encode_texts = adapter.encode_texts

    def watched(texts: list[str]) -> torch.Tensor:
        seen.append((len(Store(tmp_path).shelf(adapter.id)), len(texts)))
        return encode_texts(texts)

    monkeypatch.setattr(adapter, "encode_texts", watched)
    apart = Processes(0, 2, apart=True)
    encode(adapter, DATA, images=False, store=Store(tmp_path), batch_size=4, processes=apart)
    assert [stored for stored, _ in seen] == [0, 16, 32, 48, 64, 80, 96]
    assert [n for _, n in seen] == [16] * 6 + [4]


def test_others_are_left_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock that counts is this process's own and runs anew with whatever is stored."""
    now, shelf, other = [0.0], Shelf(tmp_path / ("0" * 32)), Shelf(tmp_path / ("0" * 32))
    stores = {5.0: KEYS[:2], 11.0: KEYS[2:4]}  # another process's, second by second

    def sleep(_: float) -> None:
        now[0] += 1.0
        if now[0] in stores:
            some = stores[now[0]]
            other.put(some, torch.zeros(len(some), 3), [-1] * len(some))

    monkeypatch.setattr(encoding.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(encoding.time, "sleep", sleep)
    monkeypatch.setattr(encoding, "GRACE_SECONDS", 8.0)
    taken = []
    for some in left_undone(shelf, KEYS[:10], 4, Processes(0, 2)):
        taken.append((now[0], len(some)))
        now[0] += 5.0  # what a batch takes
        shelf.put(some, torch.zeros(len(some), 3), [-1] * len(some))
    # after eight quiet seconds, and then on, until another process stores something
    assert taken == [(19.0, 3), (24.0, 2), (29.0, 1)]


def test_threads_wait_asleep_unless_the_user_says_otherwise() -> None:
    nothing_said: dict[str, str] = {}
    wait_asleep(nothing_said)
    assert nothing_said == {"OMP_WAIT_POLICY": "PASSIVE"}
    said = {"OMP_WAIT_POLICY": "ACTIVE"}
    wait_asleep(said)
    assert said == {"OMP_WAIT_POLICY": "ACTIVE"}
