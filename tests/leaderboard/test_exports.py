from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import CardData, ModelCardData, model_index_to_eval_results
from support.made_records import metric

from hiereval.errors import HierevalError
from hiereval.leaderboard import every_eval_ever, mteb_results
from hiereval.leaderboard.board import build
from hiereval.leaderboard.hub_results import HubDataset, eval_results, hub_dataset, model_index
from hiereval.records import Record

Make = Callable[..., Record]
ON_HUB = {"hierarcaps": HubDataset("me/hierarcaps", "abc123")}


def test_eval_results_are_read_back_by_the_hub_library(record: Make) -> None:
    board = build([record(metrics={"tau_d": 0.9, "length_matched_auroc": None})])
    files = eval_results(board, ON_HUB, "https://example.org/run")
    (entry,) = parse_eval_result_entries(yaml.safe_load(files["toy/.eval_results/hiereval.yaml"]))
    assert (entry.dataset_id, entry.dataset_revision) == ("me/hierarcaps", "abc123")
    assert (entry.task_id, entry.value) == ("ordering_tau_d", 0.9)
    assert (entry.source_url, entry.source_name) == ("https://example.org/run", "hiereval")
    assert entry.date == board.sections[0].measured[0].newest.timestamp.isoformat()
    assert entry.notes == (
        "probe empty-root, task version 1, n 1000, interval .890 to .910, "
        "data sha256 eeeeeeeeeeee, hiereval 0.1.0"
    )
    benchmark = yaml.safe_load(files["datasets/me-hierarcaps/eval.yaml"])
    assert benchmark["evaluation_framework"] == "hiereval"
    assert benchmark["tasks"] == [{"id": "ordering_tau_d", "config": "default", "split": "test"}]


def test_each_task_has_one_scalar_in_eval_results(full: list[Record]) -> None:
    for path, text in eval_results(build(full), ON_HUB).items():
        if ".eval_results" in path:
            entries = parse_eval_result_entries(yaml.safe_load(text))
            ids = [(entry.dataset_id, entry.task_id) for entry in entries]
            assert len(ids) == len(set(ids))


def test_eval_results_hold_what_rises(record: Make) -> None:
    falling = metric(0.4, higher_is_better=False)
    board = build([record(metrics={"tau_d": 0.9, "mistakes": falling})], every_metric=True)
    files = eval_results(board, ON_HUB)
    (entry,) = parse_eval_result_entries(yaml.safe_load(files["toy/.eval_results/hiereval.yaml"]))
    assert entry.task_id == "ordering_tau_d"
    (task,) = yaml.safe_load(files["datasets/me-hierarcaps/eval.yaml"])["tasks"]
    assert task["id"] == entry.task_id


def test_controls_and_limited_runs_are_not_exported(full: list[Record], record: Make) -> None:
    names = {PurePosixPath(path).parts[0] for path in eval_results(build(full), ON_HUB)}
    assert {name.partition("-63")[0].partition("-74")[0] for name in names} == {
        "clip-b32", "siglip-base", "toy", "datasets",
    }  # fmt: skip
    assert eval_results(build([record(limit=3)]), ON_HUB) == {}


def test_a_dataset_without_its_repository_is_an_error(record: Make) -> None:
    with pytest.raises(HierevalError) as caught:
        eval_results(build([record()]), {})
    assert str(caught.value) == (
        "The dataset 'hierarcaps' must be given its repository on the Hub: "
        "--hub-dataset hierarcaps=org/repository."
    )


def test_hub_datasets_are_read() -> None:
    assert hub_dataset("a=b/c") == ("a", HubDataset("b/c"))
    assert hub_dataset("a=b/c@main") == ("a", HubDataset("b/c", "main"))
    with pytest.raises(HierevalError) as caught:
        hub_dataset("a=b")
    assert str(caught.value) == (
        "The hub dataset 'a=b' must be name=org/repository, or with @commit, "
        "for example hierarcaps=you/hierarcaps."
    )


def test_the_model_index_is_read_back_by_the_hub_library(full: list[Record]) -> None:
    board = build([r for r in full if r.model.name == "toy"], every_metric=True)
    files = model_index(board, ON_HUB)
    document = yaml.safe_load(files["toy/model-index.yaml"])
    name, results = model_index_to_eval_results(document["model-index"])
    assert name == "toy"
    values = {(r.task_type, r.metric_type): r.metric_value for r in results}
    assert values["ordering", "ordering_tau_d"] == 0.9 - 0.1
    assert values["retrieval", "retrieval_mean_predictions"] == 6.3
    assert {r.dataset_type for r in results} == {"me/hierarcaps"}
    card = ModelCardData(model_name=name, eval_results=results)
    assert isinstance(card, CardData)
    assert yaml.safe_load(card.to_yaml())["model-index"] == document["model-index"]


DETAILS = {"deployment_type": "self_deployed", "model_availability": "unknown"}


def test_every_eval_ever(full: list[Record]) -> None:
    files = every_eval_ever.logs(build(full, every_metric=True), "Us")
    assert len(files) == 4
    for path, text in files.items():
        log = json.loads(text)
        collection, developer, _, file = PurePosixPath(path).parts[1:]
        assert (path.split("/")[0], collection, developer) == ("data", "hierarcaps", "org")
        assert uuid.UUID(PurePosixPath(file).stem).version == 4
        assert set(log) == {
            "schema_version", "evaluation_id", "evaluation_timestamp", "retrieved_timestamp",
            "source_metadata", "eval_library", "model_info", "evaluation_results",
        }  # fmt: skip
        assert log["schema_version"] == "0.3.0"
        assert log["retrieved_timestamp"].isdigit()
        details = log["model_info"]["additional_details"]
        assert details.items() >= DETAILS.items()
        assert all(isinstance(value, str) for value in details.values())
        assert log["evaluation_results"]
        for result in log["evaluation_results"]:
            _check_result(result)


def _check_result(result: dict[str, Any]) -> None:
    config, score = result["metric_config"], result["score_details"]
    assert result["source_data"]["url"] == ["https://github.com/TAU-VAILab/hierarcaps"]
    assert config["score_type"] == "continuous"
    assert config["lower_is_better"] is False
    assert config["min_score"] <= score["score"] <= config["max_score"]
    interval = score["uncertainty"]["confidence_interval"]
    assert interval["lower"] <= score["score"] <= interval["upper"]
    assert (interval["confidence_level"], interval["method"]) == (0.95, "bootstrap")


def test_every_eval_ever_writes_the_same_files_again(full: list[Record]) -> None:
    board = build(full, every_metric=True)
    assert every_eval_ever.logs(board, "Us") == every_eval_ever.logs(board, "Us")


def test_unbounded_metrics_have_infinite_bounds(record: Make) -> None:
    value = record(metrics={"x": 3.0}).metrics["x"].model_copy(update={"range": None})
    board = build([record(task="mine").model_copy(update={"metrics": {"x": value}})])
    (text,) = every_eval_ever.logs(board, "Us").values()
    config = json.loads(text)["evaluation_results"][0]["metric_config"]
    assert (config["min_score"], config["max_score"]) == ("-Infinity", "Infinity")


def test_mteb(full: list[Record]) -> None:
    files = mteb_results.results(build(full, every_metric=True))
    home = "results/org__siglip-base/0123456789abcdef0123456789abcdef01234567"
    document = json.loads(files[f"{home}/HierarcapsOrdering.json"])
    assert document["dataset_revision"] == "ba22b891"
    assert document["task_name"] == "HierarcapsOrdering"
    assert document["mteb_version"] is None
    assert document["evaluation_time"] == pytest.approx(1.1)
    (scores,) = document["scores"]["test"]
    assert (scores["hf_subset"], scores["languages"]) == ("default", ["eng-Latn"])
    assert scores["main_score"] == scores["tau_d"] == 0.92
    assert (scores["exact_order_ci_low"], scores["exact_order"]) == (0.62 - 0.01, 0.62)
    assert json.loads(files[f"{home}/model_meta.json"])["name"] == "org/siglip-base"


def test_mteb_reads_its_results(full: list[Record], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of MTEB and of what it imports are not ours
        mteb = pytest.importorskip("mteb")
    read = 0
    for path, text in mteb_results.results(build(full, every_metric=True)).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if file.name == "model_meta.json":
            meta = mteb.models.ModelMeta.model_validate_json(text)
            assert meta.name == json.loads(text)["name"]
            continue
        result = mteb.TaskResult.from_disk(file)
        (scores,) = json.loads(text)["scores"]["test"]
        assert result.task_name == file.stem
        assert result.scores["test"][0]["main_score"] == scores["main_score"]
        read += 1
    assert read == 13


def test_hostile_names_stay_in_their_folder(
    hostile: str, hostile_everywhere: Callable[[str], Record]
) -> None:
    record = hostile_everywhere(hostile)
    board = build([record], every_metric=True)
    datasets = {record.dataset.name: HubDataset("me/x")}
    for files in (
        eval_results(board, datasets),
        model_index(board, datasets),
        every_eval_ever.logs(board, "Us"),
        mteb_results.results(board),
    ):
        assert files
        for path in files:
            parts = PurePosixPath(path).parts
            assert not path.startswith("/")
            assert not {"..", "."} & set(parts)
            assert all(c.isascii() and (c.isalnum() or c in "._-/") for c in path)


@pytest.mark.parametrize("name", ["../../etc", "..", "/root", "."])
def test_no_name_leaves_the_folder(record: Make, name: str) -> None:
    board = build([record(name, model__checkpoint=name, model__revision=name)], every_metric=True)
    for files in (
        model_index(board, {}),
        every_eval_ever.logs(board, "Us"),
        mteb_results.results(board),
    ):
        assert all(".." not in PurePosixPath(path).parts and path[0] != "/" for path in files)


# --- nothing is joined that was measured differently ---------------------------------------------

DIFFERENT: dict[str, list[dict[str, Any]]] = {
    "contents": [{"dataset__sha256": "1" * 64}, {"dataset__sha256": "2" * 64}],
    "splits": [{"dataset__split": "test"}, {"dataset__split": "dev", "dataset__sha256": "3" * 64}],
    "pictures": [{"dataset__image_source": "original"}, {"dataset__image_source": "letterboxed"}],
    "parameters": [{"task__parameters": {"p": "0.5"}}, {"task__parameters": {"p": "05"}}],
    "versions": [{"task__version": 1}, {"task__version": 2}],
    "probes": [{"probe__parameters": {"a": 1}}, {"probe__parameters": {"a": 2}}],
    "vectors": [{"model__fingerprint": "4" * 64}, {"model__fingerprint": "5" * 64}],
    "names": [{"model__name": "a b"}, {"model__name": "a:b"}],
}


def numbers(document: Any) -> list[float]:
    """Every value of the two that were measured, wherever it stands."""
    if isinstance(document, dict):
        return [n for value in document.values() for n in numbers(value)]
    if isinstance(document, list):
        return [n for value in document for n in numbers(value)]
    return [document] if document in (0.25, 0.75) else []


@pytest.mark.parametrize("what", DIFFERENT)
def test_mteb_never_joins(record: Make, what: str) -> None:
    made = [
        record(metrics={"tau_d": value}, **change)
        for value, change in zip((0.25, 0.75), DIFFERENT[what], strict=True)
    ]
    files = {
        k: json.loads(v) for k, v in mteb_results.results(build(made, every_metric=True)).items()
    }
    found = [set(numbers(v)) for k, v in files.items() if not k.endswith("model_meta.json")]
    assert sorted(map(sorted, found)) == [[0.25], [0.75]]


@pytest.mark.parametrize("what", DIFFERENT)
def test_every_eval_ever_never_joins(record: Make, what: str) -> None:
    made = [
        record(metrics={"tau_d": value}, **change)
        for value, change in zip((0.25, 0.75), DIFFERENT[what], strict=True)
    ]
    logs = [json.loads(text) for text in logs_of(made).values()]
    entries = [
        (log["evaluation_id"], entry["metric_config"]["metric_id"], *numbers(entry))
        for log in logs
        for entry in log["evaluation_results"]
    ]
    assert sorted(entry[2:] for entry in entries) == [(0.25,), (0.75,)]
    if what in ("parameters", "versions"):
        assert len({entry[1] for entry in entries}) == 2
    else:
        assert len(logs) == 2


def logs_of(made: list[Record]) -> dict[str, str]:
    return every_eval_ever.logs(build(made, every_metric=True), "me")


@pytest.mark.parametrize(
    "what", [what for what in DIFFERENT if what not in ("contents", "pictures")]
)
def test_eval_results_never_join(record: Make, what: str) -> None:
    made = [
        record(metrics={"tau_d": value}, **change)
        for value, change in zip((0.25, 0.75), DIFFERENT[what], strict=True)
    ]
    written = eval_results(build(made), ON_HUB)
    entries = [
        (path, entry.task_id, entry.value)
        for path, text in written.items()
        if ".eval_results" in path
        for entry in parse_eval_result_entries(yaml.safe_load(text))
    ]
    assert sorted(entry[2] for entry in entries) == [0.25, 0.75]
    assert len({entry[:2] for entry in entries}) == 2


@pytest.mark.parametrize("what", ["contents", "pictures"])
def test_two_contents_are_no_one_repository(record: Make, what: str) -> None:
    board = build([record(**change) for change in DIFFERENT[what]])
    titles = " and ".join(section.title for section in board.sections)
    for export in (eval_results, model_index):
        with pytest.raises(HierevalError) as caught:
            export(board, ON_HUB)
        assert str(caught.value) == (
            f"The dataset 'hierarcaps' must be of one content to stand for me/hierarcaps; the "
            f"results hold {titles}. Export them from folders of their own."
        )


@pytest.mark.parametrize("what", DIFFERENT)
def test_the_model_index_never_joins(record: Make, what: str) -> None:
    made = [
        record(metrics={"tau_d": value}, **change)
        for value, change in zip((0.25, 0.75), DIFFERENT[what], strict=True)
    ]
    found = []
    for path, text in model_index(build(made, every_metric=True), {}).items():
        for model in yaml.safe_load(text)["model-index"]:
            for result in model["results"]:
                for one in result["metrics"]:
                    where = (path, json.dumps([result["task"], result["dataset"]], sort_keys=True))
                    found.append((*where, one["type"], one["value"]))
    assert sorted(entry[-1] for entry in found) == [0.25, 0.75]
    assert len({entry[:-1] for entry in found}) == 2
