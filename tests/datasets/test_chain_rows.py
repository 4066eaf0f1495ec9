"""Chain files with everything wrong that users get wrong; whole messages."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hiereval.datasets.chain_rows import Problems, Row, check, read_rows
from hiereval.errors import HierevalError

HEADER = "captions,image\n"


def rows_of(path: Path, tiers: int | None = None) -> list[Row]:
    problems = Problems(path)
    rows = read_rows(path, problems)
    check(rows, problems, tiers)
    problems.done()
    return rows


def write(tmp_path: Path, text: str, name: str = "own.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def message(path: Path, tiers: int | None = None) -> str:
    with pytest.raises(HierevalError) as caught:
        rows_of(path, tiers)
    return str(caught.value)


CHAIN = "bird => blue bird => blue bird on a branch"


def test_csv_columns_and_stripping(tmp_path: Path) -> None:
    text = (
        "id,positive,negative,image_url\n"
        '7," bird=>blue bird  =>  A bird, blue","cat => grey cat => A cat",http://x.org/a/1.jpg\n'
        "\n"
        '8,"a => b => two\nlines","c => d => e",http://x.org/a/2.jpg\n'
    )
    first, second = rows_of(write(tmp_path, text))
    assert (first.captions, first.negatives) == (
        ("bird", "blue bird", "A bird, blue"),
        ("cat", "grey cat", "A cat"),
    )
    assert (first.image, first.id, first.place.words) == ("1.jpg", "7", "row 1 (line 2)")
    assert second.captions == ("a", "b", "two\nlines")
    assert second.place.words == "row 2 (line 4)"


def test_gzip_byte_order_mark_and_carriage_returns(tmp_path: Path) -> None:
    path = tmp_path / "own.csv.gz"
    path.write_bytes(gzip.compress("\ufeffcaptions\r\na => b\r\nc => d\r\n".encode()))
    assert [row.captions for row in rows_of(path)] == [("a", "b"), ("c", "d")]


def test_jsonl(tmp_path: Path) -> None:
    text = (
        '{"captions": ["bird ", "a \\u2028 => bird"], "image": "b/1.jpg", "id": 3, "note": 1}\n\n'
        '{"captions": "cat => grey cat", "image": "2.jpg"}'
    )
    first, second = rows_of(write(tmp_path, text, "own.jsonl"))
    assert first.captions == ("bird", "a \u2028 => bird")
    assert (first.image, first.id, first.negatives) == ("b/1.jpg", "3", None)
    assert (second.captions, second.place.words) == (("cat", "grey cat"), "line 3")


def test_every_problem_is_named_with_its_row_and_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "id,captions,negatives,image\n"
        f"1,{CHAIN},x => y => z,1.jpg\n"
        f"2,{CHAIN} => more,x => y => z => w,1.jpg\n"
        f"1,{CHAIN},x => y,1.jpg\n"
        f"3,{CHAIN}\n"
        f"4,bird => => blue,x => y => z,1.jpg\n"
        f"5,{CHAIN},,1.jpg\n"
        f"6,{CHAIN},x => y => z,\n"
        f"1,{CHAIN},x => y => z,1.jpg\n",
    )
    assert message(path) == (
        f"The data file {str(path)!r} has 8 problems:\n"
        "  row 2 (line 3): 4 captions; most chains have 3\n"
        "  row 3 (line 4): 2 negatives for 3 captions\n"
        "  row 3 (line 4): the id '1' stands already at row 1 (line 2)\n"
        "  row 4 (line 5): 2 fields where the header has 4\n"
        "  row 5 (line 6): the captions are empty at tier 2\n"
        "  row 6 (line 7): the negatives are empty at tier 1\n"
        "  row 7 (line 8): the image must be a file name, not ''\n"
        "  row 8 (line 9): the id '1' stands already at row 1 (line 2)"
    )


def test_the_first_ten_problems_are_shown(tmp_path: Path) -> None:
    text = "captions\n" + "a => b\n" * 20 + "a => b => c\n" * 12
    path = write(tmp_path, text)
    lines = message(path).split("\n")
    assert lines[0] == f"The data file {str(path)!r} has 12 problems:"
    assert lines[1] == "  row 21 (line 22): 3 captions; most chains have 2"
    assert lines[10] == "  row 30 (line 31): 3 captions; most chains have 2"
    assert lines[11:] == ["... and 2 more"]


def test_a_chain_with_three_tiers_where_four_are_needed(tmp_path: Path) -> None:
    path = write(tmp_path, "captions\na => b => c => d\na => b => c\n")
    assert message(path, tiers=4) == (
        f"The data file {str(path)!r} has 1 problem:\n"
        "  row 2 (line 3): 3 captions; every chain must have 4"
    )


def test_rows_with_and_without_negatives_and_images(tmp_path: Path) -> None:
    text = (
        '{"captions": ["a", "b"], "negatives": ["c", "d"], "image": "1.jpg"}\n'
        '{"captions": ["a", "b"]}\n'
    )
    path = write(tmp_path, text, "own.jsonl")
    assert message(path) == (
        f"The data file {str(path)!r} has 2 problems:\n"
        "  line 2: no negatives, though other chains have them\n"
        "  line 2: no image, though other chains have one"
    )


def test_a_quote_that_is_not_closed(tmp_path: Path) -> None:
    path = write(tmp_path, f'{HEADER}a => b,1.jpg\n"c => d,2.jpg\ne => f,3.jpg\n')
    assert message(path) == (
        f"The data file {str(path)!r} has 1 problem:\n"
        "  row 2 (line 3): a quote is not closed; nothing more was read"
    )


def test_a_quote_that_swallows_a_long_file(tmp_path: Path) -> None:
    path = write(tmp_path, f'{HEADER}"c => d,2.jpg\n' + "e => f,3.jpg\n" * 20_000)
    assert message(path) == (
        f"The data file {str(path)!r} has 1 problem:\n"
        "  row 1 (line 2): a quote is not closed; nothing more was read"
    )


def test_a_caption_may_be_longer_than_csv_expects(tmp_path: Path) -> None:
    book = "a blue bird " * 20_000
    (row,) = rows_of(write(tmp_path, f"{HEADER}bird => {book},1.jpg\n"))
    assert row.captions == ("bird", book.strip())


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_columns_of_another_mark(tmp_path: Path, mark: str) -> None:
    path = write(tmp_path, f"\ufeffcaptions{mark}image\r\na => b, c{mark}1.jpg\r\n")
    assert message(path) == (
        f"The data file {str(path)!r} must have commas between its columns, not {mark!r}; a "
        "caption that holds a comma then needs quotes."
    )


def test_a_comma_that_is_not_quoted(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}a => b, c,1.jpg\n")
    assert message(path) == (
        f"The data file {str(path)!r} has 1 problem:\n"
        "  row 1 (line 2): 3 fields where the header has 2 (a comma in a caption needs quotes)"
    )


def test_text_after_a_closing_quote(tmp_path: Path) -> None:
    path = write(tmp_path, f'{HEADER}"a => b"c,2.jpg\n')
    assert message(path) == (
        f"The data file {str(path)!r} has 1 problem:\n"
        "  row 1 (line 2): ',' expected after '\"'; nothing more was read"
    )


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("caption,image", "it has 'caption', 'image'. Did you mean 'captions'?"),
        ("text;image", "it has 'text;image'."),
    ],
)
def test_missing_columns(tmp_path: Path, header: str, problem: str) -> None:
    path = write(tmp_path, f"{header}\na => b,1.jpg\n")
    assert message(path) == (
        f"The data file {str(path)!r} must have a column 'captions' or 'positive'; {problem}"
    )


def test_a_misspelt_or_repeated_column(tmp_path: Path) -> None:
    path = write(tmp_path, "positive,negativ\na => b,c => d\n")
    assert message(path) == (
        f"The data file {str(path)!r} has 1 problem:\n"
        "  the header: 'negativ' is unknown. Did you mean 'negative'?"
    )
    path = write(tmp_path, "captions,captions\na => b,c => d\n")
    assert message(path) == (
        f"The data file {str(path)!r} must have each column once; it has 'captions', 'captions'."
    )


def test_lines_that_are_not_chains(tmp_path: Path) -> None:
    text = (
        '{"captions": ["a", "b"]\n["a", "b"]\n{"captions": ["a", 2]}\n{"caption": ["a", "b"]}\n'
        '{"captions": []}\n{"captions": ["a", "b"], "image": 4}\n'
    )
    path = write(tmp_path, text, "own.jsonl")
    assert message(path) == (
        f"The data file {str(path)!r} has 7 problems:\n"
        "  line 1: not JSON: Expecting ',' delimiter: line 1 column 24 (char 23)\n"
        '  line 2: must be an object like {"captions": [...]}, not ["a", "b"]\n'
        '  line 3: the captions must be a list of texts, not ["a", 2]\n'
        "  line 4: 'caption' is unknown. Did you mean 'captions'?\n"
        "  line 4: the captions must be a list of texts, not null\n"
        "  line 5: the captions are empty at tier 1\n"
        "  line 6: the image must be a file name, not 4"
    )


@pytest.mark.parametrize("text", ["", "captions\n", "captions\n\n\n"])
def test_no_chain_at_all(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert message(path) == f"The data file {str(path)!r} must hold at least one chain."


def test_single_captions_are_no_chains(tmp_path: Path) -> None:
    path = write(tmp_path, "captions\na bird\na cat\n")
    assert message(path) == (
        f"The data file {str(path)!r} must hold chains of two or more captions, general to "
        "specific, separated by '=>'."
    )


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes("captions\na => b\ncafé => b\n".encode("latin-1"))
    assert message(path) == f"The data file {str(path)!r} must be UTF-8; line 3 is not."


def test_gzip_files_that_are_cut_or_none(tmp_path: Path) -> None:
    path = tmp_path / "own.csv.gz"
    path.write_bytes(gzip.compress(b"captions\n" + b"a => b\n" * 100)[:-9])
    assert message(path) == (
        f"The data file {str(path)!r} must be a complete gzip file: Compressed file ended before "
        "the end-of-stream marker was reached."
    )
    path.write_bytes(b"captions\na => b\n")
    assert message(path) == (
        f"The data file {str(path)!r} must be a complete gzip file: Not a gzipped file (b'ca')."
    )
