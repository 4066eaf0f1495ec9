"""Blind scores: what is computed once for all images is what each image would score."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.made import random_chains

from hiereval import blind
from hiereval.tasks.flat_retrieval import FlatRetrieval
from hiereval.tasks.interpolation import Interpolation
from hiereval.tasks.retrieval import Retrieval


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("task", [Retrieval(), Interpolation(), FlatRetrieval()])
def test_once_for_all_images(task: Any, seed: int) -> None:
    data = random_chains(seed)
    one_by_one = blind.scores(task, data, blind.pool_spaces(data))
    at_once = task.blind(data)
    assert list(at_once) == list(one_by_one)
    for name, scores in at_once.items():
        expected = one_by_one[name]
        assert (scores.ids, scores.undefined) == (expected.ids, expected.undefined), name
        assert scores.items.keys() == expected.items.keys()
        for key, values in scores.items.items():
            same = torch.equal(values.nan_to_num(-1.0), expected.items[key].nan_to_num(-1.0))
            assert same, (name, key)
