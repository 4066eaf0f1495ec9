"""The front door for Python: what a person would write works, what is wrong says what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fakes import HashAdapter

import hiereval
from hiereval import evaluate, registry
from hiereval.errors import HierevalError
from hiereval.results import Results
from hiereval.types import LoadOptions

CHAINS = [
    ("animal", "bird", "blue bird", "a blue bird on a branch"),
    ("animal", "dog", "brown dog", "a brown dog in the snow"),
    ("food", "fruit", "red apple", "a red apple on a wooden plate"),
]


@pytest.fixture
def chains(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text("captions\n" + "\n".join(" => ".join(chain) for chain in CHAINS) + "\n")
    return path


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {("adapters", "fake"): HashAdapter})


def small(**more: Any) -> Results:
    return evaluate("fake:a", tasks="ordering", resamples=20, device="cpu", progress=False, **more)


def test_the_package_alone_imports_nothing_heavy() -> None:
    assert hiereval.__all__ == ["__version__", "evaluate"]
    with pytest.raises(AttributeError, match=r"^module 'hiereval' has no attribute 'evaluat'$"):
        hiereval.evaluat  # noqa: B018


@pytest.mark.parametrize("kind", ["string", "path", "list", "tuple", "generator"])
def test_one_or_several_as_a_person_writes_them(kind: str, chains: Path) -> None:
    given: dict[str, Any] = {
        "string": str(chains),
        "path": chains,
        "list": [chains],
        "tuple": (str(chains),),
        "generator": (path for path in [chains]),
    }
    result = small(datasets=given[kind], controls="none")
    assert [record.dataset.name for record in result] == ["mine.csv"]
    names = ["ordering", "interpolation"]
    both = evaluate("fake:a", datasets=chains, tasks=names, controls=[], device="cpu", resamples=5)
    assert sorted(record.task.name for record in both) == sorted(names)


def test_arguments_may_be_numbers(chains: Path) -> None:
    (record,) = evaluate(
        "toy",
        datasets="shapes",
        tasks="retrieval",
        task_args={"steps": 7},
        limit=8,
        resamples=5,
        controls="none",
    )
    assert record.task.parameters["steps"] == 7


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"precision": "fp31"}, "The precision 'fp31' must be one of fp32, tf32, bf16, fp16. Did "
                                "you mean 'fp32'?"),
        ({"overwrite": "no"}, "The overwrite 'no' must be one of never, missing, always."),
        ({"limit": 0}, "The limit 0 must be a whole number of at least 1."),
        ({"resamples": 2.5}, "The resamples 2.5 must be a whole number of at least 1."),
        ({"twins": True}, "The twins True must be a whole number of at least 1."),
        ({"controls": "word"}, "The control 'word' must be all, none or of words, characters, "
                               "constant, random-init. Did you mean 'words'?"),
        ({"tasks": "orderin"}, "The task 'orderin' must be one of "),
        ({"datasets": "shape"}, "The dataset 'shape' must be one of "),
        ({"device": "cuda:99"}, "The device 'cuda:99' must be one that torch can use here: "),
    ],
)  # fmt: skip
def test_what_is_wrong_says_what_is_right(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(HierevalError) as caught:
        evaluate("fake:a", progress=False, **wrong)
    assert str(caught.value).startswith(message)


def test_controls_and_five_text_twins_stand_beside_the_model(chains: Path) -> None:
    result = small(datasets=chains)
    assert [(r.model.name, r.model.random_init) for r in result] == [("fake-a", None)]
    assert [(r.model.name, r.model.random_init) for r in result.controls] == [
        ("control:words", None),
        ("control:characters", None),
        ("control:constant", None),
        *(("fake-a", seed) for seed in range(5)),
    ]
    fewer = small(datasets=chains, controls="random-init", twins=2, seed=4, name="mine")
    assert {r.model.name for r in fewer.controls} == {"mine"}
    assert [r.model.random_init for r in fewer.controls] == [4, 5]


def test_a_control_that_breaks_takes_no_result_away(
    chains: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(checkpoint: str, options: LoadOptions) -> HashAdapter:
        if options.random_init is not None:
            raise NotImplementedError("no random weights")
        return HashAdapter(checkpoint, options)

    monkeypatch.setattr(registry, "_registered", {("adapters", "fake"): made})
    result = small(datasets=chains, controls="random-init")
    assert [record.status for record in result] == ["ok"]
    assert result.notes == ["No random-init control: NotImplementedError: no random weights"]


def test_the_board_of_a_run_with_a_limit_shows_it(chains: Path) -> None:
    result = small(datasets=chains, controls="words", limit=2)
    (section,) = result.board().sections
    assert section.title == f"{chains.name} all, the first 2"
    assert [row.label for row in section.rows] == ["fake-a", "control:words"]


def test_what_is_not_here_is_said_once_for_each_reason() -> None:
    result = Results(absent={"ordering": "No file.", "himo": "No text.", "pep": "No file."})
    assert result.not_run() == [
        "ordering, pep: not run. No file.",
        "himo: not run. No text.",
    ]


def test_a_task_that_sees_images_has_one_twin() -> None:
    result = evaluate(
        "toy",
        datasets="shapes",
        tasks=["ordering", "retrieval"],
        controls="random-init",
        limit=6,
        resamples=5,
        device="cpu",
    )
    seeds = [(r.task.name, r.model.random_init) for r in result.controls]
    assert seeds == [("ordering", 0), ("retrieval", 0), *(("ordering", i) for i in range(1, 5))]


def test_the_result_is_a_sequence_with_ways_to_look(chains: Path, tmp_path: Path) -> None:
    result = small(datasets=chains, controls="words", output=tmp_path / "out")
    assert len(result) == 1
    assert result[0].task.name == result[:1][0].task.name == "ordering"
    assert repr(result) == (
        f"<1 records of fake-a: ordering; 1 controls, in {tmp_path / 'out' / 'fake-a.jsonl'}>"
    )
    html = result._repr_html_()
    assert "tau_d" in html
    assert "<script" not in html
    (section,) = result.board().sections
    assert [row.label for row in section.rows] == ["fake-a", "control:words"]
    rows = {(row["model"], row["metric"]): row["value"] for row in result.rows()}
    assert rows["fake-a", "tau_d"] == result[0].metrics["tau_d"].value
    again = small(datasets=chains, controls="words", output=tmp_path / "out")
    assert again == result
    assert (len(again.new), len(again.found)) == (0, 1)


def test_a_frame_needs_pandas_and_says_so(chains: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = small(datasets=chains, controls="none")
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(HierevalError, match=r"^A frame needs pandas: pip install pandas\.$"):
        result.frame()


def test_progress_goes_to_the_function_that_was_given(chains: Path) -> None:
    seen: list[tuple[str, str, int, int]] = []
    evaluate("fake:a", datasets=chains, tasks="ordering", controls="none", resamples=5,
             device="cpu", progress=lambda *what: seen.append(what))  # fmt: skip
    assert ("fake-a", "texts", 12, 12) in seen
    assert seen[-1] == ("fake-a", "scoring", 1, 1)


def test_offline_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(HierevalError, match=r"HierarCaps must be complete under .* when offline"):
        evaluate("fake:a", datasets="hierarcaps", data_dir=tmp_path, offline=True, progress=False)
