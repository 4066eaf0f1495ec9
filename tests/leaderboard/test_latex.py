from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from support.made_records import make_record, metric

from hiereval import registry
from hiereval.leaderboard import latex
from hiereval.leaderboard.board import build
from hiereval.leaderboard.paper_tables import layouts
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


def test_another_papers_protocol_has_its_layout() -> None:
    """Two datasets side by side, in per cent, a model of answers among embeddings."""
    task = {"task": "hierarchical-consistency", "dataset__name": "hierarchical-consistency"}
    blind = {"ceilings": {"uniform": 0.004, "path": 0.5863}}
    values = {"hca": metric(0.25, **blind), "leaf_accuracy": metric(0.5)}
    made = [
        make_record("clip", metrics=values, dataset__split="cub200-similar", **task),
        make_record("clip", metrics=values, dataset__split="food101-random",
                    dataset__sha256="1" * 64, **task),
        make_record("vlm", metrics={**values, "hca": metric(0.875, **blind)}, probe__name="none",
                    dataset__split="cub200-similar", model__adapter="answers", **task),
    ]  # fmt: skip
    lines = latex.written(build(made)).splitlines()
    assert lines.count(r"\begin{table*}") == 1
    spans = r"\multicolumn{2}{c}{hierarchical-consistency "
    assert rf" & {spans}cub200-similar}} & {spans}food101-random}} \\" in lines
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}" in lines
    rows = {line.split(" & ")[0]: line for line in lines if line.endswith(r" \\")}
    leaf = r"$\mathrm{Acc}_\mathrm{leaf}$ $\uparrow$"
    assert rows["model"] == rf"model & HCA $\uparrow$ & {leaf} & HCA $\uparrow$ & {leaf} \\"
    assert rows["vlm"] == r"vlm & 87.50 & 50.00 & -- & -- \\"
    mark = r"\textsuperscript{\S}"
    assert rows["clip"] == rf"clip & 25.00{mark} & 50.00 & 25.00{mark} & 50.00 \\"
    assert rows["best blind score"] == r"best blind score & 58.63 & -- & 58.63 & -- \\"


def test_layouts_are_of_tasks_and_their_metrics() -> None:
    for name, layout in layouts().items():
        task = registry.load("tasks", name.partition(":")[0])
        metrics = {metric.name for metric in task.metrics}
        assert set(layout.columns) <= metrics, name


def test_what_papers_report_stands_below_a_rule() -> None:
    values = {"margin_auroc": 0.95, "margin_average_precision": 0.6543}
    lines = latex.written(build([make_record("mine_1", "pep", values)])).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("mine"))
    assert lines[start : start + 4] == [
        r"mine\_1 & 95.00 & 65.43 \\",
        r"\midrule",
        r"Hyper3-CLIP (model card) (reported) & 96.07 & 69.36 \\",
        r"\bottomrule",
    ]


def test_a_split_may_have_a_layout_of_its_own() -> None:
    def record(model: str, split: str, **values: float) -> Record:
        of = {"dataset__name": "himo-docci", "dataset__split": split, "dataset__sha256": split * 9}
        return make_record(model, "himo", values, **of)

    records = [record("a", "test", himo_k=-0.5), record("a", "halves", strict_rise=0.9)]
    records += [record("b", "halves", strict_rise=0.8)]
    lines = latex.written(build(records)).splitlines()
    rows = {line.split(" & ")[0]: line for line in lines if line.endswith(r" \\")}
    assert rows["model"] == r"model & HiMo@2 $\uparrow$ & HiMo@$K$ $\uparrow$ \\"
    assert rows["a"] == r"a & 90.0 & $-$0.50 \\"
    assert rows["b"] == r"b & 80.0 & -- \\"
    reported = r"HiMo-CLIP ViT-L/14 (reported) & 97.9 & 0.88 \\"
    assert rows["HiMo-CLIP ViT-L/14 (reported)"] == reported
