"""Spaces on the sphere and in R^d: definitions, invariances, and where they are undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.angles import angle

from hiereval.geometry import (
    EuclideanSpace,
    LorentzSpace,
    SphereSpace,
    angle_at,
    first_alike,
    normalise,
    similarities,
)
from hiereval.spaces import space_of
from hiereval.types import ModelId

SPHERE = ModelId(adapter="made", name="made", checkpoint="made", geometry="sphere")
EUCLIDEAN = ModelId(adapter="made", name="made", checkpoint="made", geometry="euclidean")


def points(seed: int, n: int = 6, d: int = 4) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_sphere_is_its_definition(seed: int) -> None:
    text, image, root = points(seed), points(seed + 1, 3), points(seed + 2, 1)[0]
    space = space_of(SPHERE, text, image, root)
    t, i, r = (
        x.numpy() / np.linalg.norm(x.numpy(), axis=-1, keepdims=True) for x in (text, image, root)
    )
    assert space.radius.numpy() == pytest.approx(np.linalg.norm(t - r, axis=1), abs=1e-12)
    assert space.image is not None
    assert space.similarity(space.image, space.text).numpy() == pytest.approx(i @ t.T, abs=1e-12)
    got = space.exterior_angle(space.text[:3], space.image).tolist()
    assert got == pytest.approx([angle(a, b, r) for a, b in zip(t, i, strict=False)], abs=1e-7)
    way = space.toward_root(space.text[:2], torch.tensor([0.0, 0.3, 1.0]))
    expected = t[0] - 0.3 * (t[0] - r)
    assert way.shape == (2, 3, 4)
    assert way[0, 1].numpy() == pytest.approx(expected / np.linalg.norm(expected), abs=1e-7)
    assert way[1, 0].numpy() == pytest.approx(t[1], abs=1e-7)
    assert way[1, 2].numpy() == pytest.approx(r, abs=1e-7)


def test_the_centre_of_prompts() -> None:
    x = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]]])
    flat = space_of(EUCLIDEAN, x[0], None, None)
    assert flat.centre(x).tolist() == [[0.5, 0.5], [0.0, 0.0]]
    sphere = space_of(SPHERE, x[0], None, x[0, 0])
    assert sphere.centre(x)[0].tolist() == pytest.approx([0.5**0.5] * 2)
    assert sphere.centre(x)[1].isnan().all()  # opposite directions have no mean direction


@settings(max_examples=50, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100.0))
def test_sphere_ignores_length_and_rotation(seed: int, scale: float) -> None:
    text, root = points(seed), points(seed + 1, 1)[0]
    turn = torch.linalg.qr(points(seed + 2, 4)).Q
    plain = space_of(SPHERE, text, None, root)
    for other in (
        space_of(SPHERE, text * scale, None, root / scale),
        space_of(SPHERE, text @ turn, None, root @ turn),
    ):
        assert torch.allclose(plain.radius, other.radius, atol=1e-12)
        pairs = [space.exterior_angle(space.text[:-1], space.text[1:]) for space in (plain, other)]
        assert torch.allclose(*pairs, atol=1e-6)
        assert torch.allclose(
            plain.similarity(plain.text, plain.text), other.similarity(other.text, other.text)
        )


def test_euclidean_is_its_definition() -> None:
    text, image = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[0.0, 0.0]])
    space = space_of(EUCLIDEAN, text, image, None)
    assert isinstance(space, EuclideanSpace)
    assert not isinstance(space, SphereSpace)
    assert space.root.tolist() == [0.0, 0.0]
    assert space.radius.tolist() == [5.0, 1.0]
    assert space.similarity(image, text).tolist() == [[-5.0, -1.0]]
    assert space.toward_root(text[:1], torch.tensor([0.5])).tolist() == [[[1.5, 2.0]]]


@pytest.mark.parametrize(
    ("general", "specific", "expected"),
    [
        ((1.0, 0.0), (2.0, 0.0), 0.0),  # further out along its own direction
        ((1.0, 0.0), (0.5, 0.0), math.pi),  # back toward the root
        ((1.0, 0.0), (1.0, 1.0), math.pi / 2),
        ((1.0, 0.0), (2.0, 1.0), math.pi / 4),
    ],
)
def test_angles_by_hand(
    general: tuple[float, float], specific: tuple[float, float], expected: float
) -> None:
    got = angle_at(torch.tensor(general), torch.tensor(specific), torch.zeros(2))
    assert got.item() == pytest.approx(expected, abs=1e-6)


def test_angle_is_undefined_at_the_root_and_between_equals() -> None:
    a, root = torch.tensor([[1.0, 2.0]]), torch.zeros(2)
    assert angle_at(root[None], a, root).isnan().all()
    assert angle_at(a, a, root).isnan().all()


def test_nearly_straight_angles_stay_in_range() -> None:
    a = normalise(torch.randn(1000, 8, generator=torch.Generator().manual_seed(0)))
    for factor in (1.0001, 2.0, 0.5):
        found = angle_at(a, factor * a, torch.zeros(8))
        assert bool(((found >= 0.0) & (found <= math.pi + 1e-6)).all())


def test_a_zero_vector_has_no_direction() -> None:
    assert normalise(torch.zeros(1, 3)).isnan().all()


def test_a_sphere_needs_a_root() -> None:
    with pytest.raises(ValueError, match=r"^A sphere has no origin: give a root vector\.$"):
        space_of(SPHERE, torch.ones(1, 2), None, None)


def test_first_alike_is_what_comparing_every_pair_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    for dim in (1, 2, 5):
        for dtype in (torch.float32, torch.float64):
            points = torch.randint(-1, 2, (40, dim), generator=generator).to(dtype)
            points *= torch.where(torch.rand(40, 1, generator=generator) < 0.5, 1.0, -1.0)  # and -0
            expected = [
                next(j for j in range(40) if bool((points[j] == points[i]).all()))
                for i in range(40)
            ]
            assert first_alike(points).tolist() == expected
    assert first_alike(torch.zeros(0, 3)).tolist() == []


def test_equal_points_are_equally_similar_in_every_geometry() -> None:
    """As they stand, products of 30 such points in float64 differ in most rows."""
    generator = torch.Generator().manual_seed(0)
    few = normalise(torch.randn(7, 64, generator=generator, dtype=torch.float64))
    which = torch.randint(7, (30,), generator=generator)
    x, y = normalise(torch.randn(50, 64, generator=generator, dtype=torch.float64)), few[which]
    for space in (
        SphereSpace(y, x, few[0]),
        EuclideanSpace(y, x, few[0]),
        LorentzSpace(y, x, torch.zeros_like(few[0]), 1.0),
    ):
        near = similarities(space, x, y)
        assert bool((near == near[:, [which.tolist().index(w) for w in which.tolist()]]).all())
        torch.testing.assert_close(near, space.similarity(x, y), rtol=0, atol=1e-12)
