"""Array shapes are checked while tests run, in every module that states any."""

from __future__ import annotations

import importlib

import pytest
import torch
from jaxtyping import TypeCheckError
from support.sources import containing

from hiereval.geometry import normalise
from hiereval.truth import Truth

ANNOTATED = containing("jaxtyping")


def test_there_are_annotated_modules_in_every_folder_that_computes() -> None:
    folders = {name.rsplit(".", 1)[0] for name in ANNOTATED}
    assert {"hiereval", "hiereval.datasets", "hiereval.probes", "hiereval.tasks"} <= folders


@pytest.mark.parametrize("name", ANNOTATED)
def test_calls_are_checked(name: str) -> None:
    assert "jaxtyping" in type(importlib.import_module(name).__loader__).__module__


def test_a_wrong_type_is_caught() -> None:
    with pytest.raises(TypeCheckError, match=r"normalise"):
        normalise(torch.ones(2, 2, dtype=torch.int64))


def test_two_shapes_that_differ_are_caught() -> None:
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(TypeCheckError, match=r"chains"):
        Truth(images=one, item=one, chains=one, n_texts=4)
