"""The hyperboloid: against definitions point by point, and against the algebra of a metric."""

from __future__ import annotations

import dataclasses
import math

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies
from reference import lorentz

from hiereval.geometry import ULPS, LorentzSpace, half_chord
from hiereval.spaces import space_of
from hiereval.types import ModelId, Space

SETTINGS = hypothesis.settings(derandomize=True, deadline=None, max_examples=60)
SEEDS = strategies.integers(0, 2**32 - 1)
CURVATURES = strategies.sampled_from([0.1, 0.5, 1.0, 3.0, 10.0])
SCALES = strategies.sampled_from([1e-3, 0.1, 1.0, 10.0, 100.0])


def _points(seed: int, n: int, scale: float, d: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.rand(n, 1, generator=generator, dtype=torch.float64)
    return scale * spread * torch.randn(n, d, generator=generator, dtype=torch.float64)


def _space(points: torch.Tensor, c: float, root: torch.Tensor | None = None) -> LorentzSpace:
    root = points.new_zeros(points.shape[1]) if root is None else root
    return LorentzSpace(points, None, root, c)


@SETTINGS
@hypothesis.given(seed=SEEDS, c=CURVATURES, scale=SCALES)
def test_equals_the_definitions(seed: int, c: float, scale: float) -> None:
    points = _points(seed, 6, scale)
    for root in (None, points[-1]):
        space = _space(points, c, root)
        origin = space.root.numpy()
        a, b = points[:4], points[1:5]
        radii = [lorentz.distance(x, origin, c) for x in points.numpy()]
        np.testing.assert_allclose(space.radius, radii, rtol=1e-9, atol=1e-20)
        pairs = [[lorentz.distance(x, y, c) for y in b.numpy()] for x in a.numpy()]
        near = 1e-6 * max(1 / math.sqrt(c), scale)  # where acosh has no digits left
        np.testing.assert_allclose(-space.similarity(a, b), pairs, rtol=1e-9, atol=near)
        angles = [
            lorentz.exterior_angle(origin, x, y, c)
            for x, y in zip(a.numpy(), b.numpy(), strict=True)
        ]
        np.testing.assert_allclose(space.exterior_angle(a, b), angles, atol=1e-6)


@SETTINGS
@hypothesis.given(seed=SEEDS, c=CURVATURES)
def test_the_angle_at_the_vertex_is_merus(seed: int, c: float) -> None:
    points = _points(seed, 2, 1.0)
    ours = float(_space(points, c).exterior_angle(points[:1], points[1:]))
    assert ours == pytest.approx(lorentz.vertex_angle(*points.numpy(), c), abs=1e-7)


@SETTINGS
@hypothesis.given(seed=SEEDS, c=CURVATURES, scale=SCALES)
def test_it_is_a_metric(seed: int, c: float, scale: float) -> None:
    points = _points(seed, 7, scale)
    space = _space(points, c)
    distance = -space.similarity(points, points)
    tiny = 1e-6 * (1 + distance.max())
    torch.testing.assert_close(distance, distance.T, rtol=1e-12, atol=float(tiny))
    assert bool((distance >= 0).all())
    assert float(distance.diagonal().max()) <= 1e-6 / math.sqrt(c) * max(1.0, scale)
    assert bool((distance[:, None] <= distance[:, :, None] + distance[None] + tiny).all())


@SETTINGS
@hypothesis.given(seed=SEEDS, c=CURVATURES, scale=SCALES)
def test_the_root(seed: int, c: float, scale: float) -> None:
    """At zero radius; from the vertex, distance is asinh(sqrt(c) |x|) / sqrt(c)."""
    points = _points(seed, 5, scale)
    space = _space(points, c)
    expected = (c**0.5 * points.norm(dim=1)).asinh() / c**0.5
    torch.testing.assert_close(space.radius, expected, rtol=1e-12, atol=0)
    assert float(_space(points, c, points[2]).radius[2]) == 0.0
    velocities = points / (scale or 1.0)
    arrived = [lorentz.exponential_map(v, c) for v in velocities.numpy()]
    radius = _space(torch.tensor(np.array(arrived)), c).radius
    torch.testing.assert_close(radius, velocities.norm(dim=1), rtol=1e-9, atol=0)


@SETTINGS
@hypothesis.given(seed=SEEDS, c=CURVATURES)
def test_angles_on_one_ray(seed: int, c: float) -> None:
    """Further out along a point's own ray: 0; back towards the root: pi; at the point: NaN."""
    points = _points(seed, 4, 1.0)
    space = _space(points, c)
    assert float(space.exterior_angle(points, 1.7 * points).max()) < 1e-6
    assert float(space.exterior_angle(points, 0.4 * points).min()) > math.pi - 1e-6
    assert bool(space.exterior_angle(points, points).isnan().all())
    assert bool(space.exterior_angle(0 * points, points).isnan().all())


@SETTINGS
@hypothesis.given(seed=SEEDS, c=CURVATURES, scale=SCALES, rooted=strategies.booleans())
def test_toward_the_root_runs_the_geodesic_evenly(
    seed: int, c: float, scale: float, rooted: bool
) -> None:
    points = _points(seed, 4, scale)
    space = _space(points, c, points[3] if rooted else None)
    share = torch.linspace(0, 1, 5, dtype=torch.float64)
    path = space.toward_root(points, share)
    torch.testing.assert_close(path[:, 0], points, rtol=1e-9, atol=1e-12 * scale)
    ends = space.root.expand_as(points)
    torch.testing.assert_close(path[:, -1], ends, rtol=1e-9, atol=1e-12 * scale)
    walked = -space.similarity(path.flatten(0, 1), space.root[None]).reshape(4, 5)
    total = space.radius[:, None]
    near = 1e-6 / math.sqrt(c) * max(1.0, scale)
    torch.testing.assert_close(walked, (1 - share) * total, rtol=1e-7, atol=near)


@SETTINGS
@hypothesis.given(seed=SEEDS)
def test_flat_in_the_limit(seed: int) -> None:
    """With vanishing curvature, everything becomes Euclidean."""
    points = _points(seed, 6, 1.0)
    space = _space(points, 1e-10)
    flat = torch.cdist(points[:3], points[3:])
    chord = 2e5 * half_chord(points[:3], points[3:], 1e-10).asinh()
    torch.testing.assert_close(chord, flat.diagonal(), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(space.radius, points.norm(dim=1), rtol=1e-6, atol=1e-9)


def test_float32_points_keep_their_order() -> None:
    """Radii that differ in the sixth digit do not collapse; results have the points' type."""
    steps = 1 + 1e-6 * torch.arange(20, dtype=torch.float32)
    space = _space(steps[:, None] * torch.tensor([[0.6, 0.8]]), 0.1)
    assert space.radius.dtype == torch.float32
    assert int((space.radius.diff() > 0).sum()) >= 17
    assert space.similarity(space.text, space.text).dtype == torch.float32


def test_a_models_space() -> None:
    points = _points(0, 3, 1.0).float()
    model = ModelId(adapter="x", name="x", checkpoint="x", geometry="lorentz", curvature=0.5)
    vertex, rooted = space_of(model, points, None, None), space_of(model, points, points, points[1])
    assert isinstance(vertex, Space)
    assert torch.equal(vertex.root, torch.zeros(5))
    assert float(rooted.radius[1]) == 0.0
    for curvature in (None, 0.0, -1.0, float("nan")):
        bad = dataclasses.replace(model, curvature=curvature)
        with pytest.raises(ValueError, match=r"^A Lorentz space needs a curvature above 0, not "):
            space_of(bad, points, None, None)


@pytest.mark.parametrize("c", [0.1, 1.0, 10.0])
def test_the_centre_of_prompts_is_averaged_before_the_projection(c: float) -> None:
    tangent = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tangent[0, 0] = 0.0  # one prompt at the vertex
    lifted = [[lorentz.exponential_map(v, c) for v in row] for row in tangent.numpy()]
    expected = [lorentz.exponential_map(v, c) for v in tangent.mean(dim=1).numpy()]
    points = torch.tensor(lifted, dtype=torch.float64)
    found = _space(points[0], c).centre(points)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    vertex = torch.zeros(1, 2, 5, dtype=torch.float64)
    assert _space(points[0], c).centre(vertex).tolist() == [[0.0] * 5]


@SETTINGS
@hypothesis.given(seed=SEEDS, c=CURVATURES)
def test_the_half_aperture_depends_on_the_distance_from_the_root_alone(seed: int, c: float) -> None:
    points = _points(seed, 5, 1.0)
    for root in (None, points[-1]):
        space = _space(points, c, root)
        distances = [lorentz.distance(x, space.root.numpy(), c) for x in points[:4].numpy()]
        norms = [math.sinh(math.sqrt(c) * distance) for distance in distances]
        widest = 1 - ULPS
        expected = [math.asin(min(widest, 0.2 / (norm + ULPS))) for norm in norms]
        np.testing.assert_allclose(space.half_aperture(points[:4]), expected, rtol=1e-9)
    norm = float(points[0].norm())  # of the space components, where the root is the vertex
    assert float(_space(points, c).half_aperture(points[:1], 1e-3)) == pytest.approx(
        math.asin(min(widest, 2e-3 / (math.sqrt(c) * norm + ULPS))), rel=1e-9
    )
