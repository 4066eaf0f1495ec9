"""Encoders that tell nothing apart are named; those that tell anything apart are not."""

from __future__ import annotations

import math

import pytest
import torch

from hiereval.degenerate import constant, points_trouble, radii_trouble, undefined
from hiereval.geometry import EuclideanSpace
from hiereval.item_statistics import Mean
from hiereval.types import Metric


@pytest.mark.parametrize(
    ("radii", "trouble"),
    [
        ([1.0, 1.0], "all radii are equal, as a constant encoder's are"),
        ([1.0], "there is one caption only"),
        ([1.0, math.nan, math.inf], "2 of 3 radii are not finite"),
        ([1.0, 1.0, 1.0000001], None),
    ],
)
def test_radii(radii: list[float], trouble: str | None) -> None:
    assert radii_trouble(torch.tensor(radii)) == trouble


def test_points() -> None:
    same, other = torch.ones(3, 2), torch.eye(2)

    def trouble(text: torch.Tensor, image: torch.Tensor | None, *, images: bool) -> str | None:
        return points_trouble(EuclideanSpace(text, image, torch.zeros(2)), images=images)

    assert trouble(same, other, images=True) == (
        "all texts have the same vector, as a constant encoder's do"
    )
    assert trouble(other, same, images=True) == (
        "all images have the same vector, as a constant encoder's do"
    )
    assert trouble(other, same, images=False) is None
    assert trouble(other, None, images=True) is None
    assert not constant(torch.ones(1, 2))


def test_undefined_names_every_metric() -> None:
    metrics = [Metric(name, "", Mean("x")) for name in "ab"]
    assert undefined(metrics, "why") == {"a": "why", "b": "why"}
    assert undefined(metrics, None) == {}
