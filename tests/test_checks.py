"""Forged records: each is sealed, and under the fingerprint and record_id of what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hiereval import checks, identity, reading
from hiereval.agreement import Agreement
from hiereval.fingerprint import of_model
from hiereval.records import Record

PUBLISHED = Path(__file__).parent.parent / "leaderboard" / "results"
Fields = dict[str, Any]


@pytest.fixture(scope="module")
def honest() -> Record:
    """What the trained sentence encoder reached on HierarCaps' ordering."""
    (record,) = (
        record
        for record in reading.read(PUBLISHED / "all-MiniLM-L6-v2.jsonl")
        if (record.probe.name, record.task.name) == ("empty-root", "ordering")
        and record.dataset.split == "test"
    )
    return record


def forged(record: Record, change: Callable[[Fields], object]) -> Record:
    value = json.loads(record.model_dump_json())
    change(value)
    made = Record.model_validate(value)
    model = made.model.model_copy(update={"fingerprint": of_model(vars(made.model))})
    made = made.model_copy(update={"model": model})
    return made.model_copy(update={"record_id": identity.of_record(made)})


def tau(record: Fields, /, **fields: Any) -> None:
    record["metrics"]["tau_d"].update(fields)


def null(record: Fields, /, **fields: Any) -> None:
    record["metrics"]["tau_d"]["nulls"]["free"].update(fields)


def within(part: str, **fields: Any) -> Callable[[Fields], None]:
    return lambda value: value[part].update(fields)


def its(**fields: Any) -> Callable[[Fields], None]:
    return lambda value: value.update(fields)


def test_what_was_measured_has_no_problem(honest: Record) -> None:
    assert checks.problems(honest) == []
    assert checks.problems(forged(honest, lambda value: None)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda v: tau(v, ci_low=-1.5),
         "metrics.tau_d.ci_low: [-1.5, 0.7333333333333335] is not within [-1.0, 1.0]"),
        (lambda v: tau(v, value=None, undefined_reason="no"),
         "metrics.tau_d.ci_low: what is undefined must have no interval"),
        (lambda v: tau(v, ci_level=0.5), "metrics.tau_d.ci_level: 0.5 must be 0.95"),
        (lambda v: tau(v, range=None),
         "metrics.tau_d.range: None is not [-1.0, 1.0], as the task says"),
        (lambda v: tau(v, role="headline"),
         "metrics.tau_d.role: headline is not quality, as the task says"),
        (lambda v: tau(v, role="descriptive"),
         "metrics.tau_d.role: descriptive is not quality, as the task says"),
        (lambda v: null(v, p=0.5),
         "metrics.tau_d.nulls.free.p: 0.5 cannot be: 95 % of the draws lie in "),
        (lambda v: null(v, low=0.7, high=0.8, mean=0.75),
         "metrics.tau_d.nulls.free.p: 0.000999000999000999 cannot be: 95 % of the draws lie in "
         "[0.7, 0.8]"),
        (lambda v: null(v, mean=5.0),
         "metrics.tau_d.nulls.free.mean: a null must lie within [-1.0, 1.0]"),
        (lambda v: v["metrics"]["tau_d"]["nulls"].update(
            mine=v["metrics"]["tau_d"]["nulls"]["free"]),
         "metrics.tau_d.nulls: free, mine, within-length must be of free, images, within-length, "
         "within-tier"),
        (lambda v: v["metrics"].update(super_tau=v["metrics"]["tau_d"]),
         "metrics.super_tau: ordering has no such metric."),
        (lambda v: v["metrics"].pop("style_matched_auroc"),
         "metrics: style_matched_auroc of ordering is missing"),
        (its(metrics={}), "metrics: adjacent_accuracy_3_4 of ordering is missing"),
        (its(status="skipped", reason="no"), "metrics: what is skipped must have none"),
        (its(limit=-5), "limit: -5 must be at least 1"),
        (its(null_draws=-1), "null_draws: -1 must be at least 0"),
        (its(seen={"texts": [1], "seen": [5], "chains": 1, "unseen_chains": 0}),
         "seen: more cannot be seen than there is"),
        (within("model", n_params=-5), "model.n_params: -5 must be at least 0"),
        (within("model", embed_dim=0), "model.embed_dim: 0 must be at least 1"),
        (within("model", geometry="torus"),
         "model.geometry: 'torus' must be one of sphere, lorentz, lorentz-product, euclidean, "),
        (within("timings", images_per_s=-4), "timings.images_per_s: -4.0 must be at least 0"),
        (within("probe", name="magic"), "probe.name: The probe 'magic' must be one of "),
        (within("probe", parameters={"x": 1}),
         "probe.parameters: The parameter 'x' of the probe 'empty-root' must be one of none."),
        (within("probe", name="radial-linear", seed=0), "probe.training: radial-linear is trained"),
        (within("dataset", sha256="1" * 64),
         "dataset.sha256: 111111111111 is not hierarcaps:test, which is 72fbfa868b08"),
        (lambda fields: (its(limit=5)(fields), within("dataset", sha256="1" * 64)(fields)),
         "limit: the first 5 items are not hierarcaps:test"),
        (within("task", version=99), "task.version: 99 is not the version of ordering here"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_found_whatever_was_sealed_anew(
    honest: Record, change: Callable[[Fields], object], problem: str
) -> None:
    first = checks.problems(forged(honest, change))[0]
    assert f"{first.field}: {first.what}".startswith(problem)
    assert first.mend


def test_a_copy_cannot_take_the_identity_of_another(honest: Record) -> None:
    for change in ({"record_id": "0" * 32}, {"seed": 1}, {"limit": 5}, {"null_draws": 7}):
        (problem,) = checks.problems(honest.model_copy(update=change))
        assert (problem.field, problem.mend) == (
            "record_id",
            "leave records as they are written, or run it again with 'hiereval run'",
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda v: tau(v, value=0.9999, ci_low=0.9995, ci_high=1.0),
        lambda v: tau(v, n=7),
        lambda v: tau(v, nulls={}),
        within("model", revision="f" * 40),
        its(summary={"radius_by_tier": []}),
    ],
)
def test_what_may_be_is_for_verify_to_see(
    honest: Record, change: Callable[[Fields], object]
) -> None:
    """Not a wish: what the guide says that `validate` cannot see."""
    assert checks.problems(forged(honest, change)) == []


def other_model(value: Fields) -> None:
    value["model"].update(name="mine", weights_sha256="1" * 64)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: tau(v, ceilings={}), ("ceilings.words", "None is not 0.9129386426408158")),
        (lambda v: v["metrics"]["tau_d"]["ceilings"].update(words=0.01),
         ("ceilings.words", "0.01 is not 0.9129386426408158")),
        (lambda v: tau(v, chance=-1.0), ("chance", "-1.0 is not 0.0")),
    ],
)  # fmt: skip
def test_bars_that_the_data_decide_are_the_same_in_all_records(
    honest: Record, change: Callable[[Fields], object], told: tuple[str, str]
) -> None:
    agreement = Agreement()
    assert list(agreement.add("a.jsonl:1", honest)) == []
    assert list(agreement.add("b.jsonl:1", forged(honest, other_model))) == []
    found = dict(agreement.add("c.jsonl:2", forged(honest, lambda v: (other_model(v), change(v)))))
    field, what = told
    assert found[f"metrics.tau_d.{field}"].startswith(what)
    assert found[f"metrics.tau_d.{field}"].endswith(", as at a.jsonl:1")


def test_data_of_one_hash_have_one_size(honest: Record) -> None:
    agreement = Agreement()
    list(agreement.add("a.jsonl:1", honest))
    smaller = forged(honest, lambda v: (other_model(v), v["dataset"].update(n_texts=7)))
    assert list(agreement.add("b.jsonl:1", smaller)) == [
        (
            "dataset.n_texts",
            "{'n_texts': 7, 'n_images': 1000} is not {'n_texts': 3132, 'n_images': 1000}, as of "
            "the same data at a.jsonl:1",
        )
    ]
