"""MERU, HyCoCLIP and UNCHA: their `.pth` layout, equal to the forward written out in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from reference import lorentz, meru
from support import meru_checkpoint
from support.loopback import Loopback
from torch import Tensor

from hiereval import evaluate
from hiereval.adapters import meru_files
from hiereval.adapters.meru import Meru, exponential_map
from hiereval.errors import HierevalError
from hiereval.geometry import LorentzSpace
from hiereval.places import Places
from hiereval.spaces import space_of
from hiereval.types import LoadOptions

TEXTS = ["", "a bird", "A blue bird on a branch.", "two dogs, a ball \U0001f600 \0 x", "bird " * 99]
GOLDEN = [
    [-0.005897, -0.01694, 0.032377],
    [-0.002242, -0.018213, 0.030712],
    [0.396612, -0.430877, 0.21654],
]
HEADS = 1
FAMILIES: dict[str, Callable[[], tuple[dict[str, Tensor], str]]] = {
    "meru": lambda: (meru_checkpoint.state(), "lorentz"),
    "clip": lambda: (meru_checkpoint.state(hyperbolic=False), "sphere"),
    "uncha": lambda: (meru_checkpoint.uncha(), "lorentz"),
    "phyclip": lambda: (meru_checkpoint.phyclip(), "lorentz-product"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return meru_checkpoint.write(tmp_path_factory.mktemp("meru") / "meru_tiny.pth")


def _open(file: Path | str, *, offline: bool = False, **options: Any) -> Meru:
    return Meru(str(file), LoadOptions(places=Places.of(offline=offline), **options))


def _refused(checkpoint: Path | str, **options: Any) -> str:
    with pytest.raises(HierevalError) as caught:
        _open(checkpoint, **options).encode_texts([""])
    return str(caught.value)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_equals_the_forward_in_float64(
    family: str, tmp_path: Path, pictures: list[Image.Image]
) -> None:
    state, geometry = FAMILIES[family]()
    adapter = _open(meru_checkpoint.write(tmp_path / "x.pth", state))
    assert adapter.id.geometry == geometry
    assert adapter.id.n_params == sum(p.numel() for p in adapter.towers.whole.parameters())
    text = adapter.encode_texts(TEXTS)
    pixels = [adapter.preprocess(picture) for picture in pictures]
    image = adapter.encode_images(pixels)
    assert text.dtype == image.dtype == torch.float32
    for vector, sentence in zip(text, TEXTS, strict=True):
        ids = adapter.tokenizer(sentence)[0].tolist()
        ids = ids[: ids.index(adapter.tokenizer.eot_token_id) + 1]
        expected = meru.encode_text(ids, state, HEADS)
        torch.testing.assert_close(vector.double(), expected, atol=1e-6, rtol=1e-6)
    for vector, picture in zip(image, pixels, strict=True):
        expected = meru.encode_image(picture, state, HEADS)
        torch.testing.assert_close(vector.double(), expected, atol=1e-6, rtol=1e-6)


def test_golden_vectors(file: Path) -> None:
    """Weights that are sines on every machine: the first coordinates, kept."""
    adapter = _open(file)
    picture = Image.linear_gradient("L").convert("RGB")
    text = adapter.encode_texts(["", "A blue bird on a branch."])[:, :3]
    image = adapter.encode_images([adapter.preprocess(picture)])[:, :3]
    torch.testing.assert_close(torch.cat([text, image]), torch.tensor(GOLDEN), atol=1e-5, rtol=0)


def test_its_space(file: Path) -> None:
    """Radii in the space are distances from the vertex; curvature is the learned one."""
    adapter = _open(file)
    assert adapter.id.curvature == pytest.approx(0.1, rel=1e-6)
    vectors = adapter.encode_texts(TEXTS)
    space = space_of(adapter.id, vectors, None, None)
    assert isinstance(space, LorentzSpace)
    expected = [lorentz.distance(v, torch.zeros(24), 0.1) for v in vectors.tolist()]
    torch.testing.assert_close(space.radius, torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_the_exponential_map_preserves_length_and_is_capped() -> None:
    velocities = torch.tensor([[0.3, 0.4], [3.0, 4.0], [0.0, 0.0], [1e6, 0.0]])
    points = exponential_map(velocities, 1.0)
    for v, point in zip(velocities[:2].tolist(), points[:2].tolist(), strict=True):
        assert point == pytest.approx(lorentz.exponential_map(v, 1.0), rel=1e-6)
        assert lorentz.distance(point, [0.0, 0.0], 1.0) == pytest.approx(math.hypot(*v), rel=1e-6)
    assert points[2].tolist() == [0.0, 0.0]
    assert points[3].tolist() == pytest.approx([2.0**15, 0.0], rel=1e-5)


def test_vectors_depend_neither_on_the_batch_nor_on_its_order(file: Path) -> None:
    adapter = _open(file)
    together = adapter.encode_texts(TEXTS)
    alone = torch.cat([adapter.encode_texts([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        together.flip(0), adapter.encode_texts(TEXTS[::-1]), atol=1e-5, rtol=0
    )


def test_identity_is_known_before_the_weights(file: Path) -> None:
    adapter = _open(file)
    assert not {"model", "tokenizer", "transform"} & vars(adapter).keys()
    assert (adapter.id.name, adapter.id.embed_dim, adapter.id.context_length) == (
        "meru_tiny", 24, 77,
    )  # fmt: skip
    assert adapter.id.n_params == sum(p.numel() for p in adapter.towers.whole.parameters())
    assert adapter.text_lengths(["", "a bird", "bird " * 99]) == [2, 4, 101]


def test_random_init(file: Path) -> None:
    """From a checkpoint's shapes, or by an architecture's name without any file."""
    one, same, other = (_open(file, random_init=seed) for seed in (1, 1, 2))
    vectors = [a.encode_texts(TEXTS) for a in (one, same, other)]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-3)
    assert (one.id.curvature, one.id.weights_sha256) == (1.0, None)
    large = _open("vit-l", random_init=0)
    assert (large.shape.depth, large.shape.width, large.id.embed_dim) == (24, 1024, 512)


def test_bad_files(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"not a checkpoint")
    assert _refused(path).startswith(
        f"The file '{path}' must be a checkpoint of torch.save that loads with weights_only=True: "
    )
    torch.save({"model": {"visual_proj.weight": torch.ones(1)}, "code": Path("x")}, path)
    assert "Weights only load failed" in _refused(path)
    torch.save(meru_checkpoint.state(), path)
    assert _refused(path) == (
        f"The checkpoint '{path}' must hold MERU's layout: a dictionary whose 'model' has visual, "
        "textual, visual_proj and textual_proj."
    )
    state = meru_checkpoint.state()
    del state["textual.ln_final.weight"]
    message = _refused(meru_checkpoint.write(path, state))
    assert 'Missing key(s) in state_dict: "textual.ln_final.weight".' in message
    state = {**meru_checkpoint.state(), "head.weight": torch.ones(1)}
    message = _refused(meru_checkpoint.write(path, state))
    assert 'Unexpected key(s) in state_dict: "head.weight".' in message
    state = {**meru_checkpoint.uncha(), "visual.min_radius_head.0.bias": torch.ones(1)}
    message = _refused(meru_checkpoint.write(path, state))
    assert 'Unexpected key(s) in state_dict: "visual.min_radius_head.0.bias".' in message
    state = meru_checkpoint.phyclip()
    del state["textual_concept_alphas.1"]
    message = _refused(meru_checkpoint.write(path, state))
    assert 'Missing key(s) in state_dict: "textual_concept_alphas.1".' in message
    assert _refused(meru_checkpoint.write(path, meru_checkpoint.phyclip(5))) == (
        f"The checkpoint '{path}' must hold MERU's layout: 24 dimensions are not 5 equal factors."
    )
    assert "must be left out" in _refused(file, revision="main")


def test_what_is_not_there() -> None:
    assert _refused("/nowhere/meru.pth") == (
        "The checkpoint '/nowhere/meru.pth' must be an existing .pth file, a hub file as "
        "'avik-pal/hycoclip/hycoclip_vit_b.pth', or its https address; with --random-init also "
        "one of vit-s, vit-b, vit-l."
    )
    assert _refused("avik-pal/hycoclip/hycoclip_vit_b.pth", offline=True) == (
        "The checkpoint 'avik-pal/hycoclip' must be in the cache, because this run is offline. "
        "'hiereval download meru:avik-pal/hycoclip/hycoclip_vit_b.pth' fetches it where there "
        "is a network."
    )
    address = "https://dl.fbaipublicfiles.com/meru/meru_vit_l.pth"
    message = _refused(address, offline=True)
    assert message.startswith(f"The checkpoint '{address}' must be at '")
    assert message.endswith(
        "meru_vit_l.pth', because this run is offline. "
        f"'hiereval download meru:{address}' fetches it where there is a network."
    )


@pytest.mark.parametrize("family", ["meru", "phyclip"])
def test_every_task_runs_on_the_hyperboloid(family: str, tmp_path: Path) -> None:
    """No task knows the geometry; the root is the vertex, or the vector of the empty text."""
    state, geometry = FAMILIES[family]()
    file = meru_checkpoint.write(tmp_path / "x.pth", state)
    result = evaluate(
        f"meru:{file}",
        datasets="shapes",
        probes=["origin", "empty-root"],
        controls="none",
        resamples=10,
        limit=12,
    )
    done = {(record.task.name, record.probe.name) for record in result if record.status == "ok"}
    tasks = {"ordering", "entailment", "image-entailment", "retrieval", "interpolation",
             "flat-retrieval", "pep"}  # fmt: skip
    assert done == {(task, probe) for task in tasks for probe in ("origin", "empty-root")}
    assert {record.model.geometry for record in result} == {geometry}
    assert all(record.status != "failed" for record in result)


def test_an_address_is_fetched_once(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Loopback({"/a/meru_vit_s.pth": file.read_bytes(), "/b/meru_vit_s.pth": b"x"}) as server:
        monkeypatch.setattr(meru_files, "SCHEME", "http://127.0.0.1")
        address = f"{server.url}/a/meru_vit_s.pth"
        assert "because this run is offline." in _refused(address, offline=True)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        first, again = _open(address), _open(address)
        fetched = [path for path, _ in server.requests]
        assert fetched == ["/a/meru_vit_s.pth"] * 2  # its size, then its content
        assert first.id.fingerprint() == again.id.fingerprint() == _open(file).id.fingerprint()
        assert first.id.name == "meru_vit_s"
        # another address that ends alike is another file
        assert "must be a checkpoint of torch.save" in _refused(f"{server.url}/b/meru_vit_s.pth")
    monkeypatch.setenv("HIEREVAL_CACHE", str(tmp_path / "empty"))
    assert "because it could not be fetched (" in _refused(address)
