"""Samples files: everything comes back exactly, nothing half-written is read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from support import sampled

from hiereval import registry, samples, seals
from hiereval.errors import HierevalError
from hiereval.estimates import bootstrap
from hiereval.types import Scores


@pytest.fixture(autouse=True)
def _coin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered, ("tasks", "coin"), sampled.Coin)


def test_every_kind_of_value_comes_back_exactly(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    items = {
        "radius": torch.randn(600, 4, generator=generator),  # float32, several chunks of rows
        "tau": torch.randn(600, generator=generator, dtype=torch.float64),
        "label": torch.arange(600),
        "noun": torch.arange(600) % 2 == 0,
    }
    items["tau"][1] = math.nan
    items["tau"][2] = math.inf
    items["tau"][3] = -math.inf
    ids = ['an image, "quoted"\u2028 and ünïcode.jpg'] + [f"item {i}" for i in range(1, 600)]

    def details(i: int) -> dict[str, object]:
        return {"path": [{"tier": None, "radius": items["radius"][i, 0]}]}

    scores = Scores(ids, items, undefined={"tails": "no coin"}, details=details)
    path = sampled.write(tmp_path, scores, task="retrieval")
    assert path.parent == tmp_path / "samples"
    assert path.name == "a-retrieval-flips-a-retrieval.samples.jsonl"
    (found,) = samples.read(path)
    assert found.scores.ids == ids
    assert {k: v.dtype for k, v in found.scores.items.items()} == {
        "radius": torch.float64, "tau": torch.float64, "label": torch.int64, "noun": torch.bool
    }  # fmt: skip
    for key, values in items.items():
        torch.testing.assert_close(
            found.scores.items[key], values.to(found.scores.items[key].dtype), rtol=0, atol=0,
            equal_nan=True,
        )  # fmt: skip
    assert found.scores.undefined == {"tails": "no coin"}
    assert found.scores.details is not None
    assert found.scores.details(5) == {
        "path": [{"tier": None, "radius": items["radius"][5, 0].item()}]
    }
    assert found.identity.model.fingerprint == "fingerprint of a"
    assert found.identity.n == 600


def test_each_line_is_complete_on_its_own(tmp_path: Path) -> None:
    path = sampled.write(tmp_path, sampled.coin([1.0, math.nan]), dataset__split="dev")
    lines = [seals.unsealed(line) for line in path.read_bytes().splitlines()]
    assert lines[1] == {
        "schema_version": 1,
        "record_id": "a-coin",
        "run_id": "run",
        "timestamp": "2026-11-23T00:00:00Z",
        "model": {"name": "a", "fingerprint": "fingerprint of a", "random_init": None},
        "task": {"name": "coin", "version": 1, "parameters": {"bias": 0.5}},
        "dataset": {"name": "flips", "split": "dev", "sha256": "e" * 64},
        "probe": {"name": "empty-root", "parameters": {}, "seed": None, "shuffled": False},
        "n": 2,
        "undefined": {},
        "null_sd": {},
        "item": "flip 1",
        "values": {"heads": None, "tails": None},
        "details": {},
    }


def test_metrics_from_samples_equal_those_of_the_run(tmp_path: Path) -> None:
    scores = sampled.coin([1.0, 0.0, 0.25, math.nan])
    (found,) = samples.read(sampled.write(tmp_path, scores))
    metrics = samples.metrics_of(found.identity.task, found.scores.items)
    assert bootstrap(metrics, found.scores, seed=3) == bootstrap(
        sampled.Coin.metrics, scores, seed=3
    )


@pytest.mark.parametrize(
    ("task", "items", "some"),
    [
        ("ordering", {"adjacent": torch.zeros(2, 2)}, "adjacent_accuracy_2_3"),
        ("retrieval", {"tiers": torch.zeros(2, 6)}, "recall_tier_6"),
        ("retrieval", {}, "recall_tier_4"),
    ],
)
def test_metrics_follow_the_number_of_tiers(
    tmp_path: Path, task: str, items: dict[str, torch.Tensor], some: str
) -> None:
    version = registry.load("tasks", task).version
    info = sampled.record(task=task, task__version=version).task
    names = [m.name for m in samples.metrics_of(info, items)]
    numbered = [name for name in names if name[-1] == some[-1] and name.startswith(some[:-1])]
    assert numbered == [some]
    assert some[:-1] + str(int(some[-1]) + 1) not in names


def test_samples_of_another_version_are_refused() -> None:
    task = sampled.record(task__version=7).task
    with pytest.raises(HierevalError) as raised:
        samples.metrics_of(task, {})
    assert str(raised.value) == (
        "The samples of coin are of its version 7, and this hiereval has version 1: run the model "
        "again."
    )


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = sampled.write(tmp_path, sampled.coin([1.0]))
    before = path.read_bytes()
    broken = sampled.coin([1.0, 0.0], details=lambda i: {"place": 1 // (1 - i)})
    with pytest.raises(ZeroDivisionError):
        samples.write(path, sampled.record(), broken)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("a file")
    with pytest.raises(HierevalError, match=r"^The samples '.*' cannot be written: .*File exists"):
        sampled.write(tmp_path, sampled.coin([1.0]))


def test_find_reads_folders_and_keeps_the_newest_of_the_same(tmp_path: Path) -> None:
    old = sampled.write(tmp_path, sampled.coin([0.25]))
    (tmp_path / "moved").mkdir()
    old.rename(tmp_path / "moved" / old.name)
    sampled.write(tmp_path, sampled.coin([0.25 + 1e-10]), seconds=5)
    sampled.write(tmp_path, sampled.coin([0.5]), model="b")
    found = samples.find(tmp_path)
    assert {s.identity.model.name: s.scores.items["heads"].item() for s in found} == {
        "a": 0.25 + 1e-10, "b": 0.5
    }  # fmt: skip


@pytest.mark.parametrize("other", [[0.26], [0.25, 0.25], [float("nan")]])
def test_samples_of_one_record_with_other_items_are_a_conflict(
    tmp_path: Path, other: list[float]
) -> None:
    old = sampled.write(tmp_path, sampled.coin(other))
    (tmp_path / "moved").mkdir()
    moved = old.rename(tmp_path / "moved" / old.name)
    new = sampled.write(tmp_path, sampled.coin([0.25]), seconds=5)
    with pytest.raises(HierevalError) as caught:
        samples.find(tmp_path)
    first, second = sorted([moved, new])
    record_id = samples.find(new)[0].identity.record_id
    assert str(caught.value) == (
        f"The samples '{second}' must hold the items that '{first}' holds of the record "
        f"{record_id}. Delete the file that is not of it."
    )


def test_find_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HierevalError) as raised:
        samples.find(tmp_path)
    assert str(raised.value) == (
        f"The folder '{tmp_path}' must hold samples (*.samples.jsonl): 'hiereval run "
        "--log-samples' writes them."
    )
    path = sampled.write(tmp_path, sampled.coin([1.0]))
    with pytest.raises(HierevalError) as raised:
        samples.find(path.with_name(path.name.replace("coin", "coyn")))
    assert str(raised.value) == (
        f"The samples '{path.parent}/a-coyn-flips-a-coyn.samples.jsonl' must be a file or folder "
        f"that exists. Did you mean '{path.name}'? 'hiereval run --log-samples' writes them."
    )


def sealed_if_whole(last: list[str]) -> bytes:
    return b"".join(seals.sealed(line) if line.endswith("}") else line.encode() for line in last)


def test_an_edited_item_is_refused(tmp_path: Path) -> None:
    path = sampled.write(tmp_path, sampled.coin([1.0, 0.0]))
    path.write_bytes(path.read_bytes().replace(b'"heads": 0.0', b'"heads": 1.0'))
    with pytest.raises(HierevalError) as raised:
        samples.read(path)
    assert str(raised.value) == (
        f"{path}:2: checksum: the line is not what was written: a bit was flipped or a value edited"
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: [], ": the file must hold at least one item."),
        (lambda lines: [lines[0], lines[1][:50]],
         ": the record a-coin must have 2 items, found 1."),
        (lambda lines: lines[:1], ": the record a-coin must have 2 items, found 1."),
        (lambda lines: ['{"image": "a", "chain": []}'],
         ":1: values: the line must be an item of 'run --log-samples'."),
        (lambda lines: [lines[0].replace('"run_id":"run",', "")], ":1: run_id: Field required"),
        (lambda lines: [lines[0], lines[1].replace('"heads"', '"heds"')],
         ":2: values: the names must be heads, tails."),
        (lambda lines: [lines[0], lines[1].replace('"heads": 0.0', '"heads": [0.0, 1.0]')],
         ": values.heads: every item must have numbers of the same shape."),
        (lambda lines: [lines[0], lines[1].replace('"heads": 0.0', '"heads": "much"')],
         ": values.heads: every item must have numbers of the same shape."),
        (lambda lines: [lines[0], lines[1].replace('"item": "flip 1"', '"item": 1')],
         ":2: item: the name of the item must be text."),
    ],
)  # fmt: skip
def test_bad_files_are_named(tmp_path: Path, change: object, problem: str) -> None:
    path = sampled.write(tmp_path, sampled.coin([1.0, 0.0]))
    lines = [line.rpartition(',"checksum"')[0] + "}" for line in path.read_text().splitlines()]
    lines = change(lines)  # type: ignore[operator]
    path.write_bytes(b"".join(map(seals.sealed, lines[:-1])) + sealed_if_whole(lines[-1:]))
    with pytest.raises(HierevalError) as raised:
        samples.read(path)
    assert str(raised.value) == f"{path}{problem}"
