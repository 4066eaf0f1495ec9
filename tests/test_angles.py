"""Angles by index: the same from a table, from sampled products and from the points themselves."""

from __future__ import annotations

import pytest
import torch

from hiereval import angles
from hiereval.angles import Angles, products
from hiereval.geometry import EuclideanSpace


@pytest.mark.parametrize("pairs", [0, 1, 40])
@pytest.mark.parametrize(("tile", "tiles"), [(4096, 16), (2, 100), (1, 3), (2, 2)])
def test_products_of_pairs(
    monkeypatch: pytest.MonkeyPatch, pairs: int, tile: int, tiles: int
) -> None:
    generator = torch.Generator().manual_seed(pairs)
    x, y = (torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (50, 7))
    i, j = (torch.randint(n, (pairs,), generator=generator) for n in (50, 7))
    whole = products(x, y, i, j)
    monkeypatch.setattr(angles, "TILE", tile)
    monkeypatch.setattr(angles, "TILES", tiles)
    assert torch.equal(products(x, y, i, j), whole)
    assert whole.tolist() == pytest.approx((x[i] * y[j]).sum(1).tolist(), abs=1e-12)


def test_by_table_and_by_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (50, 7))
    space = EuclideanSpace(x, y, torch.zeros(4, dtype=torch.float64))
    i, j = (torch.randint(n, (3, 8), generator=generator) for n in (50, 7))
    table = Angles(space, x, y).both(i, j, backward=3)
    monkeypatch.setattr(angles, "TABLE", 0)
    sampled = Angles(space, x, y).both(i, j, backward=3)
    direct = space.exterior_angle(x[i], y[j]), space.exterior_angle(y[j], x[i])[:, :3]
    for one, other, expected in zip(table, sampled, direct, strict=True):
        assert torch.allclose(one, expected, rtol=0, atol=1e-9)
        assert torch.allclose(other, expected, rtol=0, atol=1e-9)
