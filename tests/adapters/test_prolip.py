"""ProLIP: its hub layout, equal to the forward written out in float64; both coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from reference import prolip
from support import prolip_checkpoint

from hiereval import evaluate
from hiereval.adapters.prolip import ProLip
from hiereval.errors import HierevalError
from hiereval.gaussians import UncertaintySpace
from hiereval.probes.roots import EmptyRoot, MeanRoot, Origin
from hiereval.probes.uncertainty import Uncertainty
from hiereval.testing import check_adapter, check_probe
from hiereval.types import Embeddings, LoadOptions, ModelId

TEXTS = ["", "a bird", "A blue bird on a branch.", "two dogs, a ball"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prolip_checkpoint.write(tmp_path_factory.mktemp("prolip") / "x")


def _refused(folder: Path, **options: Any) -> str:
    with pytest.raises(HierevalError) as caught:
        ProLip(str(folder), LoadOptions(**options)).encode_texts([""])
    return str(caught.value)


def test_equals_the_forward_in_float64(folder: Path, pictures: list[Image.Image]) -> None:
    adapter, state = ProLip(str(folder), LoadOptions()), prolip_checkpoint.state()
    assert (adapter.id.geometry, adapter.id.embed_dim) == ("gaussian", 64)
    assert adapter.id.n_params == sum(p.numel() for p in adapter.towers.whole.parameters())
    for vector, sentence in zip(adapter.encode_texts(TEXTS), TEXTS, strict=True):
        ids = adapter.tokenizer([sentence])[0].tolist()
        expected = torch.cat(prolip.encode_text(ids, state, heads=2, eps=1e-6))
        torch.testing.assert_close(vector.double(), expected, atol=1e-6, rtol=1e-6)
    pixels = [adapter.preprocess(picture) for picture in pictures]
    for vector, picture in zip(adapter.encode_images(pixels), pixels, strict=True):
        expected = torch.cat(prolip.encode_image(picture, state, heads=2))
        torch.testing.assert_close(vector.double(), expected, atol=1e-6, rtol=1e-6)


def test_conforms(folder: Path) -> None:
    def opened(checkpoint: str = str(folder)) -> ProLip:
        return ProLip(checkpoint, LoadOptions())

    assert [c for c in check_adapter(opened, reopen=opened) if c.passed is False] == []
    for probe in (Uncertainty, EmptyRoot, MeanRoot):
        assert [c for c in check_probe(probe, "gaussian") if c.passed is False] == []


def test_both_coordinates(folder: Path) -> None:
    """By hand: distances of unit means from that of "", and what variances lack to the largest."""
    adapter = ProLip(str(folder), LoadOptions())
    vectors = adapter.encode_texts(TEXTS)
    embeddings = Embeddings(adapter.id, vectors, vectors[1:], {"": vectors[0]})
    unit = vectors[:, :32] / vectors[:, :32].norm(dim=1, keepdim=True)
    variance = vectors[:, 32:].exp().sum(1)
    means = EmptyRoot().space(embeddings)
    torch.testing.assert_close(means.radius, (unit - unit[0]).norm(dim=1))
    torch.testing.assert_close(means.similarity(means.text, means.text), unit @ unit.T)
    space = Uncertainty().space(embeddings)
    assert isinstance(space, UncertaintySpace)
    torch.testing.assert_close(space.radius, variance.max() - variance)
    expected = unit @ unit.T - 0.5 * (variance[:, None] + variance)
    torch.testing.assert_close(space.similarity(space.text, space.text), expected)
    angles = space.exterior_angle(space.text[1:2], space.text[2:3])
    torch.testing.assert_close(angles, means.exterior_angle(means.text[1:2], means.text[2:3]))
    centre = space.centre(space.text[None])[0]
    torch.testing.assert_close(centre[32:].exp(), vectors[:, 32:].exp().mean(0))
    mean = unit.mean(0)
    torch.testing.assert_close(centre[:32], mean / mean.norm())
    way = space.toward_root(space.text, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(way[:, 0], space.text)
    torch.testing.assert_close(way[:, 1], space.root.expand(4, -1))


def test_other_models_give_no_variance() -> None:
    model = ModelId(adapter="x", name="x", checkpoint="")
    with pytest.raises(HierevalError) as caught:
        Uncertainty().space(Embeddings(model, torch.ones(2, 4), None))
    assert str(caught.value) == (
        "The probe 'uncertainty' must be used with a gaussian model, which gives a variance with "
        "each vector, not with 'x' (sphere). Use --probes empty-root."
    )
    gaussian = ModelId(adapter="x", name="x", checkpoint="", geometry="gaussian")
    with pytest.raises(HierevalError, match=r"not with 'x' \(gaussian\). Use --probes empty-root"):
        Origin().space(Embeddings(gaussian, torch.ones(2, 4), None))


def test_every_task_runs(folder: Path) -> None:
    result = evaluate(
        f"prolip:{folder}", datasets="shapes", probes=["empty-root", "uncertainty"],
        controls="none", resamples=10, limit=12,
    )  # fmt: skip
    done = {(record.task.name, record.probe.name) for record in result if record.status == "ok"}
    tasks = {"ordering", "entailment", "image-entailment", "retrieval", "interpolation",
             "flat-retrieval", "pep"}  # fmt: skip
    assert done == {(task, probe) for task in tasks for probe in ("empty-root", "uncertainty")}


def test_wrong_neighbours_are_refused(tmp_path: Path) -> None:
    state = prolip_checkpoint.state()
    del state["visual.unc_embedding"]
    message = _refused(prolip_checkpoint.write(tmp_path / "a", state))
    assert 'Missing key(s) in state_dict: "visual.unc_embedding".' in message
    for part, change, problem in (
        ("", {"model_type": "clip"}, "The field 'model_type' of config.json of"),
        ("text_cfg", {"embed_unc": False}, "must be true, not false."),
        ("text_cfg", {"width": 48}, "must be its embed_dim (32): the variances are read off"),
        ("vision_cfg", {"timm_model_name": "x"}, "The field 'timm_model_name' of vision_cfg of"),
        ("vision_cfg", {"width": None}, "must state width."),
    ):
        config = prolip_checkpoint.config()
        (config[part] if part else config).update(change)
        assert problem in _refused(prolip_checkpoint.write(tmp_path / "b", settings=config))
    (tmp_path / "b" / "config.json").write_text('{"model_type": "clip"}')
    assert _refused(tmp_path / "b") == (
        "The configuration of 'b' must be ProLIP's, with embed_dim, vision_cfg and text_cfg."
    )
    (tmp_path / "b" / "config.json").unlink()
    assert _refused(tmp_path / "b") == (
        "The checkpoint 'b' must hold config.json, as ProLIPHF pushes it."
    )
