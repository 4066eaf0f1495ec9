from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from support.made_records import judged, make_record, make_twins

from hiereval.errors import HierevalError
from hiereval.leaderboard import terminal
from hiereval.leaderboard.board import Board, build, reported_figures
from hiereval.leaderboard.rows import Row
from hiereval.leaderboard.selection import chosen
from hiereval.records import Record

Make = Callable[..., Record]


def only(board: Board) -> tuple[Row, ...]:
    assert len(board.sections) == 1
    return board.sections[0].measured


def columns(board: Board) -> list[tuple[str, str]]:
    return [(c.group, c.metric) for c in board.sections[0].columns]


def test_columns_are_headline_metrics_in_their_order(full: list[Record]) -> None:
    assert columns(build(full)) == [
        ("ordering", "tau_d"),
        ("ordering", "length_matched_auroc"),
        ("ordering", "adversarial_accuracy"),
        ("entailment", "triplet_accuracy_released"),
        ("entailment", "triplet_accuracy_documented"),
        ("entailment", "auroc"),
        ("image-entailment", "image_auroc"),
        ("image-entailment", "image_average_precision"),
        ("retrieval", "precision"),
        ("retrieval", "recall"),
        ("retrieval", "rank_f1"),
    ]


def test_every_metric_can_be_asked_for(full: list[Record]) -> None:
    every = [metric for _, metric in columns(build(full, every_metric=True))]
    assert {"exact_order", "f1", "mean_predictions"} <= set(every)


def test_an_unknown_task_shows_its_first_three_metrics(record: Make) -> None:
    metrics = dict.fromkeys(("d", "a", "c", "b"), 0.5)
    assert columns(build([record(task="mine", metrics=metrics)])) == [
        ("mine", "d"), ("mine", "a"), ("mine", "c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"dataset__sha256": "0" * 64},
        {"dataset__name": "other"},
        {"dataset__split": "val"},
        {"dataset__image_source": "originals"},
    ],
)
def test_different_data_is_another_section(record: Make, change: dict[str, str]) -> None:
    board = build([record("a"), record("b", **change)])
    assert [len(section.measured) for section in board.sections] == [1, 1]
    assert len({section.title for section in board.sections}) == 2


@pytest.mark.parametrize(
    ("change", "groups"),
    [
        ({"task__version": 2}, ["ordering (v1)", "ordering (v2)"]),
        ({"task__parameters": {"steps": 10}}, ["ordering (steps=10)", "ordering (steps=null)"]),
        (
            {"model__root_text": "entity"},
            ["ordering (root text='')", "ordering (root text='entity')"],
        ),
    ],
)
def test_versions_and_parameters_have_their_own_columns(
    record: Make, change: dict[str, object], groups: list[str]
) -> None:
    board = build([record("a"), record("b", **change)])
    assert sorted(group for group, _ in columns(board)) == groups
    for row in only(board):
        assert sum(cell is not None for cell in row.cells) == 1


def test_controls_stand_apart_and_are_never_ranked(full: list[Record]) -> None:
    section = build(full).sections[0]
    assert [row.label for row in section.controls] == [
        "characters", "clip-b32 (random init)", "constant", "words",
    ]  # fmt: skip
    assert all(cell is None or cell.rank is None for row in section.controls for cell in row.cells)
    ranks = {row.name: row.cells[1].rank for row in section.measured if row.cells[1]}
    assert ranks == {"siglip-base": 1, "clip-b32": 2, "toy": 3}


def findings_of(values: dict[str, float], half: float = 0.01, **fields: object) -> list[Record]:
    """Records of models far beyond their twins, whose values are these."""
    bar = 9.0 if fields.get("higher_is_better") is False else -9.0

    def one(name: str, value: float, **changes: object) -> Record:
        scores = {"m": judged(value, half=half, range=None, **fields)}
        return make_record(name, metrics=scores, **changes)

    records = [one(name, value) for name, value in values.items()]
    return [*records, one("twin", bar, model__random_init=0)]


@pytest.mark.parametrize(
    ("half", "ranks"),
    [
        (0.01, [(3, 3), (1, 2), (1, 2), (4, 4)]),
        (0.11, [(1, 3), (1, 3), (1, 3), (4, 4)]),  # .2 < sqrt(2) .11 z(6 pairs) / z = .21
        (0.4, [(1, 4)] * 4),
    ],
)
@pytest.mark.parametrize("higher", [True, False])
def test_models_that_intervals_cannot_tell_apart_share_their_rank(
    half: float, ranks: list[tuple[int, int]], higher: bool
) -> None:
    values = {"a": 0.5, "b": 0.69, "c": 0.7, "d": 0.1}
    if not higher:
        values = {name: 1.0 - value for name, value in values.items()}
    board = build(findings_of(values, half, higher_is_better=higher), sort="model")
    cells = [row.cells[0] for row in only(board)]
    assert [(c.rank, c.worst_rank) for c in cells if c] == ranks
    assert board.sections[0].columns[0].ties == "intervals alone"
    assert board.sections[0].notes[-1] == (
        "Ties are from intervals alone, which is conservative, where samples (--log-samples) are "
        "missing: ordering m."
    )


def test_paired_draws_tell_apart_what_intervals_cannot() -> None:
    """Scores that move together by .1, a hundredth apart; the draws are asked for by record."""
    records = findings_of({"a": 0.5, "b": 0.51, "c": 0.52}, half=0.2)
    asked: list[tuple[list[str], str]] = []

    def paired(records: Sequence[Record], metric: str) -> np.ndarray:
        asked.append(([record.model.name for record in records], metric))
        rng = np.random.default_rng(0)
        moved = rng.normal(scale=0.1, size=(500, 1)) + rng.normal(scale=0.001, size=(500, 3))
        return moved + np.array([0.5, 0.51, 0.52])

    board = build(records, paired=paired)
    assert [(row.label, row.cells[0] and row.cells[0].rank) for row in only(board)] == [
        ("c", 1), ("b", 2), ("a", 3),
    ]  # fmt: skip
    assert asked == [(["a", "b", "c"], "m")]
    assert board.sections[0].columns[0].ties == "paired draws"
    assert [row.cells[0] and row.cells[0].rank for row in only(build(records))] == [1, 1, 1]


def test_what_is_no_finding_has_no_rank_and_stands_below(record: Make) -> None:
    """The highest value is what chance reaches: it is neither first nor bold."""
    records = findings_of({"low": 0.3, "middle": 0.5})
    records.append(record("high", metrics={"m": judged(0.9, p=0.3)}))
    rows = only(build(records))
    assert [(row.label, row.cells[0] and row.cells[0].rank) for row in rows] == [
        ("middle", 1), ("low", 2), ("high", None),
    ]  # fmt: skip
    assert rows[2].cells[0] is not None
    assert rows[2].cells[0].because == "not beyond the free null (p 0.300), at 95 %"


def test_the_default_sort_is_by_what_blind_scores_give_away_least(record: Make) -> None:
    def one(name: str, tau: float, matched: float) -> Record:
        return record(name, metrics={
            "tau_d": judged(tau, ceilings={"words": 0.913}, chance=0.0, range=(-1.0, 1.0)),
            "length_matched_auroc": judged(matched, ceilings={"words": 0.5}, chance=0.5),
        })  # fmt: skip

    board = build([one("a", 0.99, 0.6), one("b", 0.95, 0.7)])
    assert [row.label for row in only(board)] == ["b", "a"]
    given = [column.given_away for column in board.sections[0].columns]
    assert given == [pytest.approx(0.913), 0.0]
    assert (
        "Blind scores, which see no image and no model, reach: ordering tau_d .913 (words), "
        "ordering length_matched_auroc .500 (words)." in board.sections[0].notes
    )


def _value(value: float, higher: bool | None) -> dict[str, object]:
    return judged(value, higher_is_better=higher, range=None)


def test_the_radius_sweep_does_not_rank_geometries(record: Make) -> None:
    metrics = {name: judged(0.3) for name in ("precision", "recall", "rank_f1")}
    records = [
        record("clip", "retrieval", metrics),
        record("meru", "retrieval", metrics, model__geometry="lorentz"),
    ]
    twin = record(task="retrieval", metrics=dict.fromkeys(metrics, 0.1), model__random_init=0)
    board = build([*records, twin])
    assert [[c.rank for c in row.cells if c] for row in only(board)] == [[None, None, 1]] * 2
    assert (
        "retrieval precision, retrieval recall: not ranked: the radius sweep depends on the "
        "geometry's scale." in board.sections[0].notes
    )


@pytest.mark.parametrize(
    ("untrained", "selectivity", "over"),
    [(0.3, 0.4, "shuffled tiers"), (0.8, 0.1, "untrained"), (None, None, "")],
)
def test_trained_probes_are_means_over_seeds(
    trained: Make, untrained: float | None, selectivity: float | None, over: str
) -> None:
    """Selectivity is over the better of shuffled tiers, .5 here, and what was there before."""
    records = [trained(value, seed) for seed, value in enumerate((0.8, 0.9, 1.0))]
    records += [trained(value, seed, shuffled=True) for seed, value in enumerate((0.4, 0.6))]
    before = make_record(metrics={"tau_d": untrained})
    row = next(row for row in only(build([*records, before])) if row.name != "toy")
    cell = row.cells[0]
    assert cell is not None
    assert cell.value == pytest.approx(0.9, abs=1e-12)
    assert cell.spread == pytest.approx(0.1, abs=1e-12)
    assert (cell.seeds, cell.shuffled) == (3, 0.5)
    assert cell.untrained == untrained
    assert cell.selectivity == (selectivity and pytest.approx(selectivity, abs=1e-12))
    assert cell.over == over
    assert (cell.low, cell.high) == (0.79, 1.01)


def test_of_a_seed_measured_twice_the_newer_counts(trained: Make) -> None:
    (row,) = only(build([trained(0.1, 0), trained(0.9, 0)]))
    assert row.cells[0] is not None
    assert (row.cells[0].value, row.cells[0].seeds, row.cells[0].spread) == (0.9, 1, None)


def test_one_undefined_seed_makes_the_mean_undefined(trained: Make, record: Make) -> None:
    bad = trained(0.5, 1)
    undefined = record(metrics={"tau_d": None}).metrics
    (row,) = only(build([trained(0.9, 0), bad.model_copy(update={"metrics": undefined})]))
    assert row.cells[0] is not None
    assert (row.cells[0].value, row.cells[0].state) == (None, "undefined")
    assert row.cells[0].reason == "all radii are equal"


def test_probes_of_a_model_are_rows_of_their_own(record: Make, trained: Make) -> None:
    board = build([record(), trained(0.9, 0, model__name="toy")])
    assert sorted(row.name for row in only(board)) == ["toy", "toy / radial-linear"]


def test_equal_names_are_told_apart(record: Make) -> None:
    records = [
        record(model__fingerprint="1" * 64),
        record(model__fingerprint="2" * 64, model__dtype="bfloat16"),
    ]
    assert [row.label for row in only(build(records))] == ["toy · bfloat16", "toy · float32"]


def test_twins_are_told_apart_by_their_seeds_and_stand_together(record: Make) -> None:
    twins = [
        record("clip", metrics={"tau_d": tau}, model__fingerprint=f"{seed}" * 64,
               model__random_init=seed)
        for seed, tau in ((2, 0.9), (0, 0.7))
    ]  # fmt: skip
    other = record("align", metrics={"tau_d": 0.8}, model__random_init=0)
    assert [row.label for row in build([*twins, other]).sections[0].controls] == [
        "align (random init)", "clip (random init) · seed 0", "clip (random init) · seed 2",
    ]  # fmt: skip


def test_limited_runs_are_left_off_and_counted(record: Make) -> None:
    board = build([record("a"), record("b", limit=10), record("c", limit=5)])
    assert [row.label for row in only(board)] == ["a"]
    assert board.limited == 2


def test_of_limited_runs_alone_the_terminal_says_that_no_other_is_there(record: Make) -> None:
    assert terminal.written(build([record("b", limit=10)])) == (
        "No records of full runs. Left off: 1 record of --limit runs.\n"
    )


def test_undefined_skipped_and_failed_keep_their_reasons(record: Make, control: Make) -> None:
    board = build(
        [
            record("ok"),
            control("constant", metrics={"tau_d": None}),
            record("skips", status="skipped", reason="skips has no text encoder", metrics={}),
            record("fails", status="failed", reason="OSError: gone", metrics={}),
        ]
    )
    section = board.sections[0]
    states = {row.label: row.cells[0].state for row in section.rows if row.cells[0]}
    assert states == {"ok": "ok", "constant": "undefined", "skips": "skipped", "fails": "failed"}
    assert section.notes[-3:] == (
        "ordering failed: fails (OSError: gone).",
        "ordering skipped: skips (has no text encoder).",
        "n/a: constant: ordering tau_d (all radii are equal).",
    )


def test_bars_that_are_not_passed_are_marked_and_listed(record: Make) -> None:
    ceilings = {"words": 0.9}
    records = [
        record("above", metrics={"tau_d": judged(0.95, ceilings=ceilings)}),
        record("blind", metrics={"tau_d": judged(0.905, ceilings=ceilings)}),
        record("chance", metrics={"tau_d": judged(0.95, p=0.2, ceilings=ceilings)}),
        record("alone", metrics={"tau_d": judged(0.95)}, model__checkpoint="c",
               model__config_sha256=None),
        record("old", metrics={"tau_d": 0.95}),
        *make_twins(0.8, 0.9, model="above"),
    ]  # fmt: skip
    section = build(records, sort="model").sections[0]
    cells = {row.label: row.cells[0] for row in section.measured if row.cells[0]}
    assert {name: cell.finding for name, cell in cells.items()} == {
        "above": False, "alone": None, "blind": False, "chance": False, "old": False,
    }  # fmt: skip
    assert {name: cell.failed for name, cell in cells.items()} == {
        "above": ("twins",), "alone": (), "blind": ("twins", "blind"), "chance": ("null", "twins"),
        "old": ("twins",),
    }  # fmt: skip
    assert [row.twins for row in section.measured] == [2, 0, 2, 2, 2]
    assert section.notes == (
        "† ordering tau_d: not beyond the reassignment null: chance.",
        "‡ ordering tau_d: not beyond the random-init twins: above, blind, chance, old.",
        "§ ordering tau_d: not beyond every blind score: blind.",
        "Without random-init twins (--controls random-init), so never a finding: alone.",
        "Without a null, so never a finding: ordering tau_d: old.",
        "Blind scores, which see no image and no model, reach: ordering tau_d .900 (words).",
    )


def test_reported_figures_join_the_dataset_they_are_about(record: Make) -> None:
    assert len([f for f in reported_figures() if "ordering tau_d" in f.metrics]) == 6
    assert len(build([record()]).sections[0].reported) == 6
    assert build([record(dataset__name="shapes")]).sections[0].reported == ()
    assert all(figure.url.startswith("https://") or not figure.url for figure in reported_figures())


def test_radii_by_tier_come_from_the_newest_record(record: Make) -> None:
    tier = {"tier": 1, "mean": 0.5, "low_quartile": 0.4, "high_quartile": 0.6}
    old = record(summary={"radius_by_tier": [tier]})
    new = record(summary={"radius_by_tier": [{**tier, "mean": 0.55}]})
    (row,) = only(build([new, old]))
    assert [t.mean for t in row.curve] == [0.55]


@pytest.mark.parametrize("summary", [{}, {"radius_by_tier": 3}, {"radius_by_tier": [{"tier": 1}]}])
def test_a_malformed_summary_gives_no_plot(record: Make, summary: dict[str, object]) -> None:
    assert only(build([record(summary=summary)]))[0].curve == ()


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("model", ["clip-b32", "clip-b32 / radial-linear", "siglip-base", "toy"]),
        ("auroc", ["siglip-base", "clip-b32", "toy", "clip-b32 / radial-linear"]),
        ("ordering.tau_d", ["clip-b32 / radial-linear", "siglip-base", "clip-b32", "toy"]),
        (None, ["clip-b32 / radial-linear", "siglip-base", "clip-b32", "toy"]),
    ],
)
def test_sorting(full: list[Record], sort: str | None, names: list[str]) -> None:
    assert [row.name for row in only(build(full, sort=sort))] == names


def test_an_unknown_sort_column_names_the_nearest(record: Make) -> None:
    with pytest.raises(HierevalError) as caught:
        build([record()], sort="tau")
    assert str(caught.value) == (
        "The sort column 'tau' must be model, date, or a metric on the board "
        "(tau_d, ordering.tau_d). Did you mean 'tau_d'?"
    )


def test_choosing_datasets_and_tasks(full: list[Record]) -> None:
    kept = chosen(full, ["hier*"], ["*entailment"])
    assert {record.task.name for record in kept} == {"entailment", "image-entailment"}
    with pytest.raises(HierevalError) as caught:
        chosen(full, tasks=["orderng"])
    assert str(caught.value) == (
        "The task 'orderng' must be one that the results hold (entailment, image-entailment, "
        "ordering, retrieval). Did you mean 'ordering'?"
    )


def test_no_records_make_an_empty_board() -> None:
    assert build([]) == Board((), 0, ())


def test_a_board_imports_no_torch() -> None:
    modules = "board, page, terminal, markdown, latex, spreadsheet"
    code = f"import sys; from hiereval.leaderboard import {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_value_alone_in_its_column_has_no_rank(record: Make) -> None:
    (row,) = only(build([record()]))
    assert row.cells[0] is not None
    assert row.cells[0].rank is None


def test_tasks_skipped_for_one_reason_share_a_note(control: Make) -> None:
    records = [
        control(
            kind, task=task, status="skipped", reason=f"{kind} has no image encoder", metrics={}
        )
        for task in ("retrieval", "interpolation")
        for kind in ("words", "characters")
    ]
    assert build(records).sections[0].notes == (
        "interpolation, retrieval skipped: words, characters (has no image encoder).",
    )
