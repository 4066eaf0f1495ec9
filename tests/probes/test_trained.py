from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from hiereval.errors import HierevalError, Skipped
from hiereval.geometry import angle_at, normalise
from hiereval.probes.learned import LearnedRoot
from hiereval.probes.radial_linear import RadialLinear
from hiereval.probes.roots import EmptyRoot
from hiereval.types import Chains, Embeddings

Tree = Callable[..., tuple[Embeddings, Chains]]
PROBES = [LearnedRoot, RadialLinear]


def fitted(cls: Any, given: tuple[Embeddings, Chains], **parameters: Any) -> Any:
    probe = cls(device="cpu", batch=16, **parameters)
    return probe.fit(*given, torch.Generator().manual_seed(probe.seed))


def right(space: Any, data: Chains) -> float:
    """Share of triplets (P[k], P[k+1], N[k]) whose entailed angle is the smaller one."""
    index = (data.chains[:, :-1], data.chains[:, 1:], data.negatives[:, :-1])
    a, p, n = (space.text[torch.from_numpy(i)] for i in index)
    return (angle_at(a, p, space.root) < angle_at(a, n, space.root)).double().mean().item()


@pytest.mark.parametrize("cls", PROBES)
def test_training_lowers_the_development_loss_and_generalises(cls: Any, tree: Tree) -> None:
    probe = fitted(cls, tree(chains=200), epochs=10)
    losses = [line["total"] for line in probe.descent_.development]
    assert min(losses) < losses[0] - 0.01
    given, data = tree(chains=200, seed=0)
    assert right(probe.space(given), data) > right(EmptyRoot().space(given), data) + 0.02


@pytest.mark.parametrize("cls", PROBES)
def test_the_best_epoch_is_kept(cls: Any, tree: Tree) -> None:
    probe = fitted(cls, tree(), lr=0.5, epochs=8, patience=8)
    lines = probe.descent_.development
    best = min(lines, key=lambda line: line["total"])
    assert probe.descent_.best_step == best["step"]
    assert len(probe.descent_.log) == lines[-1]["step"]


def test_training_that_only_harms_keeps_the_start(tree: Tree) -> None:
    given, data = tree()
    probe = fitted(RadialLinear, (given, data), entail=0.0, epochs=20, patience=2)
    assert probe.descent_.best_step == 0  # the pullback alone is least where training starts
    assert len(probe.descent_.development) == 3  # the start and two epochs without gain
    torch.testing.assert_close(probe.space(given).text, EmptyRoot().space(given).text)
    torch.testing.assert_close(probe.space(given).root, EmptyRoot().space(given).root)


@pytest.mark.parametrize("cls", PROBES)
def test_a_seed_gives_the_same_probe_and_another_seed_another(cls: Any, tree: Tree) -> None:
    one, two, other = (fitted(cls, tree(), seed=s, epochs=3).descent_ for s in (0, 0, 1))
    for name, value in one.parameters.items():
        assert torch.equal(value, two.parameters[name])
        assert value.shape == other.parameters[name].shape
    assert one.log == two.log
    assert not torch.equal(one.parameters["root"], other.parameters["root"])


@pytest.mark.parametrize("cls", PROBES)
def test_fitting_ignores_autocast_and_half_precision_inputs_are_widened(
    cls: Any, tree: Tree
) -> None:
    given, data = tree()
    plain = fitted(cls, (given, data), epochs=2).descent_
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = fitted(cls, (given, data), epochs=2).descent_
    assert plain.log == cast.log
    half = Embeddings(given.model, given.text.half(), None, {"": given.anchors[""].half()})
    for line in fitted(cls, (half, data), epochs=2).descent_.log:
        assert line["total"] == pytest.approx(plain.log[line["step"] - 1]["total"], abs=1e-2)


@pytest.mark.parametrize("cls", PROBES)
def test_shuffled_tiers_are_other_chains(cls: Any, tree: Tree) -> None:
    one, two = (
        fitted(cls, tree(), epochs=2, shuffled=shuffled).descent_ for shuffled in (False, True)
    )
    assert one.log[0]["total"] != two.log[0]["total"]


def test_the_learned_root_moves_no_caption(tree: Tree) -> None:
    given, data = tree()
    space = fitted(LearnedRoot, (given, data), epochs=3).space(given)
    assert torch.equal(space.text, normalise(given.text))
    assert not torch.equal(space.root, normalise(given.anchors[""]))


def test_the_map_moves_texts_and_no_image(tree: Tree) -> None:
    given, data = tree()
    given = replace(given, image=torch.randn(5, 12, generator=torch.Generator().manual_seed(0)))
    probe = fitted(RadialLinear, (given, data), epochs=3, rank=99)
    space = probe.space(given)
    assert torch.equal(space.image, normalise(given.image))
    p = probe.descent_.parameters
    assert p["u"].shape == (12, 12)
    moved = normalise(given.text)
    moved = normalise(moved + moved @ p["v"].T @ p["u"].T)
    torch.testing.assert_close(space.text, moved)
    assert (space.text - normalise(given.text)).norm(dim=1).max() > 1e-3


@pytest.mark.parametrize("cls", PROBES)
def test_without_images_the_development_part_is_chains(cls: Any, tree: Tree) -> None:
    assert fitted(cls, tree(images=None), epochs=1).descent_.log


def test_a_loss_that_is_not_finite_stops_with_step_and_chains(tree: Tree) -> None:
    given, data = tree()
    given.text[data.chains[7, 2]] = torch.nan
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(
        HierevalError,
        match=r"^The probe's loss must be finite; it is nan at step \d+ \(training chains 7\)\. "
        r"Check these chains' embeddings, or lower lr\.$",
    ):
        RadialLinear(device="cpu", batch=1000).fit(given, data, generator)


def test_a_probe_must_be_fitted_first(tree: Tree) -> None:
    message = (
        "The probe 'radial-linear' must be fitted before it gives a space. 'hiereval fit' makes a "
        "fitted probe, '--probes path:FOLDER' uses it."
    )
    with pytest.raises(HierevalError, match=f"^{re.escape(message)}$"):
        RadialLinear().space(tree()[0])


def test_a_model_without_a_sphere_is_refused(tree: Tree) -> None:
    given, data = tree()
    given = replace(given, model=replace(given.model, geometry="euclidean"))
    message = (
        "The probe 'learned-root' must be used with a sphere model, not with 'synthetic' "
        "(euclidean). Use --probes empty-root or origin."
    )
    with pytest.raises(Skipped, match=f"^{re.escape(message)}$"):
        LearnedRoot().fit(given, data, torch.Generator())
