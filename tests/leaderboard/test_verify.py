"""Submissions: what is computed again, what is refused, and what a board says of it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.board_repository import Board
from support.typed import Cli

from hiereval import reading, records, seals, verification, verified
from hiereval.records import Record
from hiereval.run import RunConfig, run
from hiereval.session import Session

TASKS = "flat-retrieval"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session.of(device="cpu", cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def vectors(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of shapes that mean nothing."""
    data = session.dataset("shapes")
    folder = tmp_path_factory.mktemp("vectors") / "mine"
    folder.mkdir()
    texts = list(dict.fromkeys(["", *data.texts]))
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "text": torch.randn(len(texts), 8, generator=generator),
        "image": torch.randn(len(data.images), 8, generator=generator),
    }
    save_file(tensors, folder / "embeddings.safetensors")
    index = {"texts": texts, "images": [image.name for image in data.images]}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def results(session: Session, vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    config = RunConfig(
        model=f"precomputed:{vectors}",
        tasks=TASKS,
        datasets=("shapes",),
        output=folder,
        log_samples=True,
    )
    run(session, config)
    return folder


def changed(results: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write the records once more, their first one changed, sealed as if nothing had happened."""
    (file,) = results.glob("*.jsonl")
    first, *rest = reading.read(file)
    value = json.loads(first.model_dump_json())
    change(value)
    folder.mkdir(exist_ok=True)
    lines = [seals.sealed(json.dumps(value)), *map(records.line, rest)]
    (folder / "forged.jsonl").write_bytes(b"".join(lines))
    return folder


def forge(value: dict[str, Any]) -> None:
    defined = (m for m in value["metrics"].values() if m["value"] is not None)
    metric = next(m for m in defined if m["value"] != m["ci_high"])
    metric["value"] = metric["ci_high"]


def cached(session: Session) -> list[object]:
    return ["--cache-dir", session.places.cache]


def test_every_number_is_computed_again_from_vectors(
    cli: Cli, session: Session, results: Path, vectors: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.verified.json"
    asked = ("verify", results, "--vectors", vectors, "--out", out, *cached(session))
    code, told, err = cli(*asked)
    assert (code, err) == (0, f"wrote {out}\n")
    assert len(told.splitlines()) == 1
    made = reading.read_all([results])
    found = {one.record_id: one for one in verified.read(out)}
    assert found.keys() == {record.record_id for record in made}
    for record in made:
        one = found[record.record_id]
        assert one.record_sha256 == verified.content_hash(record)
        assert one.of == "vectors"
        assert one.largest_difference <= 1e-9
        assert [source.name for source in one.sources] == ["embeddings.safetensors", "index.json"]
        assert one.numbers == sum(
            4 + len(m.ceilings) + 6 * len(m.nulls) for m in record.metrics.values()
        )
    assert verified.standing([out], made) == dict.fromkeys(found, "vectors")
    other = made[0].model_copy(update={"seed": 1})
    assert verified.standing([out], [other]) == {}


def test_a_forged_number_is_named_and_nothing_is_written(
    cli: Cli, session: Session, results: Path, vectors: Path, tmp_path: Path
) -> None:
    forged = changed(results, tmp_path / "forged", forge)
    out = tmp_path / "v.verified.json"
    for source in (("--vectors", vectors), ("--samples", results)):
        code, told, err = cli("verify", forged, *source, "--out", out, *cached(session))
        assert code == 1
        assert told == ""
        assert "not verified: " in err
        assert "the record says" in err
        assert not out.exists()
    code, told, _ = cli("verify", forged, "--samples", results, "--format", "json")
    assert code == 1
    assert sum("problem" in one for one in json.loads(told)) == 1


def the_first(value: dict[str, Any]) -> dict[str, Any]:
    return value["metrics"]["text_to_image_r1"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: the_first(v).update(value=0.9, ci_low=0.89, ci_high=0.91),
         "metrics.text_to_image_r1.value: the record says 0.9, its vectors say 0.0"),
        (lambda v: the_first(v).update(n=7), "metrics.text_to_image_r1.n: the record says 7, "),
        (lambda v: the_first(v).update(nulls={}),
         "metrics.text_to_image_r1.nulls.images.mean: the record lacks it, its vectors say "),
        (lambda v: the_first(v).update(ceilings={"words": 0.5}),
         "metrics.text_to_image_r1.ceilings.words: the record says 0.5, its vectors say None"),
        (lambda v: v["metrics"].pop("text_to_image_r1"),
         "metrics.text_to_image_r1.value: the record lacks it, its vectors say 0.0"),
        (lambda v: the_first(v).update(caution="so sure"),
         "metrics.text_to_image_r1.caution: its vectors say something else"),
        (lambda v: v.update(summary={"radius_by_tier": [1.0]}),
         "summary.radius_by_tier: its vectors say something else"),
    ],
)  # fmt: skip
def test_what_only_vectors_can_tell_is_told(
    session: Session,
    results: Path,
    vectors: Path,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    told: str,
) -> None:
    (record,) = reading.read_all([changed(results, tmp_path / "forged", change)])
    with pytest.raises(verification.DiffersError) as caught:
        verification.from_vectors(session, record, vectors)
    assert str(caught.value).startswith(f"{record.record_id}: {told}")


def test_samples_give_values_and_intervals_again(cli: Cli, results: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.verified.json"
    code, _, err = cli("verify", results, "--samples", results, "--out", out)
    assert (code, err) == (0, f"wrote {out}\n")
    assert {one.of for one in verified.read(out)} == {"samples"}


@pytest.fixture
def checked(cli: Cli, session: Session, results: Path, vectors: Path, tmp_path: Path) -> Path:
    """The verification records of one submission, from its vectors and from its samples."""
    for name, source in (("vectors", vectors), ("samples", results)):
        out = tmp_path / f"{name}.verified.json"
        cli("verify", results, f"--{name}", source, "--out", out, *cached(session))
    return tmp_path


def test_the_board_says_which_rows_are_verified_and_from_what(
    cli: Cli, results: Path, checked: Path
) -> None:
    samples, vectors = checked / "samples.verified.json", checked / "vectors.verified.json"
    cases: list[tuple[list[Path], str, str | None]] = [
        ([], "measured", None),
        ([samples], "verified from samples", "samples"),
        ([vectors], "verified", "vectors"),
        ([vectors, samples], "verified", "vectors"),  # the stronger of two of one record
        ([samples, vectors], "verified", "vectors"),
    ]
    for given, standing, evidence in cases:
        board = ["leaderboard", results, *(a for path in given for a in ("--verified", path))]
        _, told, _ = cli(*board, "--format", "json")
        assert [r["verified"] for r in json.loads(told)["sections"][0]["measured"]] == [evidence]
        _, told, _ = cli(*board, "--format", "csv")
        assert {row["standing"] for row in csv.DictReader(told.splitlines())} == {standing}
        _, told, _ = cli(*board, "--format", "md")
        assert told.count(f" | {standing} |") == 1
        for form in ("table", "md", "latex", "html"):
            _, told, _ = cli(*board, "--format", form)
            plain = " ".join(told.split())
            assert ("Verified from samples: values and" in plain) == (evidence == "samples")
            assert ("Verified: every number" in plain) == (evidence == "vectors")


def test_stored_vectors_are_written_for_a_submission(
    cli: Cli, session: Session, results: Path, vectors: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "submitted"
    code, _, err = cli("verify", results, "--write-vectors", folder, *cached(session))
    assert (code, err) == (0, f"wrote {folder}\n")
    code, told, _ = cli("verify", results, "--vectors", folder, *cached(session))
    assert code == 0
    assert len(told.splitlines()) == 1


def test_what_was_measured_is_valid(cli: Cli, results: Path) -> None:
    assert cli("validate", results) == (0, "1 records are valid.\n", "")


def a_metric(value: dict[str, Any]) -> dict[str, Any]:
    return value["metrics"]["text_to_image_r1"]


def later(value: dict[str, Any], **fields: Any) -> None:
    value.update(fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda v: a_metric(v).update(value=0.99),
            "metrics.text_to_image_r1.value: 0.99 is outside its own interval",
        ),
        (
            lambda v: a_metric(v).update(ci_low=None),
            "metrics.text_to_image_r1.ci_low: an interval must have",
        ),
        (
            lambda v: a_metric(v).update(ci_level=95),
            "metrics.text_to_image_r1.ci_level: 95.0 must be 0.95",
        ),
        (
            lambda v: a_metric(v).update(n=0),
            "metrics.text_to_image_r1.n: 0 items cannot give a value",
        ),
        (
            lambda v: a_metric(v).update(range=[0, 5]),
            "metrics.text_to_image_r1.range: [0.0, 5.0] is not [0.0, 1.0], as the task says",
        ),
        (
            lambda v: next(iter(a_metric(v)["nulls"].values())).update(p=1e-9),
            "p: 1e-09 cannot come of",
        ),
        (
            lambda v: v["metrics"].update(text_to_image_r2=a_metric(v)),
            "metrics.text_to_image_r2: flat-retrieval has no such metric. Did you mean 'text_",
        ),
        (
            lambda v: v["task"].update(version=99),
            "task.version: 99 is not the version of flat-retrieval",
        ),
        (lambda v: v["task"].update(name="mine"), "task.name: The task 'mine' must be one of"),
        (
            lambda v: v["task"].update(parameters={"x": 1}),
            "task.parameters: The parameter 'x' of the task 'flat-retrieval' must be one of",
        ),
        (
            lambda v: v["dataset"].update(sha256="0" * 64),
            "dataset.sha256: 000000000000 is not shapes:test, which is 608ac984431c",
        ),
        (
            lambda v: v["model"].update(fingerprint="0" * 64),
            "model.fingerprint: it is not the fingerprint of the model's fields",
        ),
        (lambda v: later(v, record_id="mine"), "record_id: mine is not of the record's fields"),
        (lambda v: later(v, seed=1), "record_id: "),
        (lambda v: later(v, limit=7), "record_id: "),
        (lambda v: later(v, timestamp="2999-01-01T00:00:00Z"), "timestamp: 2999-01-01"),
        (lambda v: v["dataset"].update(n_truncated=10**6), "dataset.n_truncated: 1000000 of"),
        (lambda v: v["timings"].update(fit_s=-1), "timings.fit_s: -1.0 must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused_with_file_line_field_and_mend(
    cli: Cli, results: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    folder = changed(results, tmp_path / "forged", change)
    code, out, err = cli("validate", folder)
    assert (code, out) == (2, "")
    *lines, last = err.splitlines()
    assert all(line.startswith(f"{folder / 'forged.jsonl'}:1: ") for line in lines)
    assert all("; " in line for line in lines)
    assert any(said in line for line in lines)
    assert last == "error: 1 of 1 records are refused."


def test_two_records_of_one_thing_are_a_conflict_that_names_both(
    cli: Cli, results: Path, tmp_path: Path
) -> None:
    (file,) = results.glob("*.jsonl")
    folder = changed(results, tmp_path / "forged", forge)
    code, out, _ = cli("validate", file, folder, "--format", "json")
    report = json.loads(out)
    assert (code, report["records"], report["refused"]) == (2, 2, 1)
    first = next(reading.read(file))
    assert report["problems"] == [
        {
            "file": str(folder / "forged.jsonl"),
            "line": 1,
            "field": "record_id",
            "problem": f"{first.record_id} has another metrics.image_to_text_r5.value at {file}:1",
            "mend": "keep the one that 'hiereval verify' computes again, and delete the other",
        }
    ]
    again = tmp_path / "again.jsonl"
    again.write_bytes(file.read_bytes())  # the same twice is none
    assert cli("validate", file, again)[0] == 0


def test_no_command_lets_a_conflict_pass(
    cli: Cli, session: Session, results: Path, vectors: Path, tmp_path: Path
) -> None:
    (file,) = results.glob("*.jsonl")
    forged = changed(results, tmp_path / "forged", forge) / "forged.jsonl"
    out = tmp_path / "out"
    commands = [
        ("leaderboard", file, forged),
        ("leaderboard", file, forged, "--out", out / "board.html"),
        ("export", file, forged, "--format", "mteb", "--out", out),
        ("verify", file, forged, "--vectors", vectors, "--out", out / "v.json", *cached(session)),
    ]
    for command in commands:
        code, told, err = cli(*command)
        assert (code, told) == (2, "")
        assert err == (
            f"error: {forged}:1: record_id: {next(reading.read(file)).record_id} has another "
            f"metrics.image_to_text_r5.value at {file}:1; keep the one that 'hiereval verify' "
            "computes again, and delete the other\n"
        )
    assert not out.exists()


def test_records_that_are_read_at_once_are_those_that_are_read_slowly(results: Path) -> None:
    def slowly(path: Path) -> Iterator[Record]:
        for _, line in seals.lines(path):
            yield Record.model_validate(seals.unsealed(line))

    (file,) = results.glob("*.jsonl")
    assert list(reading.read(file)) == list(slowly(file))


# --- a board's repository ------------------------------------------------------------------------


@pytest.fixture
def board(tmp_path: Path, session: Session, cli: Cli) -> Board:
    folder = tmp_path / "our-board"
    code, _, err = cli("new-board", folder, "--title", "Our board")
    assert (code, err) == (0, "")
    return Board(folder, session.places.cache)


@pytest.mark.slow
def test_a_good_submission_is_merged_and_published_and_bad_ones_are_refused(
    board: Board, results: Path
) -> None:
    def copied(folder: Path) -> None:
        shutil.copytree(results, folder, dirs_exist_ok=True)

    def forged(folder: Path) -> None:
        copied(folder)
        (file,) = folder.glob("*.jsonl")
        changed(results, folder, forge)
        file.unlink()

    def broken(folder: Path) -> None:
        copied(folder)
        (file,) = folder.glob("*.jsonl")
        file.write_bytes(file.read_bytes().replace(b'"value":', b'"value": ', 1))

    def claimed(folder: Path) -> None:
        copied(folder)
        (folder / "mine.verified.json").write_text("{}")

    code, told = board.submit("forged", forged)
    assert code == 2
    assert "not verified" in told
    assert "the record says" in told
    code, told = board.submit("broken", broken)
    assert code == 2
    assert "checksum" in told
    code, told = board.submit("claimed", claimed)
    assert (code, told.splitlines()[-1]) == (
        2,
        "Verification records are written by this board; leave them out.",
    )
    board.do("git", "checkout", "-q", "-f", "main")
    board.do("git", "clean", "-qfd", "results", "verified")
    code, told = board.submit("good", copied)
    assert (code, told.splitlines()[-1]) == (0, "Every number came out again.")

    board.do("git", "checkout", "-q", "main")
    board.do("git", "merge", "-q", "good")
    done = board.do("scripts/publish")
    assert done.returncode == 0, done.stderr
    readme = (board.folder / "README.md").read_text("utf-8")
    assert "| verified from samples |" in readme
    assert readme.startswith("# Our board\n")
    page = (board.folder / "site" / "index.html").read_text("utf-8")
    assert "<title>Our board</title>" in page
    assert '"status":["verified from samples"]' in page


def test_the_workflows_are_yaml_that_runs_the_scripts(board: Board) -> None:
    import yaml

    folder = board.folder / ".github" / "workflows"
    asked = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in folder.iterdir()}
    runs = {
        name: " ".join(step.get("run", "") for job in one["jobs"].values() for step in job["steps"])
        for name, one in asked.items()
    }
    assert "scripts/check" in runs["check.yml"]
    assert "scripts/publish" in runs["publish.yml"]
    assert asked["check.yml"]["permissions"] == {"contents": "read"}
    assert "checkout" not in json.dumps(asked["comment.yml"])


def test_new_board_refuses_a_folder_with_something_in_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert cli("new-board", tmp_path) == (
        2,
        "",
        f"error: The folder {str(tmp_path)!r} must be new or empty.\n",
    )
