"""The worked examples in docstrings are run; where the code is hardest there must be one."""

from __future__ import annotations

import doctest
import importlib

import pytest
from support.sources import containing

EXAMPLES = containing(">>> ")
HARD = {
    "hiereval.adapters.causal_text": {"encode"},
    "hiereval.estimates": {"resample"},
    "hiereval.geometry": {"angle_at", "LorentzSpace.exterior_angle"},
    "hiereval.losses": {"exterior_angle_of_cosines"},
    "hiereval.ranks": {
        "kendall", "Ranking", "Ranking.blocks", "auroc", "average_precision", "precisions",
    },
    "hiereval.shards": {"find"},
    "hiereval.spearman": {"average_ranks"},
    "hiereval.sweep": {"Trajectory", "radius_levels", "rank_levels", "_changes"},
    "hiereval.tasks.flat_retrieval": {"wrong_before"},
    "hiereval.tasks.taxonomy": {"found"},
    "hiereval.ties": {"_from_the_best_down"},
    "hiereval.truth": {"Truth", "Crossed", "by_image"},
}  # fmt: skip


def examples(module: str) -> list[doctest.DocTest]:
    """Return the docstrings of a module that hold an example."""
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module), module)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_of(module: str) -> None:
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.REPORT_NDIFF)
    said: list[str] = []
    for test in examples(module):
        runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).attempted > 0
    assert said == []


@pytest.mark.parametrize(("module", "names"), HARD.items(), ids=list(HARD))
def test_the_hard_tenth_has_examples(module: str, names: set[str]) -> None:
    assert names <= {test.name.removeprefix(f"{module}.") for test in examples(module)}
