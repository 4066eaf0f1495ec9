from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.fakes import HashAdapter

from hiereval import evaluate, reading, registry
from hiereval.errors import HierevalError
from hiereval.records import Record

CHAINS = [
    ("animal", "bird", "blue bird", "a blue bird on a branch"),
    ("animal", "dog", "brown dog", "a brown dog in the snow"),
    ("food", "fruit", "red apple", "a red apple on a wooden plate"),
    ("vehicle", "car", "old car", "an old car by the side of the road"),
    ("person", "man", "man with hat", "a man with a hat reading a paper"),
    ("plant", "tree", "tall tree", "a tall tree in front of a white house"),
]


@pytest.fixture
def chains_csv(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = ["captions,image"]
    for i, chain in enumerate(CHAINS):
        Image.new("RGB", (8, 8), (40 * i, 255 - 40 * i, 9)).save(folder / f"{i}.png")
        lines.append(f"{' => '.join(chain)},{i}.png")
    path = folder / "chains.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {("adapters", "fake"): HashAdapter})
    HashAdapter.calls.clear()


@pytest.fixture
def go(chains_csv: Path, tmp_path: Path) -> Callable[..., list[Record]]:
    def call(model: str = "fake:a", **fields: Any) -> list[Record]:
        fields = {"datasets": [str(chains_csv)], "output": tmp_path / "out", **fields}
        return evaluate(model, device="cpu", cache_dir=str(tmp_path / "c"), **fields)

    return call


def by_task(found: list[Record]) -> dict[str, Record]:
    return {record.task.name: record for record in found}


def test_a_run_gives_a_complete_record_for_every_task(
    go: Callable[..., list[Record]], tmp_path: Path
) -> None:
    found = by_task(go(tasks="ordering,retrieval,flat-retrieval,image-entailment"))

    assert list(found) == ["ordering", "retrieval", "flat-retrieval", "image-entailment"]
    record = found["ordering"]
    assert record.status == "ok"
    assert (record.model.name, record.model.adapter, record.dataset.n_texts) == (
        "fake-a",
        "fake",
        23,
    )
    assert record.dataset.n_truncated == sum(len(c[3].split()) + 2 > 6 for c in CHAINS)
    tau = record.metrics["tau_d"]
    assert None not in (tau.ci_low, tau.value, tau.ci_high)
    assert tau.ci_low <= tau.value <= tau.ci_high  # type: ignore[operator]
    assert "adapters:fake" in record.environment.plugins
    assert list(reading.read(tmp_path / "out" / "fake-a.jsonl")) == list(found.values())


def test_a_second_run_skips_what_is_there(go: Callable[..., list[Record]], tmp_path: Path) -> None:
    first = go(tasks="ordering,retrieval")
    HashAdapter.calls.clear()
    again = go(tasks="ordering,retrieval")
    assert again == first
    assert HashAdapter.calls == []
    assert len((tmp_path / "out" / "fake-a.jsonl").read_text().splitlines()) == 2


def test_overwrite(go: Callable[..., list[Record]], tmp_path: Path) -> None:
    first = go(tasks="ordering")
    second = go(tasks="ordering", overwrite="always")
    assert second[0].run_id != first[0].run_id
    assert second[0].record_id == first[0].record_id
    assert second[0].metrics == first[0].metrics
    with pytest.raises(HierevalError) as caught:
        go(tasks="ordering", overwrite="never")
    path = str(tmp_path / "out" / "fake-a.jsonl")
    assert str(caught.value) == (
        f"The results file {path!r} already holds ordering on chains.csv; "
        "--overwrite missing skips it, always measures it again."
    )


@pytest.mark.parametrize("change", [{"seed": 1}, {"limit": 3}, {"resamples": 200}])
def test_another_setting_is_another_record(
    go: Callable[..., list[Record]], change: dict[str, int]
) -> None:
    first, second = go(tasks="ordering"), go(tasks="ordering", **change)
    assert first[0].record_id != second[0].record_id


def test_texts_already_stored_are_not_encoded_for_another_task(
    go: Callable[..., list[Record]],
) -> None:
    go(tasks="ordering")
    HashAdapter.calls.clear()
    go(tasks="retrieval")
    assert {what for what, _ in HashAdapter.calls} == {"images"}


def test_a_limit_is_recorded(go: Callable[..., list[Record]]) -> None:
    record = go(tasks="ordering", limit=2)[0]
    assert (record.limit, record.dataset.n_texts, record.metrics["tau_d"].n) == (2, 7, 2)


def test_nan_is_undefined_and_the_text_is_named(go: Callable[..., list[Record]]) -> None:
    record = go(tasks="ordering", model_args={"nan": "bird"})[0]
    assert record.status == "ok"
    for metric in record.metrics.values():
        assert metric.value is None
        assert metric.undefined_reason == (
            "the embedding of text 'bird' is not finite (1 of 23 are not)"
        )


def test_constant_is_undefined_with_reasons(go: Callable[..., list[Record]]) -> None:
    for record in go("control:constant", tasks="ordering,retrieval,flat-retrieval"):
        for name, metric in record.metrics.items():
            assert metric.value is None, (record.task.name, name)
            assert metric.undefined_reason


def test_a_task_without_its_input_is_skipped_with_the_reason(
    go: Callable[..., list[Record]], tmp_path: Path
) -> None:
    text_only = tmp_path / "texts.csv"
    text_only.write_text("captions\n" + "\n".join(" => ".join(c) for c in CHAINS) + "\n")
    found = by_task(go(tasks="ordering,retrieval", datasets=[str(text_only)]))
    assert found["ordering"].status == "ok"
    assert found["retrieval"].status == "skipped"
    assert found["retrieval"].reason == "texts.csv has no images"
    assert by_task(go("control:words", tasks="retrieval"))["retrieval"].reason == (
        "control:words has no image encoder"
    )


def test_a_failing_task_is_recorded_and_the_others_go_on(
    go: Callable[..., list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiereval.tasks.ordering import Ordering

    def broken(*_: object) -> None:
        raise ZeroDivisionError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr(Ordering, "score", broken)
        found = by_task(go(tasks="ordering,retrieval"))
    assert (found["ordering"].status, found["retrieval"].status) == ("failed", "ok")
    assert found["ordering"].reason == "ZeroDivisionError: no luck"
    assert by_task(go(tasks="ordering"))["ordering"].status == "ok"  # failed ones are run again


def test_task_arguments_reach_the_tasks_that_have_them(go: Callable[..., list[Record]]) -> None:
    found = by_task(go(tasks="ordering,retrieval,interpolation", task_args={"steps": "10"}))
    assert found["retrieval"].task.parameters["steps"] == 10
    assert found["interpolation"].task.parameters["steps"] == 10
    own = {"steps": "10", "retrieval.steps": "20"}
    found = by_task(go(tasks="retrieval,interpolation", task_args=own))
    assert found["retrieval"].task.parameters["steps"] == 20


def test_results_with_a_broken_line_stop_a_run_before_it_starts(
    go: Callable[..., list[Record]], tmp_path: Path
) -> None:
    go(tasks="ordering")
    path = tmp_path / "out" / "fake-a.jsonl"
    path.write_text(path.read_text() + '{"half": \n')
    HashAdapter.calls.clear()
    with pytest.raises(HierevalError) as caught:
        go(tasks="retrieval")
    assert str(caught.value) == (
        f"{path}:2: this line is not JSON; delete it, or move the file away"
    )
    assert HashAdapter.calls == []


def test_a_broken_plugin_breaks_only_the_run_that_names_it(
    go: Callable[..., list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiereval import plan

    load = registry.load

    def broken(kind: registry.Kind, name: str) -> Any:
        if name == "interpolation":
            raise HierevalError("The task 'interpolation' could not be loaded: ImportError: no x")
        return load(kind, name)

    monkeypatch.setattr(plan.registry, "load", broken)
    assert "ordering" in by_task(go(tasks="all"))
    assert list(by_task(go(tasks="*order*"))) == ["ordering"]
    with pytest.raises(HierevalError, match="could not be loaded: ImportError: no x"):
        go(tasks="interpolation")


def test_samples_are_kept_when_asked_for(go: Callable[..., list[Record]], tmp_path: Path) -> None:
    from hiereval import samples

    go(tasks="ordering")
    (record,) = go(tasks="ordering", log_samples=True)  # measured again: they were not there
    kept = next(s for s in samples.find(tmp_path / "out") if s.identity.model.label == "fake-a")
    assert kept.identity.record_id == record.record_id
    assert len(kept.scores.ids) == 6
    assert go(tasks="ordering", log_samples=True) == [record]
