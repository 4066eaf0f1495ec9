"""The table at the end of a run."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from support.made_records import judged, make_control, make_record, make_trained, make_twins

from hiereval.leaderboard.results_table import show_results
from hiereval.records import Record


def shown(model: Sequence[Record], controls: Sequence[Record] = (), width: int = 80) -> list[str]:
    """The printed lines, without the last ones on intervals; a finding is marked as *value*."""
    console = Console(file=io.StringIO(), width=width, color_system="standard", force_terminal=True)
    show_results(console, model, controls)
    green, bold = "\x1b[1;32m", "\x1b[1m"
    text = console.file.getvalue().replace(green, "*")  # type: ignore[attr-defined]
    lines = []
    for line in text.splitlines():
        before, star, after = line.partition("*")
        line = before + star + (after.replace("\x1b[0m", "*", 1) if star else after)
        for code in (bold, "\x1b[0m", "\x1b[2m", "\x1b[36m", "\x1b[1;2m"):
            line = line.replace(code, "")
        lines.append(line.replace("\x1b[33m", "").rstrip())
    return [line for line in lines if line not in COVERS]


COVERS = (
    "Green: a finding. Intervals cover other items of the same kind, drawn again;",
    "they do not cover other training seeds, other data or other prompts.",
)


def test_a_model_beside_its_controls() -> None:
    lower = judged(0.2, higher_is_better=False)
    model = make_record(metrics={"tau_d": judged(0.9, ceilings={"words": 0.913}), "lower": lower})
    words = make_control("control:words", metrics={"tau_d": 0.913, "lower": 0.5})
    twin = make_record(metrics={"tau_d": 0.7, "lower": 0.4}, model__random_init=0)
    assert shown([model], [words, twin])[:5] == [
        "toy on hierarcaps (test), probe empty-root",
        "          value  95 % CI    words  random",
        "ordering",
        "  tau_d   .900§  .890–.910   .913    .700",
        "  lower   * .200*  .190–.210   .500    .400",
    ]


def test_the_marks_that_are_used_are_explained() -> None:
    lines = shown([make_record(metrics={"tau_d": judged(0.6, p=0.4)})], make_twins(0.59))
    assert " ".join(lines[4:]).startswith(
        "Green: a finding. † not beyond the reassignment null. ‡ not beyond the random-init "
        "twins. Intervals cover other items of the same kind,"
    )


def test_a_control_that_is_undefined_throughout_is_a_line_below_the_table() -> None:
    constant = make_control("control:constant", metrics={"tau_d": None})
    assert shown([make_record()], [constant]) == [
        "toy on hierarcaps (test), probe empty-root",
        "          value  95 % CI",
        "ordering",
        "  tau_d    .900  .890–.910",
        "tau_d: n/a for control:constant: all radii are equal",
    ]


def test_a_trained_probe_is_one_table_with_shuffled_tiers_beside() -> None:
    seeds = [make_trained(judged(v), seed) for seed, v in enumerate((0.94, 0.95, 0.96))]
    shuffled = [make_trained(0.80, seed, shuffled=True) for seed in range(3)]
    words = make_control("control:words", metrics={"tau_d": 0.7})
    root = make_record(metrics={"tau_d": judged(0.9)})
    assert shown([*seeds, *shuffled, root], [words])[:4] == [
        "toy on hierarcaps (test), probe radial-linear, mean of 3 seeds",
        "          value  95 % CI    shuffled  words",
        "ordering",
        "  tau_d   * .950*  .930–.970      .800   .700",
    ]


def test_other_parameters_are_another_table() -> None:
    probes = [make_trained(0.9, 0), make_trained(0.8, 0)]
    probes[1].probe.parameters["rank"] = 8
    titles = [line for line in shown(probes) if "probe" in line]
    assert titles == ["toy on hierarcaps (test), probe radial-linear"] * 2


def test_other_training_data_is_another_table() -> None:
    first, second = make_trained(0.9, 0), make_trained(0.8, 0)
    assert second.probe.training is not None
    training = second.probe.training.model_copy(update={"sha256": "8" * 64})
    probe = second.probe.model_copy(update={"training": training})
    second = second.model_copy(update={"probe": probe})
    values = [line.split()[1] for line in shown([first, second]) if "tau_d" in line]
    assert values == [".900", ".800"]


def test_skipped_tasks_stand_last_with_the_reason_below() -> None:
    skipped = make_record(task="retrieval", metrics={}, status="skipped", reason="no images")
    assert shown([skipped, make_record()]) == [
        "toy on hierarcaps (test), probe empty-root",
        "             value  95 % CI",
        "ordering",
        "  tau_d       .900  .890–.910",
        "retrieval  skipped",
        "retrieval: skipped: no images",
    ]


def test_every_line_of_our_tasks_fits_80_columns() -> None:
    from hiereval import registry

    metrics = {m.name: 0.5 for m in registry.load("tasks", "entailment").metrics}
    entailment = make_record(metrics=metrics)
    trained = [
        make_trained(0.9, seed, shuffled).model_copy(
            update={"metrics": entailment.metrics, "task": entailment.task}
        )
        for seed, shuffled in enumerate((False, False, True))
    ]
    controls = [
        make_control("control:words", metrics=metrics),
        make_control("control:characters", metrics=metrics),
        make_record(metrics=metrics, model__random_init=0),
    ]
    lines = shown(trained, controls)
    assert max(map(len, lines)) <= 80
    names = [line.split()[0] for line in lines if line.startswith("  ") and "value" not in line]
    assert names == list(metrics)  # none is folded
