from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from hiereval.geometry import angle_at, normalise
from hiereval.losses import Weights, exterior_angle, objective

DATA = Path(__file__).parent / "reference" / "data"
EXPECTED = json.loads((DATA / "loss_expected.json").read_text())


def load(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unit positive and negative [b, 4, d], root [d], frozen [2, b, 4, d]: a released batch."""
    arrays = load_file(DATA / f"{name}.safetensors")
    texts = normalise(arrays["texts"]).unflatten(0, (2, 4)).transpose(1, 2)
    frozen = normalise(arrays["frozen"]).unflatten(0, (2, 4)).transpose(1, 2)
    return texts[0], texts[1], normalise(arrays["root"]), frozen


def slow(
    positive: Tensor, negative: Tensor | None, root: Tensor, pairing: str
) -> tuple[float, float]:
    """Entailment and hard terms in float64, pair by pair."""

    def angle(a: list[float], b: list[float]) -> float:
        out = [x - r for x, r in zip(a, root.tolist(), strict=True)]
        on = [y - x for x, y in zip(a, b, strict=True)]
        dot = math.fsum(x * y for x, y in zip(out, on, strict=True))
        cosine = dot / (math.hypot(*out) * math.hypot(*on))
        return math.acos(min(1.0, max(-1.0, cosine)))

    shift = 0 if pairing == "released" else 1
    pairs = [(c, k) for k in range(3) for c in range(len(positive))]
    p = [angle(positive[c, k].tolist(), positive[c, k + 1].tolist()) for c, k in pairs]
    if negative is None:
        return math.fsum(p) / len(p), max(p)
    n = [-angle(positive[c, k].tolist(), negative[c, k + shift].tolist()) for c, k in pairs]
    i, j = p.index(max(p)), n.index(max(n))
    return (math.fsum(p) + math.fsum(n)) / len(p), p[i] + n[i] + p[j] + n[j]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_released_losses_are_reproduced(name: str) -> None:
    expected = EXPECTED[name]
    weights = Weights(expected["lambda_p"], expected["lambda_e"], expected["lambda_m"])
    *inputs, frozen = load(name)
    losses = objective(*inputs, frozen, weights=weights)
    assert losses.total.item() == pytest.approx(expected["total_loss"], abs=1e-6)
    assert losses.entail.item() == pytest.approx(expected["eloss"], abs=1e-6)
    assert losses.pullback.item() == pytest.approx(expected["ploss"], abs=1e-6)
    hard = (
        expected["total_loss"]
        - expected["lambda_p"] * expected["ploss"]
        - expected["lambda_e"] * expected["eloss"]
    ) / expected["lambda_m"]
    assert losses.hard.item() == pytest.approx(hard, abs=1e-6)
    assert not losses.rows.any()


@pytest.mark.parametrize("pairing", ["released", "documented"])
@pytest.mark.parametrize("negatives", [True, False])
def test_the_terms_agree_with_a_pair_by_pair_computation(pairing: str, negatives: bool) -> None:
    positive, negative, root, _ = (x.double() for x in load("loss_0"))
    losses = objective(
        positive, negative if negatives else None, root, weights=Weights(), pairing=pairing
    )
    entail, hard = slow(positive, negative if negatives else None, root, pairing)
    assert losses.entail.item() == pytest.approx(entail, abs=1e-9)
    assert losses.hard.item() == pytest.approx(hard, abs=1e-9)
    assert losses.pullback.item() == 0
    assert losses.total.item() == pytest.approx(entail + hard, abs=1e-9)


def test_the_pairings_differ() -> None:
    positive, negative, root, _ = load("loss_0")
    one, two = (
        objective(positive, negative, root, weights=Weights(), pairing=pairing).entail.item()
        for pairing in ("released", "documented")
    )
    assert one != two


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 1e3]))
def test_the_angle_is_that_of_the_geometry(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b, r = torch.randn(3, 5, generator=generator) * scale
    torch.testing.assert_close(exterior_angle(a, b, r), angle_at(a, b, r), rtol=0, atol=0)


DEGENERATE = {
    "on the ray": ([1.0, 0.0], [2.0, 0.0], 0.0),
    "back along the ray": ([1.0, 0.0], [0.5, 0.0], math.pi),
    "caption equals root": ([0.0, 0.0], [1.0, 0.0], math.pi / 2),
    "identical captions": ([1.0, 0.0], [1.0, 0.0], math.pi / 2),
    "all at the root": ([0.0, 0.0], [0.0, 0.0], math.pi / 2),
    "hardly apart": ([1.0, 0.0], [1.0, 1e-22], math.pi / 2),
    "hardly off the ray": ([1.0, 0.0], [2.0, 1e-22], 0.0),
}


@pytest.mark.parametrize("case", sorted(DEGENERATE))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_and_values_exact(case: str, dtype: torch.dtype) -> None:
    a, b, expected = DEGENERATE[case]
    general, specific, root = (
        torch.tensor(x, dtype=dtype, requires_grad=True) for x in (a, b, [0.0, 0.0])
    )
    angle = exterior_angle(general, specific, root)
    angle.backward()
    assert angle.item() == pytest.approx(expected, abs=1e-7)
    for x in (general, specific, root):
        assert x.grad is not None
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("case", ["root", "identical", "negative is positive", "far along"])
def test_the_objective_trains_through_degenerate_chains(case: str) -> None:
    positive, negative, root, frozen = (x.clone() for x in load("loss_0"))
    if case == "root":
        positive[0, 0] = root
    elif case == "identical":
        positive[0] = positive[0, 0]
    elif case == "negative is positive":
        negative[:] = positive
    else:
        positive[0, 1] = positive[0, 0] + (positive[0, 0] - root)
    leaves = [x.requires_grad_() for x in (positive, negative, root)]
    losses = objective(*leaves, frozen, weights=Weights())
    losses.total.backward()
    assert losses.total.isfinite()
    assert not losses.rows.any()
    for x in leaves:
        assert x.grad is not None
        assert x.grad.isfinite().all()


def test_the_gradients_are_those_of_finite_differences() -> None:
    positive, negative = (x[:2].double() for x in load("loss_0")[:2])
    root = load("loss_0")[2].double()
    frozen = load("loss_0")[3][:, :2].double()

    def total(*leaves: Tensor) -> Tensor:
        p, n, r = (normalise(x) for x in leaves)
        return objective(p, n, r, frozen, weights=Weights()).total

    leaves = [x.clone().requires_grad_() for x in (positive, negative, root)]
    assert torch.autograd.gradcheck(total, leaves)


def test_half_precision_is_computed_in_float32() -> None:
    positive, negative, root, frozen = (x.to(torch.bfloat16) for x in load("loss_0"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = objective(positive, negative, root, frozen, weights=Weights())
    full = objective(
        positive.float(), negative.float(), root.float(), frozen.float(), weights=Weights()
    )
    assert half.total.dtype == torch.float32
    assert half.total.item() == full.total.item()


def test_the_rows_that_are_not_finite_are_named() -> None:
    positive, negative, root, frozen = (x.clone() for x in load("loss_0"))
    positive[3, 2, 0] = torch.nan
    negative[5, 3, 1] = torch.inf
    losses = objective(positive, negative, root, frozen, weights=Weights())
    assert losses.rows.nonzero().flatten().tolist() == [3, 5]
    assert losses.total.isnan()
