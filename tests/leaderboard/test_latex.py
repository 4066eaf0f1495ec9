from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from hiereval.leaderboard import latex
from hiereval.leaderboard.board import build
from hiereval.records import Record

SAFE = re.compile(
    r"\\(?:text(?:backslash|asciitilde|asciicircum|less|greater|bar|quotedbl|asciigrave)|dots)\{\}"
    r"|\\[{}$&#_%]|\$\\(?:uparrow|downarrow|dagger|ddagger|cdot|pm)\$|\{\[\}|\{\]\}"
)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b & 50%", r"a\_b \& 50\%"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("$x^2$~#", r"\$x\textasciicircum{}2\$\textasciitilde{}\#"),
        ("<a|b>[c]", r"\textless{}a\textbar{}b\textgreater{}{[}c{]}"),
        ("tau_d ↑", r"tau\_d $\uparrow$"),
    ],
)
def test_escaped(text: str, escaped: str) -> None:
    assert latex.escaped(text) == escaped


def test_nothing_special_is_left(hostile: str) -> None:
    rest = SAFE.sub("", latex.escaped(hostile))
    assert not set(rest) & set("\\{}$&#_%~^[]")


def test_one_booktabs_table_for_each_task(full: list[Record]) -> None:
    written = latex.written(build(full))
    for command in (r"\begin{table}", r"\end{table}", r"\toprule", r"\bottomrule"):
        assert written.count(command) == 4
    assert (
        r"siglip-base & .920\textsuperscript{\S} {\scriptsize .910--.930} & "
        r"\textbf{.640} {\scriptsize .630--.650} & \textbf{.320} {\scriptsize .310--.330} \\"
    ) in written
    assert r"{\scriptsize $-$.010--.010}" in written


def test_rows_have_as_many_cells_as_the_head(
    hostile: str, hostile_everywhere: Callable[[str], Record]
) -> None:
    lines = latex.written(build([hostile_everywhere(hostile)])).splitlines()
    counts = {line.replace(r"\&", "").count("&") for line in lines if line.endswith(r" \\")}
    assert counts == {2}


def test_long_names_are_cut(long_record: Record) -> None:
    assert len(latex.written(build([long_record]))) < 4000
