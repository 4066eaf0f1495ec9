"""Stored vectors: found by caption and file name, and every way in which a folder can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from hiereval.adapters.precomputed import Precomputed
from hiereval.errors import HierevalError
from hiereval.models import open_adapter
from hiereval.types import LoadOptions

TEXTS = ["", "bird", "a blue bird"]
IMAGES = ["one.jpg", "two.jpg"]


def _write(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **index: Any) -> Path:
    folder.mkdir(exist_ok=True)
    tensors = tensors or {"text": torch.arange(12.0).reshape(3, 4), "image": torch.ones(2, 4)}
    save_file(tensors, folder / "embeddings.safetensors")
    content = {"texts": TEXTS, "images": IMAGES, **index}
    (folder / "index.json").write_text(json.dumps(content))
    return folder


def _refused(folder: Path, **options: Any) -> str:
    with pytest.raises(HierevalError) as caught:
        Precomputed(str(folder), LoadOptions(**options)).encode_texts([""])
    return str(caught.value)


def test_vectors_by_name(tmp_path: Path) -> None:
    adapter = Precomputed(str(_write(tmp_path / "mine")), LoadOptions())
    assert adapter.id.name == "mine"
    assert adapter.encode_texts(["a blue bird", ""]).tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert adapter.encode_image_names(["two.jpg"]).tolist() == [[1, 1, 1, 1]]
    assert adapter.text_lengths(TEXTS) == [-1, -1, -1]
    assert adapter.modalities == {"text", "image"}


def test_what_a_task_needs_and_the_folder_lacks_is_counted_and_named(tmp_path: Path) -> None:
    adapter = Precomputed(str(_write(tmp_path / "mine")), LoadOptions())
    wanted = ["", *(f"caption {i}" for i in range(7)), "x" * 80]
    with pytest.raises(HierevalError) as caught:
        adapter.text_lengths(wanted)  # asked for all of them before any is encoded
    assert str(caught.value) == (
        f"The folder '{tmp_path / 'mine'}' must hold every one of the 9 texts needed; it lacks 8: "
        '"caption 0", "caption 1", "caption 2", "caption 3", "caption 4" and 3 more.'
    )
    with pytest.raises(HierevalError) as caught:
        adapter.encode_image_names(["three.jpg", "one.jpg"])
    assert str(caught.value) == (
        f"The folder '{tmp_path / 'mine'}' must hold every one of the 2 images needed; it lacks 1: "
        '"three.jpg".'
    )
    for call in (
        lambda: adapter.preprocess(Image.new("RGB", (2, 2))),
        lambda: adapter.encode_images([]),
    ):
        with pytest.raises(HierevalError, match=r"must be asked for images by name\.$"):
            call()


def test_identity(tmp_path: Path) -> None:
    """Both files are hashed; names, geometry and root come from the index."""
    one = Precomputed(str(_write(tmp_path / "a")), LoadOptions()).id
    same = Precomputed(str(_write(tmp_path / "b")), LoadOptions()).id
    other = Precomputed(
        str(
            _write(tmp_path / "c", name="Mine", geometry="lorentz", curvature=0.5, root_text="bird")
        ),
        LoadOptions(),
    ).id
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert (other.name, other.geometry, other.curvature, other.root_text) == (
        "Mine", "lorentz", 0.5, "bird",
    )  # fmt: skip
    moved = {"text": torch.ones(3, 4), "image": torch.ones(2, 4)}
    changed = Precomputed(str(_write(tmp_path / "d", moved)), LoadOptions()).id
    assert changed.fingerprint() != one.fingerprint()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    folder = _write(tmp_path, {"text": torch.ones(3, 4, dtype=dtype)}, images=[])
    adapter = Precomputed(str(folder), LoadOptions())
    assert adapter.encode_texts([""]).dtype == torch.float32
    assert adapter.id.dtype == str(dtype).removeprefix("torch.")
    assert adapter.modalities == {"text"}


def test_wrong_files(tmp_path: Path) -> None:
    folder = _write(tmp_path / "x")
    (folder / "index.json").unlink()
    assert _refused(folder) == (
        f"The checkpoint '{folder}' must be a folder with embeddings.safetensors and index.json; "
        "index.json is not there."
    )
    (folder / "index.json").write_text("[]")
    assert _refused(folder) == f"The file '{folder}/index.json' must hold a JSON object."
    folder = _write(tmp_path / "y")
    (folder / "embeddings.safetensors").write_bytes(b"12")
    assert _refused(folder).startswith(
        f"The file '{folder}/embeddings.safetensors' must be safetensors: "
    )
    assert _refused(_write(folder), revision="main") == (
        f"The revision 'main' must be left out: '{folder}' is a folder."
    )
    assert _refused(folder, random_init=1) == (
        "The random initialisation must be left out for 'precomputed': it has no network."
    )


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ({"texts": ["bird", "a", "b"]}, "must have the root text '' among its texts: radii are"),
        ({"texts": ["", "bird", "bird"]}, 'must be unique; 1 stand there more than once: "bird".'),
        ({"images": ["a.jpg", 3]}, "must be a list of strings."),
        ({"texts": ["", "bird"]}, "must be [2, d], a row for each of the texts in index.json"),
        ({"images": ["a.jpg"]}, "must be [1, d], a row for each of the images in index.json"),
        ({"captions": []}, "one of texts, images, shards, name, geometry, curvature, root_text."),
        ({"geometry": "spher"}, "lorentz-product, euclidean, gaussian. Did you mean 'sphere'?"),
        ({"geometry": "lorentz"}, "must be a positive number for the geometry lorentz, a list"),
        ({"curvature": 1.0}, "must be a positive number for the geometry lorentz, a list"),
        ({"geometry": "lorentz", "curvature": -1}, "must be a positive number for the geometry"),
    ],
)  # fmt: skip
def test_a_wrong_index(index: dict[str, Any], problem: str, tmp_path: Path) -> None:
    assert problem in _refused(_write(tmp_path, **index))


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"text": torch.ones(3, 4)}, "The tensor 'image' of "),
        ({"text": torch.ones(3, 4), "image": torch.ones(2, 5)}, "its shape is [2, 5]."),
        ({"text": torch.ones(3), "image": torch.ones(2, 1)}, "its shape is [3]."),
        ({"text": torch.ones(3, 4).long(), "image": torch.ones(2, 4).long()}, "they have I64."),
        ({"text": torch.ones(3, 4), "image": torch.ones(2, 4).half()}, "they have F16, F32."),
        ({"texts": torch.ones(3, 4)}, "there are texts."),
        ({"text": torch.ones(3, 0), "image": torch.ones(2, 0)}, "must not be empty."),
    ],
)
def test_wrong_tensors(tensors: dict[str, Any], problem: str, tmp_path: Path) -> None:
    assert problem in _refused(_write(tmp_path, tensors))


@pytest.mark.parametrize("value", [float("nan"), 1e39], ids=["nan", "too large for float32"])
def test_what_is_not_finite_is_named(value: float, tmp_path: Path) -> None:
    text = torch.ones(3, 4, dtype=torch.float64)
    text[1, 2] = value
    folder = _write(tmp_path, {"text": text, "image": torch.ones(2, 4, dtype=torch.float64)})
    assert _refused(folder) == (
        f"The text vectors in '{folder}/embeddings.safetensors' must be finite; 1 of 3 are not: "
        '"bird".'
    )


@pytest.mark.reference
def test_the_reference_folders(reference_root: Path) -> None:
    for folder in sorted((reference_root / "embeddings").iterdir()):
        adapter = Precomputed(str(folder), LoadOptions())
        assert adapter.encode_texts([""]).isfinite().all()
        assert len(adapter.encode_image_names(list(adapter.images))) == len(adapter.images)


def test_a_name_that_no_record_could_hold_is_refused_before_encoding(tmp_path: Path) -> None:
    folder = _write(tmp_path / "mine", name="\ud800")
    with pytest.raises(HierevalError) as caught:
        open_adapter(f"precomputed:{folder}", LoadOptions(), {})
    assert str(caught.value) == "The model name '' must be text of 1 to 200 characters."
