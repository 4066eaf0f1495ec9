"""The commands as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import pictured
from support.typed import Cli

from hiereval import records, seals
from hiereval.records import Record


@pytest.fixture
def results(tmp_path: Path, full: list[Record]) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "all.jsonl").write_bytes(b"".join(map(records.line, full)))
    return folder


def test_the_table(cli: Cli, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = cli("leaderboard", results)
    assert (code, err) == (0, "")
    assert "siglip-base               .920§ .910–.930     .640 .630–.650" in out
    assert "1 record of --limit runs" in out.replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("b.md", "<!-- Made by hiereval leaderboard -->\n## hierarcaps test"),
        ("b.html", "<!doctype html>"),
        ("b.csv", "model,adapter"),
        ("b.tex", "% Made by hiereval leaderboard\n% \\usepackage{booktabs"),
        ("b.json", '{\n "title": ""'),
        ("b.txt", "hierarcaps test\n"),
    ],
)
def test_the_ending_chooses_the_format(
    cli: Cli, results: Path, tmp_path: Path, name: str, start: str
) -> None:
    out = tmp_path / "new" / name
    assert cli("leaderboard", results, "--out", out) == (0, "", f"wrote {out}\n")
    assert out.read_text("utf-8").startswith(start)
    assert [file.name for file in out.parent.iterdir()] == [name]
    before = out.read_bytes()
    assert cli("leaderboard", results, "--out", out) == (0, "", f"wrote {out}\n")
    assert out.read_bytes() == before


def test_pictures_are_embedded_where_they_are_asked_for(cli: Cli, tmp_path: Path) -> None:
    results, empty = tmp_path / "results", tmp_path / "empty"
    results.mkdir()
    there = pictured.measured(results)
    (results / "all.jsonl").write_bytes(b"".join(map(records.line, there)))
    out = tmp_path / "b.html"
    assert cli("leaderboard", results, "--out", out) == (0, "", f"wrote {out}\n")
    assert "/9j/" not in out.read_text("utf-8")  # as the base64 of a JPEG begins
    assert cli("leaderboard", results, "--out", out, "--pictures") == (0, "", f"wrote {out}\n")
    assert out.read_text("utf-8").count('"/9j/') == 9  # images 0, 1 and 2 stand twice
    before = out.read_bytes()
    assert cli("leaderboard", results, "--out", out, "--pictures") == (0, "", f"wrote {out}\n")
    assert out.read_bytes() == before
    other = pictured.measured(results, dataset__name="gone.csv")
    (results / "all.jsonl").write_bytes(b"".join(map(records.line, other)))
    code, _, err = cli("leaderboard", results, "--out", out, "--pictures", "--data-dir", empty)
    assert (code, err) == (
        0,
        f"gone.csv test: no pictures: The dataset file '{empty}/gone.csv' must exist. "
        f"'hiereval ls datasets' lists the datasets with a name.\nwrote {out}\n",
    )


def test_a_format_goes_to_stdout(cli: Cli, results: Path) -> None:
    code, out, _ = cli("leaderboard", results, "--format", "json", "--tasks", "ordering")
    section = json.loads(out)["sections"][0]
    assert code == 0
    assert {column["task"] for column in section["columns"]} == {"ordering"}
    assert section["measured"][0]["cells"][0]["selectivity"] == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["missing"],
            "error: The results 'missing' must be a file or folder that exists.\n",
        ),
        (
            ["{results}", "--sort", "tau_e"],
            "error: The sort column 'tau_e' must be model, date, or a metric on the board (tau_d, "
            "ordering.tau_d). Did you mean 'tau_d'?\n",
        ),
        (
            ["{results}", "--dataset", "hierarcap"],
            "error: The dataset 'hierarcap' must be one that the results hold (hierarcaps). "
            "Did you mean 'hierarcaps'?\n",
        ),
        (
            ["{results}", "--pictures", "--out", "b.md"],
            "error: The option --pictures must go with an HTML page: --out board.html.\n",
        ),
        (
            ["{results}", "--out", "{results}"],
            "error: The file '{results}' cannot be written: Is a directory.\n",
        ),
    ],
)
def test_what_is_refused(
    cli: Cli, tmp_path: Path, record: Callable[..., Record], arguments: list[str], message: str
) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(records.line(record()))
    code, out, err = cli("leaderboard", *(a.format(results=folder) for a in arguments))
    assert (code, out, err) == (2, "", message.format(results=folder))


def test_an_empty_folder_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    assert cli("leaderboard", tmp_path) == (
        2,
        "",
        f"error: The results {str(tmp_path)!r} must hold at least one record. "
        "'hiereval run --model toy --dataset shapes' makes some.\n",
    )


def test_valid_records_are_counted(cli: Cli, results: Path, full: list[Record]) -> None:
    assert cli("validate", "--schema", results) == (0, f"{len(full)} records are valid.\n", "")


def test_validate_names_file_line_and_field(
    cli: Cli, tmp_path: Path, record: Callable[..., Record]
) -> None:
    good = record().model_dump(mode="json")

    def changed(part: str, field: str, value: object) -> dict[str, object]:
        return {**good, part: {**good[part], field: value}}

    metric = good["metrics"]["tau_d"]
    bad = [
        good,
        {**good, "timestamp": "2026-11-23T00:00:00"},
        {key: value for key, value in good.items() if key != "seed"},
        changed("model", "name", ""),
        changed("metrics", "tau_d", {**metric, "value": None}),
        {**good, "schema_version": 2},
        {**good, "more": 1},
    ]
    file = tmp_path / "r.jsonl"
    lines = [seals.sealed(json.dumps(line)) for line in bad]
    file.write_bytes(b"".join([*lines, b"{broken\n", b"\n", json.dumps(good).encode()]))
    code, out, err = cli("validate", "--schema", file)
    assert (code, out) == (2, "")
    leave = "; leave records as they are written, or run it again with 'hiereval run'"
    assert err.splitlines() == [
        f"{file}:2: timestamp: Input should have timezone info{leave}",
        f"{file}:3: seed: Field required{leave}",
        f"{file}:4: model.name: String should have at least 1 character{leave}",
        f"{file}:5: metrics.tau_d: Value error, a value is null exactly when undefined_reason is "
        f"given{leave}",
        f"{file}:6: schema_version: Input should be 1{leave}",
        f"{file}:7: more: Extra inputs are not permitted{leave}",
        f"{file}:8: the line: this line is not JSON; delete it, or move the file away",
        f"{file}:10: checksum: the line must end with its checksum, as hiereval writes it{leave}",
        "error: 8 of 9 records are refused.",
    ]


def test_validate_names_a_file_that_cannot_be_read(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to("nowhere")
    assert cli("validate", tmp_path) == (
        2,
        "",
        f"{tmp_path}/a.jsonl:1: the file: The file '{tmp_path}/a.jsonl' cannot be read: No such "
        "file or directory; make it readable, or leave it out\n"
        "error: 1 of 1 records are refused.\n",
    )


def test_validate_prints_no_escape_codes(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_bytes(seals.sealed(json.dumps({"\x1b[31m": 1})))
    assert "\x1b" not in cli("validate", file)[2]


def test_validate_without_files(cli: Cli, tmp_path: Path) -> None:
    assert cli("validate", tmp_path) == (
        2,
        "",
        f"error: The results {str(tmp_path)!r} must be a file, or a folder with *.jsonl files.\n",
    )


@pytest.mark.parametrize(
    ("form", "more", "count"),
    [
        ("hf-eval", ["--hub-dataset", "hierarcaps=me/h"], 4),
        ("model-index", [], 3),
        ("every-eval-ever", ["--organization", "Us"], 4),
        ("mteb", [], 16),
        ("csv", [], 1),
        ("latex", [], 1),
    ],
)
def test_export_lists_what_it_wrote(
    cli: Cli, results: Path, tmp_path: Path, form: str, more: list[str], count: int
) -> None:
    out = tmp_path / "out"
    code, printed, err = cli("export", results, "--format", form, "--out", out, *more)
    files = sorted(str(path) for path in out.rglob("*") if path.is_file())
    assert (code, err) == (0, "")
    assert sorted(printed.splitlines()) == files
    assert len(files) == count


def test_export_refuses(cli: Cli, results: Path, tmp_path: Path) -> None:
    out = tmp_path / "file"
    out.write_text("")
    assert cli("export", results, "--format", "every-eval-ever", "--out", out)[2] == (
        "error: The --organization must be given for every-eval-ever: who ran this.\n"
    )
    assert cli("export", results, "--format", "csv", "--out", out)[::2] == (
        2,
        f"error: The output {str(out)!r} must be a folder.\n",
    )
