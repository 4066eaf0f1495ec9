"""Which bars a record is held to: its twins, a trained probe's capacity, none for controls."""

from __future__ import annotations

import pytest
from support.made_records import judged, make_control, make_record, make_trained, make_twins

from hiereval.beside import Beside
from hiereval.records import MetricValue


def test_twins_are_those_of_the_architecture_task_and_data() -> None:
    model = make_record(metrics={"tau_d": judged(0.9)})
    near = make_twins(0.5, 0.51, 0.52)
    far = [
        *make_twins(0.95, model__adapter="openclip"),
        *make_twins(0.95, model__checkpoint="org/other", model__config_sha256="9" * 64),
        *make_twins(0.95, task__version=2),
        *make_twins(0.95, dataset__sha256="0" * 64),
        *make_twins(0.95, limit=10),
    ]
    found = Beside([model, *near, *far]).finding(model, "tau_d")
    assert found.because == (
        "beyond the free null (p 0.001) and 3 random-init twins (0.510 ± 0.050), at 95 %"
    )


def test_checkpoints_of_one_configuration_share_their_twins() -> None:
    tuned = make_record(metrics={"tau_d": judged(0.9)}, model__checkpoint="org/tuned")
    assert Beside(make_twins(0.5)).finding(tuned, "tau_d").finding is True
    other = make_record(metrics={"tau_d": judged(0.9)}, model__checkpoint="org/tuned",
                        model__config_sha256="0" * 64)  # fmt: skip
    assert Beside(make_twins(0.5)).finding(other, "tau_d").missing == ("twins",)


def test_of_a_seed_measured_twice_the_newer_counts() -> None:
    model = make_record(metrics={"tau_d": judged(0.9)})
    old, new = make_twins(0.95), make_twins(0.5)
    assert Beside([*new, *old]).finding(model, "tau_d").finding is True


@pytest.mark.parametrize(
    ("shuffled", "before", "because"),
    [
        ((0.5, 0.5), 0.8, "beyond the free null (p 0.001), the fit on shuffled tiers "
         "(0.500 ± 0.000) and empty-root (0.800), at 95 %"),
        ((0.5, 0.5), 0.9, "not beyond empty-root (0.900), at 95 %"),
        ((0.8, 0.9), 0.5, "not beyond the fit on shuffled tiers (0.850 ± 1.100), at 95 %"),
        ((), 0.5, "not known: the fit on shuffled tiers is missing"),
    ],
)  # fmt: skip
def test_a_trained_probe_is_held_to_its_capacity_and_to_empty_root(
    shuffled: tuple[float, ...], before: float, because: str
) -> None:
    judged_alone = MetricValue.model_validate(judged(0.9))
    probe = make_trained(0.9, 0).model_copy(update={"metrics": {"tau_d": judged_alone}})
    others = [make_trained(v, s, shuffled=True) for s, v in enumerate(shuffled)]
    root = make_record(metrics={"tau_d": before})
    found = Beside([probe, *others, root]).finding(probe, "tau_d")
    assert found.because == because


def test_controls_and_shuffled_probes_are_no_findings() -> None:
    records = [make_control(metrics={"tau_d": judged(0.9)}), *make_twins(0.9),
               make_trained(0.9, 0, shuffled=True)]  # fmt: skip
    found = [Beside(records).finding(record, "tau_d") for record in records]
    assert [one.finding for one in found] == [None] * 3
    assert [one.because for one in found] == [
        "it is a control", "it is a control", "its tiers were shuffled",
    ]  # fmt: skip
