"""A board's own settings, and the files that it may write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.typed import exit_code

from hiereval import records
from hiereval.errors import HierevalError
from hiereval.leaderboard import configuration, marked
from hiereval.leaderboard.board import build
from hiereval.records import Record

CONFIG = """
title = "Our *board*"
lead = "Of ours."
columns = ["ordering.length*", "rank_f1"]
papers = false

[[figure]]
model = "Ours"
dataset = "hierarcaps"
metrics = { "ordering tau_d" = 0.93 }
source = "Table 2"
"""
README = f"# Mine\n\n{marked.BEGIN}\nthe old board\n{marked.END}\n\nEnd.\n"


@pytest.fixture
def results(tmp_path: Path, full: list[Record]) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "all.jsonl").write_bytes(b"".join(map(records.line, full)))
    return folder


def test_title_columns_and_figures_are_the_boards_own(tmp_path: Path, results: Path) -> None:
    config, out = tmp_path / "board.toml", tmp_path / "b.md"
    config.write_text(CONFIG)
    assert exit_code("leaderboard", results, "--config", config, "--out", out) == 0
    text = out.read_text("utf-8")
    assert text.startswith(
        f"<!-- {marked.MADE} -->\n# Our \\*board\\*\n\nOf ours.\n\n## hierarcaps"
    )
    assert "| model | length\\_matched\\_auroc ↑ |\n" in text
    assert "| model | rank\\_f1 ↑ |\n" in text
    assert "tau\\_d ↑" not in text
    assert "| Ours | 0.93 | Table 2 |\n" in text
    assert "zero-shot" not in text


def test_the_page_opens_with_the_boards_own_columns(full: list[Record]) -> None:
    from hiereval.leaderboard.packed import packed

    (section,) = packed(build(full, every_metric=True, wanted=["tau_d", "f1"]))["sections"]
    assert [c["metric"] for c in section["columns"] if c["first"]] == ["tau_d", "f1"]
    assert len(section["columns"]) > 8


def test_update_writes_between_the_markers_alone(tmp_path: Path, results: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README)
    for _ in range(2):
        assert exit_code("leaderboard", results, "--update", readme) == 0
        text = readme.read_text("utf-8")
        assert text.startswith(f"# Mine\n\n{marked.BEGIN}\n\n## hierarcaps test\n")
        assert text.endswith(f"\n\n{marked.END}\n\nEnd.\n")
        assert text.count("## hierarcaps test") == 1
        assert "the old board" not in text


@pytest.mark.parametrize(
    "text",
    ["# Mine\n", f"{marked.END}{marked.BEGIN}", f"{README}{README}", marked.BEGIN],
)
def test_a_file_without_one_pair_of_markers_is_never_written(
    tmp_path: Path, results: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    assert exit_code("leaderboard", results, "--update", readme) == 2
    assert capsys.readouterr().err == (
        f"error: The file {str(readme)!r} must have the line <!-- hiereval:begin --> once, and "
        "after it <!-- hiereval:end -->: the board is written between them.\n"
    )
    assert readme.read_text() == text


@pytest.mark.parametrize("name", ["README.md", "b.html", "b.csv", "b.tex", "b.json", "b.txt"])
def test_a_file_that_is_not_ours_is_never_overwritten(
    tmp_path: Path, results: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_text("# Mine\n")
    assert exit_code("leaderboard", results, "--out", file) == 2
    assert capsys.readouterr().err == (
        f"error: The file {str(file)!r} must be one that 'hiereval leaderboard' wrote: it holds "
        "something else. --update writes between the lines <!-- hiereval:begin --> and "
        "<!-- hiereval:end --> of a file.\n"
    )
    assert file.read_text() == "# Mine\n"


def test_an_unknown_ending_is_refused(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "b.xlsx"
    assert exit_code("leaderboard", results, "--out", file) == 2
    assert capsys.readouterr().err == (
        f"error: The file {str(file)!r} must end in .md, .html, .csv, .tex, .json, .txt, or its "
        "--format be given.\n"
    )
    assert not file.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "titel = 'x'",
            "The key 'titel' in {path} must be one of title, lead, datasets, tasks, columns, sort, "
            "papers, figure. Did you mean 'title'?",
        ),
        ("title = 1", "The key 'title' in {path} must be text."),
        ("papers = 'no'", "The key 'papers' in {path} must be true or false."),
        ("columns = 'a'", "The key 'columns' in {path} must be a list of names."),
        ("[figure]", "The figure 1 in {path} must be a table [[figure]]."),
        ("[[figure]]\nmodel = 'a'", "The figure 1 in {path} must have 'dataset' as text."),
        (
            "[[figure]]\nmodell = 'a'",
            "The figure 1 in {path} must not have 'modell', only model, dataset, metrics, source, "
            "url, note. Did you mean 'model'?",
        ),
        (
            "[[figure]]\nmodel='a'\ndataset='b'\nsource='c'\nmetrics={t='high'}",
            "The figure 1 in {path} must have a number for the metric 't'.",
        ),
    ],
)
def test_what_a_configuration_must_not_be(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "board.toml"
    path.write_text(text)
    with pytest.raises(HierevalError) as caught:
        configuration.read(path)
    assert str(caught.value) == message.format(path=repr(str(path)))


def test_columns_that_nothing_has_are_refused(record: Callable[..., Record]) -> None:
    with pytest.raises(HierevalError) as caught:
        build([record()], wanted=["tau_e"])
    assert str(caught.value) == (
        "The columns 'tau_e' must name a metric, or task.metric, of the results. "
        "'hiereval ls tasks' describes them."
    )
