"""Checkpoints of transformers: identified before they load, loaded whole or refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support import checkpoints

from hiereval.adapters.blip import Blip
from hiereval.adapters.hf_clip import HFClip
from hiereval.adapters.siglip import Siglip
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions

ADAPTERS = {"clip": HFClip, "siglip": Siglip, "siglip2": Siglip, "naflex": Siglip, "blip": Blip}
Folder = Callable[[str], Path]


def _open(folder: Path, kind: str = "clip", **arguments: str) -> HFClip:
    return ADAPTERS[kind](str(folder), LoadOptions(), **arguments)  # type: ignore[return-value]


def _bird(adapter: HFClip) -> torch.Tensor:
    return adapter.encode_texts(["a bird"])


def _same(x: torch.Tensor, y: torch.Tensor) -> None:
    """Equal up to the order of summation, which the alignment of weights in memory decides."""
    torch.testing.assert_close(x, y, atol=1e-6, rtol=0)


def _refusal(folder: Path, kind: str = "clip", encode: bool = False) -> str:
    def attempt() -> object:
        adapter = _open(folder, kind)
        return _bird(adapter) if encode else adapter

    with pytest.raises(HierevalError) as caught:
        attempt()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- identity ------------------------------------------------------------------------------------


def test_an_identity_seen_before_needs_neither_torch_nor_transformers(checkpoint: Folder) -> None:
    program = """
import sys
from hiereval.types import LoadOptions
from hiereval.adapters.hf_clip import HFClip
from hiereval.adapters.siglip import Siglip
from hiereval.adapters.blip import Blip
for adapter, folder in zip((HFClip, Siglip, Blip), sys.argv[1:]):
    print(adapter(folder, LoadOptions()).id.fingerprint())
heavy = {"torch", "transformers", "huggingface_hub", "PIL", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    kinds = ("clip", "siglip", "blip")
    folders = [checkpoint(kind) for kind in kinds]
    expected = [
        _open(folder, kind).id.fingerprint() for folder, kind in zip(folders, kinds, strict=True)
    ]
    printed = subprocess.run(
        [sys.executable, "-c", program, *map(str, folders)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert printed == expected


def test_identity_says_what_was_loaded(checkpoint: Folder) -> None:
    folder = checkpoint("clip")
    adapter = _open(folder)
    weights = folder / "model.safetensors"
    assert adapter.id.adapter == "hf-clip"
    assert (adapter.id.name, adapter.id.checkpoint, adapter.id.revision) == (
        "clip",
        str(folder),
        None,
    )
    assert adapter.id.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert adapter.id.embed_dim == adapter.encode_texts(["a bird"]).shape[1] == 24
    assert adapter.id.n_params == sum(p.numel() for p in adapter.towers.whole.parameters())
    assert (adapter.id.dtype, adapter.id.trust_remote_code) == ("float32", False)


def test_the_fingerprint_changes_with_every_part(copied: Folder) -> None:
    folder = copied("clip")
    seen = [_open(folder).id]

    def edit(name: str, key: str, value: object) -> None:
        content = json.loads((folder / name).read_text())
        content[key] = value
        (folder / name).write_text(json.dumps(content))
        seen.append(_open(folder).id)

    edit("config.json", "logit_scale_init_value", 1.0)
    edit("preprocessor_config.json", "image_mean", [0.5, 0.5, 0.5])
    edit("tokenizer_config.json", "model_max_length", 40)
    checkpoints.clip(folder, seed=1)
    seen.append(_open(folder).id)
    parts = ("config_sha256", "preprocess_fingerprint", "tokenizer_fingerprint", "weights_sha256")
    for before, after, part in zip(seen[:3], seen[1:4], parts[:3], strict=True):
        assert getattr(before, part) != getattr(after, part)
        others = set(parts) - {part}
        assert all(getattr(before, other) == getattr(after, other) for other in others)
    assert seen[0].weights_sha256 != seen[4].weights_sha256
    assert len({identity.fingerprint() for identity in seen}) == 5
    assert seen[3].context_length == 40


def test_precision_is_in_the_identity_and_a_trust_that_runs_nothing_is_not(
    checkpoint: Folder,
) -> None:
    folder = str(checkpoint("clip"))
    ids = [
        HFClip(folder, LoadOptions(precision="tf32")).id,
        HFClip(folder, LoadOptions(trust_remote_code=True)).id,
        HFClip(folder, LoadOptions()).id,
    ]
    assert [identity.dtype for identity in ids] == ["tfloat32", "float32", "float32"]
    assert [identity.trust_remote_code for identity in ids] == [False, False, False]
    assert len({identity.fingerprint() for identity in ids}) == 2


@pytest.mark.parametrize(
    ("kind", "adapter"), [("clip", HFClip), ("siglip", Siglip), ("siglip2", Siglip), ("blip", Blip)]
)
def test_a_local_folder_asks_no_network(
    kind: str, adapter: type, checkpoint: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without HF_HUB_OFFLINE, and on a machine that is online: not even a name is looked up."""
    import socket

    asked: list[object] = []

    def record(*arguments: object, **_: object) -> None:
        asked.append(arguments)
        raise OSError("no network here")

    folder = checkpoint(kind)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", record)
    monkeypatch.setattr(socket.socket, "connect", record)
    opened = adapter(str(folder), LoadOptions())
    opened.encode_texts(["a bird"])
    opened.encode_images([opened.preprocess(Image.linear_gradient("L"))])
    assert asked == []


# --- weights -------------------------------------------------------------------------------------


def _edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(("kind", "cls"), [("clip", "CLIPModel"), ("siglip", "SiglipModel")])
def test_missing_and_unexpected_keys_are_refused(kind: str, cls: str, copied: Folder) -> None:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["logit_scale"]
        tensors |= {f"adapter.{name}": torch.zeros(2) for name in "abcd"}

    folder = _edit_weights(copied(kind), edit)
    assert _refusal(folder, kind, encode=True) == (
        f"The weights of '{folder}' must be exactly those of {cls}; keys: 1 missing (logit_scale); "
        "4 unexpected (adapter.a, adapter.b, adapter.c, ...)."
    )


def test_a_tensor_of_another_shape_is_refused(copied: Folder) -> None:
    folder = copied("clip")
    _edit_weights(folder, lambda t: t.update({"text_projection.weight": torch.zeros(3, 32)}))
    message = _refusal(folder, encode=True)
    assert message.startswith(f"The weights of '{folder}' must ")
    assert "text_projection.weight" in message or "RuntimeError" in message


def test_position_ids_of_old_checkpoints_are_harmless(checkpoint: Folder, copied: Folder) -> None:
    names = ["text_model", "vision_model"]
    folder = _edit_weights(
        copied("clip"),
        lambda t: t.update({f"{n}.embeddings.position_ids": torch.arange(17)[None] for n in names}),
    )
    _same(_bird(_open(folder)), _bird(_open(checkpoint("clip"))))


def test_a_file_cut_short_is_refused(copied: Folder) -> None:
    folder = copied("clip")
    weights = folder / "model.safetensors"
    size = weights.stat().st_size
    os.truncate(weights, size - 1000)
    assert _refusal(folder) == (
        f"The weights '{weights}' must have {size:,} bytes, as their header says; there are "
        f"{size - 1000:,}. Fetch the file again."
    )


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 200, b"version https://git-lfs" * 5])
def test_a_file_that_is_no_safetensors_is_refused(content: bytes, copied: Folder) -> None:
    weights = copied("clip") / "model.safetensors"
    weights.write_bytes(content)
    assert _refusal(weights.parent) == f"The weights '{weights}' must be a safetensors file."


def test_a_pickle_is_read_where_nothing_else_exists(checkpoint: Folder, copied: Folder) -> None:
    folder = copied("clip")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    adapter = _open(folder)
    whole = _open(checkpoint("clip"))
    _same(_bird(adapter), _bird(whole))
    assert adapter.id.n_params is None
    assert adapter.id.weights_sha256 != whole.id.weights_sha256


class _Malice:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch HACKED",)


def test_a_pickle_runs_no_code(
    copied: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied("clip")
    (folder / "model.safetensors").unlink()
    torch.save({"x": _Malice()}, folder / "pytorch_model.bin", pickle_module=pickle)
    monkeypatch.chdir(tmp_path)
    message = _refusal(folder, encode=True)
    assert message.startswith(f"The weights of '{folder}' must load as CLIPModel: ")
    assert not (tmp_path / "HACKED").exists()


def test_safetensors_win_over_a_pickle(checkpoint: Folder, copied: Folder) -> None:
    folder = copied("clip")
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    assert _open(folder).id == dataclasses.replace(
        _open(checkpoint("clip")).id, checkpoint=str(folder)
    )
    assert _open(folder).encode_texts(["a bird"]).isfinite().all()


def test_shards_are_one_model(checkpoint: Folder, copied: Folder) -> None:
    from transformers import CLIPModel

    folder = copied("clip")
    (folder / "model.safetensors").unlink()
    CLIPModel.from_pretrained(checkpoint("clip")).save_pretrained(folder, max_shard_size="1MB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    sharded, whole = _open(folder), _open(checkpoint("clip"))
    _same(_bird(sharded), _bird(whole))
    assert sharded.id.n_params == whole.id.n_params
    before = sharded.id.weights_sha256
    next(folder.glob("model-00001*")).touch()
    assert _open(folder).id.weights_sha256 == before != whole.id.weights_sha256


def test_a_folder_without_weights_names_the_way_out(copied: Folder) -> None:
    folder = copied("clip")
    (folder / "model.safetensors").unlink()
    assert _refusal(folder) == (
        f"The checkpoint '{folder}' must hold model.safetensors (or pytorch_model.bin). "
        "'--random-init SEED' measures the architecture without weights."
    )


# --- everything else in the folder ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "adapter", "message"),
    [
        ("siglip", HFClip, "The adapter for it is 'siglip': 'siglip:{}'."),
        ("naflex", HFClip, "The adapter for it is 'siglip': 'siglip:{}'."),
        ("blip", HFClip, "The adapter for it is 'blip': 'blip:{}'."),
        ("clip", Siglip, "The adapter for it is 'hf-clip': 'hf-clip:{}'."),
        ("align", Blip, "The adapter for it is 'hf-clip': 'hf-clip:{}'."),
    ],
)
def test_another_adapters_checkpoint_names_that_adapter(
    kind: str, adapter: type, message: str, checkpoint: Folder
) -> None:
    folder = checkpoint(kind)
    with pytest.raises(HierevalError) as caught:
        adapter(str(folder), LoadOptions())
    assert str(caught.value).endswith(message.format(folder))


def test_an_unknown_architecture_lists_the_known_ones(copied: Folder) -> None:
    folder = copied("clip")
    (folder / "config.json").write_text('{"model_type": "groupvit"}')
    assert _refusal(folder) == (
        f"The model type 'groupvit' of '{folder}' must be one that 'hf-clip' loads "
        "(clip, align, altclip, chinese_clip, metaclip_2, flava, vision-text-dual-encoder)."
    )


def test_an_openclip_folder_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text("{}")
    assert _refusal(tmp_path) == (
        f"The checkpoint '{tmp_path}' must hold config.json. "
        f"It is OpenCLIP's: 'openclip:local-dir:{tmp_path}'."
    )


def test_broken_json_names_the_file(copied: Folder) -> None:
    config = copied("clip") / "config.json"
    config.write_text('{"model_type": ')
    assert _refusal(config.parent).startswith(f"The file '{config}' must be readable JSON: ")
    config.write_text("[]")
    assert _refusal(config.parent) == f"The file '{config}' must hold a JSON object."


def test_a_missing_tokenizer_is_refused(copied: Folder) -> None:
    """transformers would make up a vocabulary of three tokens without a word."""
    folder = copied("clip")
    (folder / "tokenizer.json").unlink()
    assert _refusal(folder) == (
        f"The checkpoint '{folder}' must hold a tokenizer (tokenizer.json, vocab.json + "
        "merges.txt, vocab.txt, spiece.model, sentencepiece.bpe.model, tokenizer.model). "
        "'--model-args processor=CHECKPOINT' takes the tokenizer and the image processor from "
        "another checkpoint."
    )


def test_a_missing_image_processor_is_refused(copied: Folder) -> None:
    folder = copied("clip")
    (folder / "preprocessor_config.json").unlink()
    assert _refusal(folder).startswith(
        f"The checkpoint '{folder}' must hold preprocessor_config.json. '--model-args processor="
    )


def test_a_broken_tokenizer_is_one_line(copied: Folder) -> None:
    folder = copied("clip")
    (folder / "tokenizer.json").write_text("{}")
    assert _refusal(folder, encode=True).startswith(f"The tokenizer of '{folder}' must be readable")


def test_a_tokenizer_of_another_model_is_refused(checkpoint: Folder, copied: Folder) -> None:
    folder = copied("siglip")
    (folder / "spiece.model").unlink()
    shutil.copy(checkpoint("clip") / "tokenizer.json", folder)
    shutil.copy(checkpoint("clip") / "tokenizer_config.json", folder)
    assert _refusal(folder, "siglip", encode=True) == (
        f"The tokenizer of '{folder}' must have at most the model's 500 tokens; it has 49,408."
    )


def test_tokenizer_and_image_processor_may_come_from_elsewhere(
    checkpoint: Folder, copied: Folder
) -> None:
    """Fine-tuned towers are often published without them."""
    folder, whole = copied("clip"), checkpoint("clip")
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        (folder / name).unlink()
    bare = _open(folder, processor=str(whole))
    complete = _open(whole)
    assert bare.id.fingerprint() == complete.id.fingerprint()
    _same(_bird(bare), _bird(complete))


def test_processor_config_is_read_too(checkpoint: Folder, copied: Folder) -> None:
    """transformers 5 writes both settings into one file."""
    folder = copied("clip")
    old = folder / "preprocessor_config.json"
    content = {"image_processor": json.loads(old.read_text()), "processor_class": "CLIPProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(content))
    old.unlink()
    whole = _open(checkpoint("clip"))
    adapter = _open(folder)
    assert adapter.id.preprocess_fingerprint == whole.id.preprocess_fingerprint
    image = Image.linear_gradient("L")
    ours, theirs = adapter.preprocess(image), whole.preprocess(image)
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"])


def test_remote_code_is_not_run(copied: Folder, tmp_path: Path) -> None:
    folder = copied("clip")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'HACKED')!r}, 'w')")
    assert _open(folder).encode_texts(["a bird"]).shape == (1, 24)
    assert not (tmp_path / "HACKED").exists()
