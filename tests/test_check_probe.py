"""`check_probe`: every check has a broken probe that fails it, and ours fail none."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from support.failing import failed

from hiereval.geometry import SphereSpace
from hiereval.probes.roots import EmptyRoot, MeanRoot, Origin
from hiereval.spaces import space_of
from hiereval.testing import check_probe
from hiereval.types import Chains, Embeddings, ModelId, Space


class Forgetful(EmptyRoot):
    def fit(self, train: Embeddings, data: Chains, generator: torch.Generator) -> Any:
        return EmptyRoot()


class Anchored(EmptyRoot):
    def anchors(self, model: ModelId) -> Any:
        return (3,)

    def space(self, embeddings: Embeddings) -> Space:
        return space_of(embeddings.model, embeddings.text, embeddings.image, embeddings.text[0])


class Restless(MeanRoot):
    def space(self, embeddings: Embeddings) -> Space:
        root = torch.randn(embeddings.text.shape[1])
        return space_of(embeddings.model, embeddings.text, embeddings.image, root)


class Spoiling(MeanRoot):
    def space(self, embeddings: Embeddings) -> Space:
        embeddings.text.add_(1.0)
        return super().space(embeddings)


class Half(MeanRoot):
    def space(self, embeddings: Embeddings) -> Space:
        return super().space(dataclasses.replace(embeddings, text=embeddings.text[::2]))


class Winding(MeanRoot):
    def space(self, embeddings: Embeddings) -> Space:
        plain = super().space(embeddings)
        return Wound(plain.text, plain.image, plain.root)


class Wound(SphereSpace):
    def toward_root(self, x: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
        return super().toward_root(x, fraction).roll(1, -1)


class Undecided(MeanRoot):
    trained: ClassVar[Any] = "perhaps"


BROKEN_PROBES: dict[str, tuple[Any, str, str]] = {
    "undecided": (Undecided, "declaration", "trained must be True or False"),
    "anchored": (Anchored, "anchors", "anchors must be texts: [3]"),
    "forgetful": (Forgetful, "fit returns self", "fit must return self"),
    "half": (Half, "space", "points for"),
    "winding": (Winding, "way to the root", "ends_decide must hold, or not be declared"),
    "restless": (Restless, "repeatable", "for the same seed"),
    "spoiling": (Spoiling, "inputs unchanged", "space must not change the embeddings"),
}


@pytest.mark.parametrize("case", list(BROKEN_PROBES))
def test_a_broken_probe_fails_its_check(case: str) -> None:
    make, name, problem = BROKEN_PROBES[case]
    assert problem in failed(check_probe(make))[name]


@pytest.mark.parametrize(
    ("make", "geometry"),
    [(EmptyRoot, "sphere"), (MeanRoot, "sphere"), (EmptyRoot, "lorentz"), (Origin, "lorentz"),
     (Origin, "euclidean"), (EmptyRoot, "lorentz-product"), (Origin, "lorentz-product")],
)  # fmt: skip
def test_our_probes_conform(make: Any, geometry: Any) -> None:
    checks = check_probe(make, geometry)
    assert failed(checks) == {}
    assert {check.name for check in checks} == {name for _, name, _ in BROKEN_PROBES.values()}
