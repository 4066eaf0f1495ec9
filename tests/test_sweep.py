"""The sweep equals masking the pool per level, whatever ties and however it is cut into blocks."""

from __future__ import annotations

import math
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import retrieval as oracle

from hiereval import sweep as module
from hiereval.geometry import EuclideanSpace, SphereSpace, normalise
from hiereval.sweep import Trajectory, radius_levels, rank_levels, sweep


def made(seed: int, p: int, n: int, grid: bool) -> tuple[SphereSpace, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    if grid:  # integers: similarities and radii tie exactly
        points = torch.randint(0, 3, (p + n + 1, 3), generator=generator).double()
    else:
        points = normalise(torch.randn(p + n + 1, 4, generator=generator, dtype=torch.float64))
    return SphereSpace(points[:p], points[p:-1], points[-1]), points[p:-1]


def slow(space: SphereSpace, images: torch.Tensor, levels: list[float]) -> list[list[int]]:
    similarity = space.similarity(images, space.text).tolist()
    pool = [str(i) for i in range(len(space.text))]
    radius = space.radius.tolist()
    return [[int(i) for i in oracle.path(row, radius, pool, levels)] for row in similarity]


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    p=st.integers(1, 30),
    n=st.integers(1, 5),
    grid=st.booleans(),
    steps=st.integers(1, 12),
    block=st.tuples(st.integers(1, 9), st.integers(1, 3)),
    strip=st.integers(1, 5),
)
def test_equals_masking(
    seed: int, p: int, n: int, grid: bool, steps: int, block: tuple[int, int], strip: int
) -> None:
    space, images = made(seed, p, n, grid)
    radius = space.radius
    with mock.patch.object(module, "STRIP", strip):
        path = sweep(space, images, space.text, radius, block)
    for levels, expected in (
        (radius_levels(radius, steps), oracle.levels(radius.numpy(), steps).tolist()),
        (rank_levels(radius, steps), oracle.rank_levels(radius.tolist(), steps)),
    ):
        assert levels.tolist() == expected
        assert path.at(path.count_within(levels)).tolist() == slow(space, images, expected)
    image, best = path.everywhere()
    for i, row in enumerate(slow(space, images, sorted(set(radius.tolist())))):
        changes = [text for text, before in zip(row, [-1, *row], strict=False) if text != before]
        assert best[image == i].tolist() == changes


@settings(max_examples=50, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), grid=st.booleans())
def test_increasing_maps_of_the_radius_keep_the_rank_sweep(seed: int, grid: bool) -> None:
    space, images = made(seed, 25, 3, grid)
    paths = [
        sweep(space, images, space.text, radius)
        for radius in (space.radius, space.radius**2, (space.radius + 1).log())
    ]
    for path in paths[1:]:
        assert torch.equal(path.image, paths[0].image)
        assert torch.equal(path.position, paths[0].position)
        ends = [each.count_within(rank_levels(each.radius, 10)) for each in (path, paths[0])]
        assert torch.equal(ends[0], ends[1])


def test_equally_spaced_levels_change_with_the_scale_of_the_radius() -> None:
    radius = torch.tensor([0.0, 1.0, 1.5, 2.0])
    levels = radius_levels(radius, 3), radius_levels(radius**2, 3)
    assert [(radius <= level).sum().item() for level in levels[0]] == [1, 2, 4]
    assert [(radius**2 <= level).sum().item() for level in levels[1]] == [1, 2, 4]
    levels = radius_levels(radius, 5), radius_levels(radius**2, 5)
    assert [(radius <= level).sum().item() for level in levels[0]] == [1, 1, 2, 3, 4]
    assert [(radius**2 <= level).sum().item() for level in levels[1]] == [1, 2, 2, 3, 4]


def test_levels_round_as_the_released_code_compares() -> None:
    radius = torch.rand(1000, generator=torch.Generator().manual_seed(0)) + 0.1
    assert radius_levels(radius, 50).tolist() == oracle.levels(radius.numpy(), 50).tolist()
    assert radius_levels(radius, 1).tolist() == [radius.min().item()]


def test_rank_levels_add_equally_many() -> None:
    radius = torch.arange(10.0)
    path = Trajectory(torch.arange(10), radius, 0, torch.zeros(0).long(), torch.zeros(0).long())
    assert path.count_within(rank_levels(radius, 5)).tolist() == [2, 4, 6, 8, 10]
    assert path.count_within(rank_levels(radius, 20)).tolist() == [
        *(x for i in range(1, 11) for x in (i, i))
    ]


def test_an_image_without_similarities_has_no_prediction() -> None:
    space, images = made(0, 6, 3, grid=False)
    images = images.clone()
    images[1] = math.nan
    path = sweep(space, images, space.text, space.radius)
    best = path.at(torch.tensor([0, 3, 6]))
    assert best[1].tolist() == [-1, -1, -1]
    assert best[:, 0].tolist() == [-1, -1, -1]
    assert 1 not in path.image.tolist()
    lost = sweep(space, images * math.nan, space.text, space.radius)
    assert lost.at(torch.tensor([6])).tolist() == [[-1]] * 3


def test_any_space_will_do() -> None:
    text = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    space = EuclideanSpace(text, None, torch.zeros(2))
    path = sweep(space, torch.tensor([[2.9, 0.0]]), text, space.radius)
    assert path.at(torch.tensor([1, 2, 3])).tolist() == [[0, 1, 2]]


def test_memory_does_not_grow_with_candidates_times_images() -> None:
    shapes = []

    class Watched(SphereSpace):
        def similarity(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            shapes.append((len(x), len(y)))
            return super().similarity(x, y)

    points = torch.randn(5000, 2, generator=torch.Generator().manual_seed(0))
    space = Watched(points, points[:1500], points[0])
    sweep(space, points[:1500], points, space.radius)
    assert max(rows * columns for rows, columns in shapes) == 4096 * 1024


@pytest.mark.parametrize("grid", [False, True])
def test_blocks_do_not_matter(grid: bool) -> None:
    space, images = made(5, 200, 20, grid)
    whole = sweep(space, images, space.text, space.radius)
    cut = sweep(space, images, space.text, space.radius, (7, 3))
    assert torch.equal(whole.position, cut.position)
    assert torch.equal(whole.image, cut.image)
