"""Which text is the root is a parameter of every model, and part of who the model is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hiereval.adapters.hf_clip import HFClip
from hiereval.errors import HierevalError
from hiereval.models import open_adapter
from hiereval.session import Session
from hiereval.toy.shapes import shapes
from hiereval.types import DataOptions, LoadOptions


def test_it_is_in_the_identity() -> None:
    plain, flag = (open_adapter("toy", LoadOptions(root_text=t), {}) for t in (None, "entity"))
    argument = open_adapter("toy", LoadOptions(), {"root_text": "entity"})
    both = open_adapter("toy", LoadOptions(root_text=""), {"root_text": "entity"})
    assert [a.id.root_text for a in (plain, flag, argument, both)] == ["", "entity", "entity", ""]
    prints = [a.id.fingerprint() for a in (plain, flag, argument, both)]
    assert prints[0] == prints[3] != prints[1] == prints[2]


def test_radii_start_there(tmp_path: Path) -> None:
    session = Session.of(device="cpu", cache_dir=tmp_path, offline=True, root_text="shape")
    adapter = session.adapter("toy")
    data = shapes(DataOptions(places=session.places))
    from hiereval.probes.roots import EmptyRoot

    probe = EmptyRoot()
    found, _ = session.vectors(adapter, data, images=False, anchors=probe.anchors(adapter.id))
    assert list(found.anchors) == ["shape"]
    radius = probe.space(found).radius
    assert isinstance(adapter, HFClip)
    root, *texts = torch.nn.functional.normalize(
        adapter.encode_texts(["shape", *data.texts]).double(), dim=1
    )
    away = torch.stack([1.0 - text @ root for text in texts])
    order = torch.argsort(away)
    assert bool((radius[order].diff() >= -1e-6).all())
    assert radius.double().argmin() == away.argmin()


def test_a_folder_of_vectors_must_hold_it(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"text": torch.eye(2)}, tmp_path / "embeddings.safetensors")
    (tmp_path / "index.json").write_text('{"texts": ["", "entity"]}')
    spec = f"precomputed:{tmp_path}"
    assert open_adapter(spec, LoadOptions(root_text="entity"), {}).id.root_text == "entity"
    with pytest.raises(HierevalError) as caught:
        open_adapter(spec, LoadOptions(root_text="thing"), {})
    assert str(caught.value) == (
        f"The index '{tmp_path}/index.json' must have the root text 'thing' among its texts: "
        "radii are distances from its vector. 'hiereval inputs --root-text TEXT' writes another "
        "root first."
    )
