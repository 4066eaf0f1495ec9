from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from hiereval.geometry import normalise
from hiereval.losses import Weights, objective
from hiereval.probes.frozen import FrozenChains, frozen_chains
from hiereval.probes.learned import LearnedRoot
from hiereval.probes.low_rank import LowRankObjective, Map
from hiereval.types import Chains, Embeddings

Tree = Callable[..., tuple[Embeddings, Chains]]
WEIGHTS = Weights(pullback=2.0, entail=0.5, hard=3.0)


def chains_of(tree: Tree, negatives: bool = True) -> FrozenChains:
    embeddings, data = tree()
    probe = LearnedRoot(negatives=negatives, device="cpu")
    chains = frozen_chains("test", probe, embeddings, data, torch.Generator().manual_seed(0))
    return replace(chains, text=normalise(chains.text.double()), root=chains.root.double())


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("negatives", [True, False])
@pytest.mark.parametrize("pairing", ["released", "documented"])
def test_inner_products_give_what_moved_vectors_give(
    tree: Tree, pairing: str, negatives: bool, rank: int
) -> None:
    chains = chains_of(tree, negatives)
    generator = torch.Generator().manual_seed(1)
    u, v = (torch.randn(12, rank, generator=generator, dtype=torch.float64) for _ in range(2))
    moved = Map(chains.root, u.requires_grad_(), v.T.contiguous().requires_grad_())
    rows = chains.train[:17]
    fast = LowRankObjective.of(chains, WEIGHTS, pairing)(moved, rows)
    given = [chains.text[chains.positive[rows]]]
    if negatives:
        given.append(chains.text[chains.negative[rows]])
    frozen = torch.stack(given)
    points = moved(frozen)
    slow = objective(
        points[0],
        points[1] if negatives else None,
        normalise(moved.root),
        frozen,
        weights=WEIGHTS,
        pairing=pairing,
    )
    for name in ("total", "entail", "pullback", "hard"):
        assert getattr(fast, name).item() == pytest.approx(getattr(slow, name).item(), abs=1e-9)
    if rank:
        gradients = [torch.autograd.grad(x.total, [moved.u, moved.v]) for x in (fast, slow)]
        for one, two in zip(*gradients, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


def test_identical_captions_and_captions_at_the_root_train_on(tree: Tree) -> None:
    chains = chains_of(tree)
    text = chains.text.float()
    text[chains.positive[0]] = text[chains.positive[0, 0]].clone()
    text[chains.positive[1, 0]] = normalise(chains.root).float()
    chains = replace(chains, text=text, root=normalise(chains.root).float())
    u = torch.zeros(12, 2, requires_grad=True)
    v = torch.randn(2, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    root = chains.root.clone().requires_grad_()
    rows = torch.arange(2)
    losses = LowRankObjective.of(chains, WEIGHTS, "released")(Map(root, u, v), rows)
    losses.total.backward()
    assert losses.total.isfinite()
    for x in (u, v, root):
        assert x.grad is not None
        assert x.grad.isfinite().all()


def test_a_map_is_its_own_precision_under_autocast() -> None:
    generator = torch.Generator().manual_seed(0)
    text, u, v = (torch.randn(6, 6, generator=generator) for _ in range(3))
    moved = Map(text[0], u, v)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = moved(text)
    torch.testing.assert_close(half, moved(text), rtol=0, atol=0)
    torch.testing.assert_close(half, normalise(text + text @ v.T @ u.T))
