"""What every probe must do, fitted or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from hiereval.hooks import EndsDecide
from hiereval.testing.checks import Check, require, run
from hiereval.testing.inputs import CURVATURES
from hiereval.types import Chains, DataOptions, Embeddings, Geometry, ModelId, Probe, Space

if TYPE_CHECKING:
    from torch import Tensor

D = 6
ROUNDING = 1e-6  # of similarities to points that are given in float32


def check_probe(make: Callable[[], Probe], geometry: Geometry = "sphere") -> list[Check]:
    """Return what a probe does right and wrong; `make` returns an unfitted one."""
    return run(_Kit(make, geometry).checks())


class _Kit:
    def __init__(self, make: Callable[[], Probe], geometry: Geometry) -> None:
        self.make = make
        curvature = CURVATURES.get(geometry)
        self.model = ModelId(
            adapter="check", name="check", checkpoint="", geometry=geometry, curvature=curvature
        )

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the checks in the order in which they are best read."""
        yield "declaration", self.declaration
        yield "anchors", self.anchors
        yield "fit returns self", self.fit
        yield "space", self.space
        yield "way to the root", self.way
        yield "repeatable", self.repeatable
        yield "inputs unchanged", self.unchanged

    def declaration(self) -> str:
        """A probe has a name and says whether it is trained."""
        probe = self.make()
        require(bool(probe.name), "name must not be empty")
        require(isinstance(probe.trained, bool), "trained must be True or False")
        return f"{probe.name}, {'trained' if probe.trained else 'learning-free'}"

    def anchors(self) -> str:
        """Anchors are texts, known from the model's id."""
        texts = list(self.make().anchors(self.model))
        require(all(isinstance(text, str) for text in texts), f"anchors must be texts: {texts}")
        return f"{len(texts)} texts"

    def fit(self) -> str:
        """`fit` returns the probe itself."""
        probe = self.make()
        require(self._fitted(probe) is probe, "fit must return self")
        return "self"

    def space(self) -> str:
        """The space has a point for every text and image, a finite root and radii."""
        embeddings = self._embeddings(1)
        space = self._fitted(self.make()).space(embeddings)
        require(isinstance(space, Space), f"space must be a Space, not {type(space).__name__}")
        n = len(embeddings.text)
        require(len(space.text) == n, f"{len(space.text)} points for {n} texts")
        radius = space.radius
        require(tuple(radius.shape) == (n,), f"radius must be [{n}], not {list(radius.shape)}")
        require(bool(radius.isfinite().all()), "radii must be finite")
        require(bool((radius >= 0).all()), "radii must not be negative")
        image = space.image
        require(image is not None and len(image) == 3, "images must stay images")
        return f"radii {float(radius.min()):.3g} to {float(radius.max()):.3g}"

    def way(self) -> str:
        """What a space declares of the way to its root (`EndsDecide`) holds."""
        space = self._fitted(self.make()).space(self._embeddings(1))
        if not isinstance(space, EndsDecide):
            return "nothing declared"
        text, root = space.text.double(), space.root.double()
        ends = [space.similarity(end, text)[0] for end in (text[:1], root[None])]
        no_nearer = (ends[0][:, None] <= ends[0]) & (ends[1][:, None] <= ends[1])
        for point in space.toward_root(text[:1], text.new_tensor([0.25, 0.5, 0.75]))[0]:
            near = space.similarity(point[None], text)[0]
            bad = no_nearer & (near[:, None] > near + ROUNDING)
            require(not bool(bad.any()), "ends_decide must hold, or not be declared")
        return "its ends decide"

    def repeatable(self) -> str:
        """The same seed and data give the same space."""
        embeddings = self._embeddings(1)
        first, again = (self._fitted(self.make()).space(embeddings) for _ in range(2))
        difference = float((first.radius - again.radius).abs().max())
        require(difference <= 1e-6, f"radii differ by {difference:.1e} for the same seed")
        return "the same seed, the same radii"

    def unchanged(self) -> str:
        """Embeddings are shared by probes: a probe leaves them as they are."""
        embeddings = self._embeddings(1)
        before = embeddings.text.clone()
        _ = self._fitted(self.make()).space(embeddings).radius
        require(bool((before == embeddings.text).all()), "space must not change the embeddings")
        return "unchanged"

    def _fitted(self, probe: Probe) -> Probe:
        import torch

        data = _data()
        return probe.fit(self._embeddings(0), data, torch.Generator().manual_seed(0))

    def _embeddings(self, seed: int) -> Embeddings:
        import torch

        generator = torch.Generator().manual_seed(seed)

        def vectors(n: int) -> Tensor:
            return torch.randn(n, D, generator=generator)

        anchors = {text: vectors(1)[0] for text in self.make().anchors(self.model)}
        data = _data()
        return Embeddings(self.model, vectors(len(data.texts)), vectors(3), anchors)


@cache
def _data() -> Chains:
    """Return a few training chains with negatives."""
    from hiereval.datasets import head
    from hiereval.toy.shapes import shapes

    return head(shapes(DataOptions(split="train")), 24)
