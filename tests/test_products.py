"""The product of hyperboloids: every number from the factors' own definitions, in 50 digits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import lorentz
from safetensors.torch import save_file

from hiereval.adapters.precomputed import Precomputed
from hiereval.errors import HierevalError
from hiereval.geometry import LorentzSpace
from hiereval.probes.roots import MeanRoot
from hiereval.products import ProductLorentzSpace
from hiereval.spaces import space_of
from hiereval.types import Embeddings, LoadOptions, ModelId

CURVATURES = (0.1, 1.0, 3.0)
MODEL = ModelId(
    adapter="x", name="x", checkpoint="", geometry="lorentz-product", curvature=CURVATURES
)


def _points(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _space(points: torch.Tensor, root: torch.Tensor | None = None) -> ProductLorentzSpace:
    space = space_of(MODEL, points, points, root)
    assert isinstance(space, ProductLorentzSpace)
    return space


def _parts(point: torch.Tensor) -> list[np.ndarray]:
    return list(point.numpy().reshape(3, 4))


@pytest.mark.parametrize("rooted", [False, True])
def test_equals_the_factors_definitions(rooted: bool) -> None:
    points = _points(6)
    space = _space(points, points[-1] if rooted else None)
    root = _parts(space.root)

    def distance(x: torch.Tensor, y: torch.Tensor) -> float:
        pairs = zip(_parts(x), _parts(y), CURVATURES, strict=True)
        return sum(lorentz.distance(a, b, c) for a, b, c in pairs)

    radii = [distance(x, space.root) for x in points]
    np.testing.assert_allclose(space.radius, radii, rtol=1e-9, atol=1e-12)
    table = [[-distance(x, y) for y in points[3:]] for x in points[:3]]
    np.testing.assert_allclose(space.similarity(points[:3], points[3:]), table, rtol=1e-9)
    angles = [
        np.mean([
            lorentz.exterior_angle(r, a, b, c)
            for r, a, b, c in zip(root, _parts(x), _parts(y), CURVATURES, strict=True)
        ])
        for x, y in zip(points[:2], points[2:4], strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(space.exterior_angle(points[:2], points[2:4]), angles, atol=1e-9)


def test_of_one_factor_it_is_that_hyperboloid() -> None:
    points, fraction = _points(5), torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    one = LorentzSpace(points, None, points.new_zeros(12), 0.5)
    product = ProductLorentzSpace(points, None, points.new_zeros(12), (0.5,))
    a, b = points[:2], points[2:4]
    for name, arguments in {
        "similarity": (a, b), "exterior_angle": (a, b), "half_aperture": (points,),
        "toward_root": (a, fraction), "radius_of": (points,), "centre": (points[None],),
    }.items():  # fmt: skip
        torch.testing.assert_close(
            getattr(product, name)(*arguments), getattr(one, name)(*arguments)
        )


def test_prompts_and_ways_to_the_root_stay_in_their_factor() -> None:
    points = _points(4)
    space = _space(points)
    centre = space.centre(points[None])[0]
    tangents = [
        [np.asarray(v) * np.arcsinh(c**0.5 * np.linalg.norm(v)) / (c**0.5 * np.linalg.norm(v))
         for v in (_parts(x)[i] for x in points)]
        for i, c in enumerate(CURVATURES)
    ]  # fmt: skip
    for i, c in enumerate(CURVATURES):
        expected = lorentz.exponential_map(np.mean(tangents[i], axis=0), c)
        np.testing.assert_allclose(_parts(centre)[i], expected, rtol=1e-9)
    way = space.toward_root(points, torch.tensor([0.25, 1.0], dtype=torch.float64))
    torch.testing.assert_close(space.radius_of(way[:, 0]), 0.75 * space.radius)
    torch.testing.assert_close(way[:, 1], torch.zeros_like(points))


def test_an_angle_that_a_factor_does_not_have_is_undefined() -> None:
    a, b = _points(2)[:1].clone(), _points(2)[1:]
    a[:, 4:8] = 0.0
    assert _space(a).exterior_angle(a, b).isnan().tolist() == [True]


@pytest.mark.parametrize("curvature", [None, 1.0, (), (1.0, -1.0), (1.0, float("nan"))])
def test_a_product_needs_its_curvatures(curvature: object) -> None:
    model = dataclasses.replace(MODEL, curvature=curvature)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one for each factor"):
        space_of(model, _points(2), None, None)


def test_the_mean_root_sends_it_to_the_vertex() -> None:
    with pytest.raises(HierevalError) as caught:
        MeanRoot().space(Embeddings(MODEL, _points(2), None))
    assert str(caught.value) == (
        "The probe 'mean-root' must be used with a sphere or euclidean model, not with 'x' "
        "(lorentz-product). Use --probes origin."
    )


def _folder(folder: Path, **fields: object) -> str:
    folder.mkdir(exist_ok=True)
    save_file({"text": _points(3).float()}, folder / "embeddings.safetensors")
    index = {"texts": ["", "a bird", "a blue bird"], "geometry": "lorentz-product", **fields}
    (folder / "index.json").write_text(json.dumps(index), "utf-8")
    return str(folder)


def test_stored_vectors_say_so(tmp_path: Path) -> None:
    model = Precomputed(_folder(tmp_path / "x", curvature=[0.1, 1, 3]), LoadOptions()).id
    assert (model.geometry, model.curvature) == ("lorentz-product", (0.1, 1.0, 3.0))
    for given, shown in ((2.0, "2.0"), ([1.0, 0], "[1.0, 0]"), ([], "[]")):
        with pytest.raises(HierevalError) as caught:
            Precomputed(_folder(tmp_path / "x", curvature=given), LoadOptions())
        assert str(caught.value) == (
            f"The curvature {shown} of '{tmp_path / 'x' / 'index.json'}' must be a positive number "
            "for the geometry lorentz, a list of them for lorentz-product and absent for the "
            "others."
        )
    with pytest.raises(HierevalError) as caught:
        Precomputed(_folder(tmp_path / "x", curvature=[1.0] * 5), LoadOptions())
    assert str(caught.value) == (
        f"The vectors of '{tmp_path / 'x' / 'embeddings.safetensors'}' must have as many "
        "dimensions for each of the 5 curvatures in index.json; they have 12."
    )
