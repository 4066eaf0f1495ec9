from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from hiereval.errors import HierevalError
from hiereval.probes.roots import EmptyRoot, MeanRoot, Origin, TextRoot
from hiereval.testing import check_probe
from hiereval.types import Embeddings, ModelId


def embeddings(geometry: str = "sphere", root_text: str = "") -> Embeddings:
    model = ModelId(
        adapter="test", name="m", checkpoint="m", geometry=geometry, root_text=root_text,
        curvature=1.0 if geometry == "lorentz" else None,
    )  # fmt: skip
    return Embeddings(
        model,
        torch.tensor([[3.0, 0.0], [0.0, 5.0], [0.6, 0.8]]),
        torch.tensor([[0.0, 2.0]]),
        {root_text: torch.tensor([4.0, 0.0])},
    )


def test_the_empty_root_is_the_normalised_embedding_of_the_root_text() -> None:
    given = embeddings(root_text="entity")
    assert EmptyRoot().anchors(given.model) == ("entity",)
    space = EmptyRoot().space(given)
    assert space.root.tolist() == [1.0, 0.0]
    torch.testing.assert_close(space.radius, torch.tensor([0.0, 2.0**0.5, 0.8**0.5]))
    assert space.image is not None
    assert space.image.tolist() == [[0.0, 1.0]]


def test_the_mean_root_is_the_direction_of_the_mean_of_unit_texts() -> None:
    space = MeanRoot().space(embeddings())
    expected = torch.tensor([1.6, 1.8]) / (1.6**2 + 1.8**2) ** 0.5
    torch.testing.assert_close(space.root, expected)
    assert MeanRoot().anchors(embeddings().model) == ()


def test_the_mean_root_of_a_euclidean_model_is_the_plain_mean() -> None:
    torch.testing.assert_close(
        MeanRoot().space(embeddings("euclidean")).root, torch.tensor([1.2, 5.8 / 3])
    )


def test_the_origin_of_a_euclidean_model_is_zero() -> None:
    space = Origin().space(embeddings("euclidean"))
    assert space.root.tolist() == [0.0, 0.0]
    assert space.radius.tolist() == pytest.approx([3.0, 5.0, 1.0])


def test_a_sphere_has_no_origin() -> None:
    message = (
        "The probe 'origin' must be used with a lorentz or euclidean model, not with 'm' (sphere)."
        " Use --probes empty-root."
    )
    with pytest.raises(HierevalError, match=f"^{re.escape(message)}$"):
        Origin().space(embeddings())


def test_a_lorentz_model_has_no_mean_root() -> None:
    message = (
        "The probe 'mean-root' must be used with a sphere or euclidean model, not with 'm' "
        "(lorentz). Use --probes origin."
    )
    with pytest.raises(HierevalError, match=f"^{re.escape(message)}$"):
        MeanRoot().space(embeddings("lorentz"))


def test_text_root_is_at_a_text_of_ones_choice() -> None:
    given = embeddings()
    assert TextRoot("Eukarya").anchors(given.model) == ("Eukarya",)
    anchored = replace(given, anchors={"Eukarya": torch.tensor([0.0, 2.0])})
    assert TextRoot("Eukarya").space(anchored).root.tolist() == [0.0, 1.0]
    assert [check for check in check_probe(TextRoot) if check.passed is False] == []
