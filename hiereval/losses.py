"""Training losses of the Radial Embedding framework (Alper & Averbuch-Elor, ECCV 2024, section 4).

Values are those of the authors' released training code; where that gives infinite or undefined
gradients (a cosine at the clamp, a caption at the root, two identical captions) these are zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Pairing = Literal["released", "documented"]
SMALLEST = 1e-30  # |a - r| |b - a| at or below it has no direction; unit vectors round at 1e-8


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the objective; the defaults are the released ones."""

    pullback: float = 10.0  # stay near the frozen model
    entail: float = 1.0  # mean exterior angles
    hard: float = 1.0  # the worst pairs of the batch


@dataclass(frozen=True)
class Losses:
    """The objective and its terms, scalars; `rows` says which chains are not finite."""

    total: Tensor
    entail: Tensor
    pullback: Tensor
    hard: Tensor
    rows: Tensor  # [b] bool: a term of this chain is NaN or infinite


def exterior_angle(
    general: Float[Tensor, "*n d"], specific: Float[Tensor, "*n d"], root: Float[Tensor, " d"]
) -> Float[Tensor, "*n"]:
    """Return Xi(general, specific) in [0, pi], differentiable everywhere.

    Equals `geometry.angle_at` wherever that is defined, with a zero gradient where the cosine is
    at or beyond +-1. A pair with general = root or general = specific has no angle: it counts as
    a right angle, without a gradient. Half precision is computed in float32.
    """
    general, specific, root = (_full(x) for x in (general, specific, root))
    out, on = general - root, specific - general
    return _arccos((out * on).sum(-1), out.norm(dim=-1) * on.norm(dim=-1), SMALLEST)


def exterior_angle_of_cosines(
    general_specific: Float[Tensor, "*n"],
    general_root: Float[Tensor, "*n"],
    specific_root: Float[Tensor, "*n"],
) -> Float[Tensor, "*n"]:
    """Return the same angle of unit vectors a, b, r from a.b, a.r and b.r alone, in [0, pi].

    (a - r).(b - a) = a.b - 1 - b.r + a.r and |x - y|^2 = 2 - 2 x.y. Differences below what
    float32 resolves in a cosine near 1 count as none.

    Of three vectors that are at right angles the three ends are a triangle of equal sides, and
    the exterior angle is 120 degrees:

    >>> right = torch.zeros(1)
    >>> torch.rad2deg(exterior_angle_of_cosines(right, right, right)).round().tolist()
    [120.0]
    """
    dot = general_specific - 1 - specific_root + general_root
    squares = 4 * (1 - general_root).clamp(min=0) * (1 - general_specific).clamp(min=0)
    product = torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
    least = 1e-6 if product.dtype == torch.float32 else 1e-14
    return _arccos(dot, product, least)


def _arccos(dot: Tensor, product: Tensor, least: float) -> Tensor:
    """Return arccos(dot / product), clamped; a right angle where product is `least` or below."""
    defined = ~(product <= least)  # NaN stays NaN
    cosine = torch.where(defined, dot / torch.where(defined, product, 1.0), 0.0)
    inside = cosine.abs() < 1
    slanted = torch.where(inside, cosine, 0.0).arccos()
    return torch.where(inside, slanted, cosine.detach().clamp(-1.0, 1.0).arccos())


def objective(
    positive: Float[Tensor, "b k d"],
    negative: Float[Tensor, "b k d"] | None,
    root: Float[Tensor, " d"],
    frozen: Float[Tensor, "m b k d"] | None = None,
    *,
    weights: Weights,
    pairing: Pairing = "released",
) -> Losses:
    """Return the released training objective of a batch of chains, all inputs unit vectors.

    `frozen` holds the texts' vectors before training, [positive, negative] or [positive] alone;
    None drops the pullback. Without negatives the entailment term is the positive pairs' alone.
    `released` contrasts Xi(P[k], P[k+1]) with Xi(P[k], N[k]); `documented` with Xi(P[k], N[k+1]),
    the wrong child of P[k]. An empty batch gives NaN.
    """
    angle = exterior_angle(positive[:, :-1], positive[:, 1:], root)
    against, texts = None, [positive]
    if negative is not None:
        wrong = negative[:, :-1] if pairing == "released" else negative[:, 1:]
        against = exterior_angle(positive[:, :-1], wrong, root)
        texts.append(negative)
    cosine = None if frozen is None else (_full(torch.stack(texts)) * _full(frozen)).sum(-1)
    return combine(angle, against, cosine, weights)


def combine(
    entailed: Float[Tensor, "b j"],
    contradicted: Float[Tensor, "b j"] | None,
    cosine: Float[Tensor, "m b k"] | None,
    weights: Weights,
) -> Losses:
    """Return the objective from exterior angles and from the cosines to the frozen vectors.

    The hard term adds the contrasts of the pair with the largest entailed and of the pair with
    the smallest contradicted angle of the batch; ties: the lowest step, then the first chain.
    """
    angle = entailed.T  # (j, b), the released order: it decides between ties
    against = torch.zeros_like(angle) if contradicted is None else -contradicted.T
    contrast = angle + against
    entail = angle.mean() + against.mean()
    hard = contrast.flatten()[angle.flatten().argmax()]
    if contradicted is not None:
        hard = hard + contrast.flatten()[against.flatten().argmax()]
    finite = contrast.isfinite().all(dim=0)
    pullback = torch.zeros_like(entail)
    if cosine is not None:
        pullback = (1 - cosine.mean()) / 2
        finite = finite & cosine.isfinite().all(dim=2).all(dim=0)
    total = weights.pullback * pullback + weights.entail * entail + weights.hard * hard
    return Losses(total, entail, pullback, hard, ~finite.detach())


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
