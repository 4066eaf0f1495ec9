"""A submission of several models, and ways to slip past the check of a board's repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.board_repository import Board
from support.typed import Cli

from hiereval import identity, reading, records, verification, verified
from hiereval.errors import HierevalError
from hiereval.fingerprint import of_model
from hiereval.records import Record
from hiereval.run import RunConfig, run
from hiereval.session import Session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session.of(device="cpu", cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def results(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy, a control, and a twin that has seen no image."""
    folder = tmp_path_factory.mktemp("results")
    toy = RunConfig(
        model="toy",
        tasks="entailment,flat-retrieval",
        datasets=("shapes",),
        controls=("words",),
        output=folder,
        null_draws=20,
    )
    run(session, toy)
    run(session, replace(toy, random_init=4, tasks="entailment", null_draws=0))
    return folder


def rewritten(results: Path, change: Callable[[dict[str, Any]], None]) -> list[Record]:
    """The toy's records with a change, under the identity that they then have."""
    made = []
    for record in reading.read(results / "toy.jsonl"):
        value = json.loads(record.model_dump_json())
        change(value)
        value["model"]["fingerprint"] = of_model(value["model"])
        value["record_id"] = identity.of_record(Record.model_validate(value))
        made.append(Record.model_validate(value))
    return made


def write(path: Path, made: list[Record]) -> Path:
    path.write_bytes(b"".join(map(records.line, made)))
    return path


# --- several models ------------------------------------------------------------------------------


def test_vectors_of_a_model_its_twins_and_controls_verify_every_record(
    cli: Cli, session: Session, results: Path, tmp_path: Path
) -> None:
    vectors, out = tmp_path / "vectors", tmp_path / "mine.verified.json"
    cached = ("--cache-dir", session.places.cache)
    assert cli("verify", results, "--write-vectors", vectors, *cached)[0] == 0
    there = reading.read_all([results])
    own = {r.model.fingerprint for r in there if r.model.adapter != "control"}
    assert len(own) == 2
    names = sorted(f"{fingerprint[:12]}-shapes-test" for fingerprint in own)
    assert sorted(folder.name for folder in vectors.iterdir()) == names
    code, told, _ = cli("verify", results, "--vectors", vectors, "--out", out, *cached)
    assert code == 0
    assert "toy (random init, seed 4) entailment / empty-root: verified: " in told
    assert set(verified.standing([out], there).values()) == {"vectors"}
    assert len(verified.read(out)) == sum(record.status == "ok" for record in there)
    one = next(p for p in vectors.iterdir() if p.name.startswith(there[-1].model.fingerprint[:12]))
    assert cli("verify", results, "--vectors", one, *cached) == (
        2,
        "",
        f"error: The vectors {str(one)!r} must be of the 2 models that the records are of, in a "
        "folder each: 'hiereval verify RECORDS --write-vectors FOLDER' writes them.\n",
    )


def test_a_trained_probe_is_fitted_again_from_vectors(session: Session, tmp_path: Path) -> None:
    config = RunConfig(
        model="toy",
        tasks="ordering",
        datasets=("shapes",),
        probes=("learned-root",),
        probe_args={"epochs": 1, "batch": 1000, "seed": 0},
        output=tmp_path,
        resamples=20,
        null_draws=0,
    )
    made = run(session, config).records
    verification.write_vectors(session, made, tmp_path / "vectors")
    kinds = {(r.dataset.split, r.probe.shuffled): r for r in made if r.probe.seed == 0}
    assert len(kinds) == 4  # also shuffled, and of the strings that were not trained on
    record = kinds["test-unseen-tiers-3-4", True]
    found = verification.from_vectors(session, record, tmp_path / "vectors")
    assert (found.of, found.largest_difference) == ("vectors", 0.0)


def test_vectors_that_are_not_there_are_named(
    session: Session, results: Path, tmp_path: Path
) -> None:
    record = next(reading.read(results / "toy.jsonl"))
    name = f"{record.model.fingerprint[:12]}-shapes-test"
    with pytest.raises(HierevalError) as caught:
        verification.from_vectors(session, record, tmp_path)
    assert str(caught.value) == (
        f"The vectors of toy must be in '{tmp_path / name}', where 'hiereval verify RECORDS "
        "--write-vectors FOLDER' puts them."
    )
    controls = reading.read(results / "control-words.jsonl")
    with pytest.raises(HierevalError) as caught:
        verification.write_vectors(session, controls, tmp_path / "new")
    assert str(caught.value) == (
        "The records must hold a model: controls have no vectors to write."
    )


def test_what_is_verified_already_is_not_computed_again(
    cli: Cli, session: Session, results: Path, tmp_path: Path
) -> None:
    file, out = results / "control-words.jsonl", tmp_path / "v.verified.json"
    asked = ("verify", file, "--vectors", tmp_path, "--out", out, "--once")
    asked += ("--cache-dir", session.places.cache)
    code, told, err = cli(*asked)
    assert (code, bool(told), err) == (0, True, f"wrote {out}\n")
    assert cli(*asked) == (0, "", f"{out} is of these records already\n")
    record = next(record for record in reading.read(file) if record.status == "ok")
    changed = write(tmp_path / "changed.jsonl", [record.model_copy(update={"run_id": "another"})])
    code, told, err = cli(*("verify", changed, *asked[2:]))
    assert (code, bool(told), err) == (0, True, f"wrote {out}\n")


# --- records beside others -----------------------------------------------------------------------


def test_records_that_stand_already_are_compared_with_and_not_checked(
    cli: Cli, results: Path, tmp_path: Path
) -> None:
    board = tmp_path / "results"
    (board / "mine").mkdir(parents=True)
    mine = write(board / "mine" / "toy.jsonl", list(reading.read(results / "toy.jsonl")))
    write(board / "old.jsonl", rewritten(results, lambda v: v["task"].update(version=99)))
    assert cli("validate", board)[0] == 2
    assert cli("validate", mine, "--beside", board) == (0, "2 records are valid.\n", "")

    def forge(value: dict[str, Any]) -> None:
        metric = next(m for m in value["metrics"].values() if m["value"] not in (None, m["ci_low"]))
        metric["value"] = metric["ci_low"]

    forged = write(tmp_path / "forged.jsonl", rewritten(results, forge)[:1])
    code, _, err = cli("validate", forged, "--beside", board)
    assert code == 2
    assert f"{forged}:1: record_id: " in err
    assert f"at {mine}:1; keep the one" in err


def test_one_model_under_two_names_is_noted(cli: Cli, results: Path, tmp_path: Path) -> None:
    famous = write(
        tmp_path / "famous.jsonl", rewritten(results, lambda v: v["model"].update(name="CLIP-L"))
    )
    other = write(
        tmp_path / "other.jsonl",
        rewritten(results, lambda v: v["model"].update(name="ours", weights_sha256="0" * 64)),
    )
    toy = results / "toy.jsonl"
    assert cli("validate", famous, "--beside", results) == (
        0,
        "2 records are valid.\n",
        f"note: {famous}:1: CLIP-L has the fingerprint of toy at {toy}:1\n",
    )
    code, out, _ = cli("validate", other, "--beside", results, "--format", "json")
    assert code == 0
    assert json.loads(out)["notes"] == [
        {"file": str(other), "line": 1, "note": f"ours has every value of toy at {toy}:1"}
    ]
    assert cli("validate", results)[2] == ""  # its twins and controls are no copies


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("t\u043ey", "'t\u043ey' mixes LATIN and CYRILLIC letters, which look the same"),
        ("\uff54oy", "'\uff54oy' is another way to write 'toy'"),
        ("toy\u200b", "'toy' holds spaces or characters that are not shown"),
        ("toy ", "'toy' holds spaces or characters that are not shown"),
        ("\u202e", "it has no visible character"),
    ],
)
def test_names_that_imitate_others_are_refused(
    cli: Cli, results: Path, tmp_path: Path, name: str, told: str
) -> None:
    made = rewritten(results, lambda v: v["model"].update(name=name))[:1]
    path = write(tmp_path / "r.jsonl", made)
    code, _, err = cli("validate", path)
    assert (code, err) == (
        2,
        f"{path}:1: model.name: {told}; run it again under a plain name\n"
        "error: 1 of 1 records are refused.\n",
    )


def test_names_of_any_alphabet_are_valid(cli: Cli, results: Path, tmp_path: Path) -> None:
    made = rewritten(results, lambda v: v["model"].update(name="α-CLIP 视觉 größer"))
    assert cli("validate", write(tmp_path / "r.jsonl", made))[0] == 0


def test_few_resamples_are_noted(cli: Cli, results: Path, tmp_path: Path) -> None:
    made = rewritten(results, lambda v: v.update(bootstrap_resamples=5))[:1]
    path = write(tmp_path / "r.jsonl", made)
    told = "toy entailment: intervals of 5 resamples may be narrow by luck; 1,000 are usual"
    assert cli("validate", path) == (0, "1 records are valid.\n", f"note: {path}:1: {told}\n")


def test_a_line_that_cannot_be_read_is_in_the_report_of_a_machine(
    cli: Cli, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", list(reading.read(results / "toy.jsonl")))
    longest = max(map(len, path.read_bytes().splitlines(keepends=True)))
    monkeypatch.setattr("hiereval.seals.LONGEST_LINE", longest)
    with path.open("ab") as file:
        file.write(b"x" * (longest + 1))
    (tmp_path / "b.jsonl").symlink_to("b.jsonl")
    code, out, _ = cli("validate", tmp_path, "--format", "json")
    report = json.loads(out)
    assert (code, report["records"], report["refused"]) == (2, 4, 2)
    assert [(one["line"], one["problem"]) for one in report["problems"]] == [
        (3, f"the line must have at most {longest:,} bytes"),
        (1, f"The file '{path.parent}/b.jsonl' cannot be read: Too many levels of symbolic links"),
    ]


# --- the check of a board's repository -----------------------------------------------------------


@pytest.fixture
def board(tmp_path: Path, session: Session, cli: Cli) -> Board:
    folder = tmp_path / "our-board"
    cli("new-board", folder)
    return Board(folder, session.places.cache)


def linked(folder: Path) -> None:
    folder.joinpath("results", "mine").mkdir()
    folder.joinpath("results", "mine", "r.jsonl").symlink_to("/etc/hostname")


def written(name: str) -> Callable[[Path], None]:
    def write_file(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("{}\n")

    return write_file


LOOSE = "A submission must stand in a folder of its own, results/NAME."
OURS = "Verification records are written by this board; leave them out."
NAMED = "A submission's folder must be results/NAME, of letters, digits, - and _."


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (written("verified/\u00e9.verified.json"), OURS),
        (written("verified/a\nb.json"), OURS),
        (written("results/mine/a\u00e9.verified.json"), OURS),
        (written("results/ViT-B.32/r.jsonl"), NAMED),
        (written("results/\u00e9/r.jsonl"), NAMED),
        (written("results/a b/r.jsonl"), NAMED),
        (written("results/r.jsonl"), LOOSE),
        (linked, "A submission must hold files alone, no links and no submodules."),
    ],
)  # fmt: skip
def test_no_name_slips_past_the_check(
    board: Board, change: Callable[[Path], None], told: str
) -> None:
    board.do("git", "checkout", "-q", "-b", "mine")
    change(board.folder)
    board.commit()
    done = board.do("scripts/check", "main")
    assert (done.returncode, done.stdout) == (2, f"{told}\n")
    assert (board.folder / "report.md").read_text("utf-8") == f"# Submission\n{told}\n"


def test_what_a_branch_changes_besides_is_shown_in_a_block_that_nothing_leaves(
    board: Board,
) -> None:
    board.do("git", "checkout", "-q", "-b", "mine")
    board.folder.joinpath("``` @all [x](y)").write_text("")
    board.folder.joinpath("POLICY.md").unlink()
    board.commit()
    done = board.do("scripts/check", "main")
    assert (done.returncode, done.stdout) == (
        0,
        "Besides new files of results/ the branch changes (M), adds (A) or deletes (D):\n\n"
        "    D\tPOLICY.md\n    A\t``` @all [x](y)\n\nNo submission in this branch.\n",
    )
    done = board.do("scripts/check", "nowhere")
    assert (done.returncode, done.stdout) == (
        2,
        "The base must be a commit that this branch comes from.\n",
    )


def test_a_board_without_records_is_published_as_none(board: Board) -> None:
    done = board.do("scripts/publish")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "No records yet.\n")
    assert not (board.folder / "site" / "index.html").exists()
