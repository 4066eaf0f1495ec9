from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.cells import cell_len
from support.made_records import judged

from hiereval.leaderboard import terminal
from hiereval.leaderboard.board import build
from hiereval.records import Record
from hiereval.verified import Evidence


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(full: list[Record], width: int) -> None:
    lines = terminal.written(build(full), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "…" not in "".join(lines) or width < 80


def test_verified_rows_are_named_by_what_they_were_verified_from(
    record: Callable[..., Record],
) -> None:
    first, second, third = record("a"), record("b"), record("c")
    known: dict[str, Evidence] = {first.record_id: "samples", third.record_id: "vectors"}
    told = terminal.written(build([first, second, third], verified=known, reported=[]), 80)
    lines = [line for line in told.splitlines() if line.startswith("Verified")]
    assert lines[:2] == ["Verified: c.", "Verified from samples: a."]
    told = terminal.written(build([first, second, third], reported=[]), 80)
    assert "erified" not in told


@pytest.mark.parametrize(("width", "blocks"), [(80, 4), (160, 2), (240, 1)])
def test_tasks_are_packed_side_by_side(full: list[Record], width: int, blocks: int) -> None:
    section = build(full).sections[0]
    packed = terminal.blocks(section, width)
    assert len(packed) == blocks
    assert [i for block in packed for _, part in block for i in part] == list(range(11))


def test_a_whole_table(record: Callable[..., Record], control: Callable[..., Record]) -> None:
    ceilings = {"words": 0.913}
    board = build(
        [
            record(
                "good",
                metrics={
                    "tau_d": judged(0.95, ceilings=ceilings),
                    "length_matched_auroc": judged(0.6),
                },
            ),
            record(
                "bad",
                metrics={"tau_d": judged(0.9, ceilings=ceilings), "length_matched_auroc": None},
            ),
            control(metrics={"tau_d": 0.913, "length_matched_auroc": 0.5}),
            control("characters", status="skipped", reason="characters is unwell", metrics={}),
            record(limit=5),
        ],
        reported=[],
    )
    assert terminal.written(board, 80).splitlines() == [
        "hierarcaps test",
        "data sha256 eeeeeeee · revision ba22b891 · images: bundled",
        "",
        "              ordering",
        "              tau_d ↑          length_matched",
        "                               auroc ↑",
        "─────────────────────────────────────────────",
        "good          .950 .940–.960   .600 .590–.610",
        "bad           .900§ .890–.910  n/a",
        "·············································",
        "words         .913 .903–.923   .500 .490–.510",
        "",
        "runs          revision         dtype    date        fingerprint",
        "───────────────────────────────────────────────────────────────",
        "good          01234567         float32  2026-11-23  676f6f64",
        "bad           01234567         float32  2026-11-23  626164ff",
        "characters    sha256:aaaaaaaa  float32  2026-11-23  63686172",
        "words         sha256:aaaaaaaa  float32  2026-11-23  776f7264",
        "",
        "§ ordering tau_d: not beyond every blind score: bad.",
        "Without random-init twins (--controls random-init), so never a finding: bad,",
        "good.",
        "Blind scores, which see no image and no model, reach: ordering tau_d .913",
        "(words).",
        "ordering skipped: characters (is unwell).",
        "n/a: bad: ordering length_matched_auroc (all radii are equal).",
        "",
        "95 % intervals. Bold: findings that no other is above; only findings have a",
        "rank. § not beyond every blind score. Intervals cover other items of the same",
        "kind, drawn again; they do not cover other training seeds, other data or other",
        "prompts. Controls stand below the dotted line. Left off: 1 record of --limit",
        "runs.",
    ]


def test_bold_is_the_best_measured_alone(full: list[Record]) -> None:
    section = build(full).sections[0]
    styles = {row.name: terminal.cell_text(row.cells[0]).style for row in section.rows}
    assert [name for name, style in styles.items() if style == "bold"] == [
        "clip-b32 / radial-linear"
    ]


def test_hostile_strings_stay_text(
    hostile: str, hostile_everywhere: Callable[[str], Record]
) -> None:
    shown = terminal.written(build([hostile_everywhere(hostile)]), 80)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert max(map(cell_len, shown.splitlines())) <= 80


def test_long_names_are_cut(long_record: Record) -> None:
    shown = terminal.written(build([long_record]), 80)
    assert len(shown) < 8000
    assert max(map(cell_len, shown.splitlines())) <= 80


def test_a_table_holds_as_many_rows_as_anybody_scrolls_to(record: Callable[..., Record]) -> None:
    made = [record(f"model-{i:04}", metrics={"tau_d": i / 1000}) for i in range(503)]
    told = terminal.written(build(made))
    rows = [line.split()[0] for line in told.split("\n\n")[1].splitlines() if "model-" in line]
    assert rows == [f"model-{i:04}" for i in range(502, 2, -1)]
    assert "\n3 more rows: --out board.html or board.csv has all.\n" in told
    assert "more rows" not in terminal.written(build(made[:500]))
