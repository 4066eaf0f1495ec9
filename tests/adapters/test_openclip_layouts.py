"""OpenCLIP's other layouts: training files, text towers of transformers, CoCa."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import checkpoints, openclip_checkpoint

from hiereval.adapters import training_files
from hiereval.adapters.openclip import OpenClip
from hiereval.adapters.openclip_convert import convert
from hiereval.errors import HierevalError
from hiereval.places import Places
from hiereval.types import LoadOptions

TEXTS = ["", "a bird", "a blue bird on a branch"]
COMMIT = "1" * 40


class Runs:
    """Leaves a file where a pickle that holds it is loaded with its code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (shutil.copyfile, (__file__, str(self.mark)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A file as open_clip's training writes it, compiled and distributed, and its network."""
    folder = tmp_path_factory.mktemp("training")
    network = openclip_checkpoint.model(openclip_checkpoint.CLIP)
    state = {f"module._orig_mod.{key}": value for key, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters())
    for group in optimizer.param_groups:
        group["lr"] = np.float64(1e-3) * (1 + np.cos(np.pi / 10))
    content = {"epoch": 3, "name": "run", "state_dict": state, "optimizer": optimizer.state_dict(),
               "args": Runs(folder / "RAN")}  # fmt: skip
    torch.save(content, folder / "epoch_3.pt")
    (folder / "tiny.json").write_text(json.dumps(openclip_checkpoint.CLIP))
    return folder, network


def test_a_training_file_becomes_a_folder_of_its_weights(
    trained: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    import open_clip

    folder, network = trained
    out = tmp_path / "made"
    count = convert(folder / "epoch_3.pt", str(folder / "tiny.json"), out, LoadOptions())
    assert count == sum(p.numel() for p in network.parameters())
    assert sorted(path.name for path in out.iterdir()) == [
        "open_clip_config.json", "open_clip_model.safetensors",
    ]  # fmt: skip
    adapter = OpenClip(f"local-dir:{out}", LoadOptions())
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    with torch.inference_mode():
        expected = network.encode_text(tokenizer(TEXTS))  # type: ignore[operator]
    torch.testing.assert_close(adapter.encode_texts(TEXTS), expected, atol=1e-6, rtol=0)
    assert not (folder / "RAN").exists()
    with pytest.raises(HierevalError) as caught:
        convert(folder / "epoch_3.pt", str(folder / "tiny.json"), out, LoadOptions())
    assert str(caught.value) == f"The output folder '{out}' must be new or empty."


def test_a_file_of_another_architecture_leaves_no_folder(
    trained: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    folder, _ = trained
    other = copy.deepcopy(openclip_checkpoint.CLIP)
    other["text_cfg"]["layers"] = 3
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(HierevalError) as caught:
        convert(folder / "epoch_3.pt", str(tmp_path / "other.json"), tmp_path / "o", LoadOptions())
    message = str(caught.value)
    assert message.startswith(
        f"The weights of '{folder / 'epoch_3.pt'}' must be exactly those of its configuration: "
        'Missing key(s) in state_dict: "transformer.resblocks.2.'
    )
    assert not (tmp_path / "o").exists()


def test_only_tensors_come_out_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save({"model": {"module.a": torch.ones(2)}, "extra": Runs(tmp_path / "RAN")}, file)
    assert {key: value.tolist() for key, value in training_files.tensors(file).items()} == {
        "a": [1, 1]
    }
    torch.save({"a": torch.ones(2), "b": Runs(tmp_path / "RAN")}, file)
    with pytest.raises(HierevalError) as caught:
        training_files.tensors(file)
    assert str(caught.value) == (
        f"The file '{file}' must hold a dictionary of tensors, alone or under 'state_dict' or "
        "'model'."
    )
    file.write_bytes(b"no checkpoint")
    with pytest.raises(HierevalError, match="must be a checkpoint that loads as data alone: "):
        training_files.tensors(file)
    assert not (tmp_path / "RAN").exists()


# --- a text tower of transformers -----------------------------------------------------------------


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A hub cache with acme/biomed, whose text tower is acme/tower, and the network."""
    import open_clip
    from transformers import BertConfig

    hub = tmp_path_factory.mktemp("tower")
    parts = {}
    for name in ("biomed", "tower"):
        parts[name] = hub / f"models--acme--{name}" / "snapshots" / COMMIT
        parts[name].mkdir(parents=True)
        refs = parts[name].parents[1] / "refs"
        refs.mkdir()
        (refs / "main").write_text(COMMIT)
    size = {"vocab_size": 200, "max_position_embeddings": 40}
    BertConfig(**checkpoints.SMALL, **size).save_pretrained(parts["tower"])
    checkpoints.bert_tokenizer(parts["tower"])
    text: dict[str, Any] = {
        "hf_model_name": str(parts["tower"]), "hf_proj_type": "mlp", "context_length": 32,
        "hf_pooler_type": "cls_last_hidden_state_pooler",
    }  # fmt: skip
    built = {**text, "hf_model_pretrained": False}
    network = openclip_checkpoint.waves(
        open_clip.CustomTextCLIP(24, dict(openclip_checkpoint.VISION), built)
    )
    torch.save(network.state_dict(), parts["biomed"] / "open_clip_pytorch_model.bin")
    text.update(hf_model_name="acme/tower", hf_tokenizer_name="acme/tower")
    model = {"embed_dim": 24, "vision_cfg": openclip_checkpoint.VISION, "text_cfg": text}
    config = {"model_cfg": model, "preprocess_cfg": openclip_checkpoint.PREPROCESS}
    (parts["biomed"] / "open_clip_config.json").write_text(json.dumps(config))
    return hub, network


def _options(hub: Path, tmp_path: Path) -> LoadOptions:
    places = Places(cache=tmp_path / "cache", data=tmp_path, offline=True, hub=hub)
    return LoadOptions(places=places)


def test_a_text_tower_of_transformers_loads_offline(
    tower: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    hub, network = tower
    options = _options(hub, tmp_path)
    adapter = OpenClip("hf-hub:acme/biomed", options)
    ids = adapter.tokenizer(TEXTS)
    with torch.inference_mode():
        expected = network.encode_text(ids)  # type: ignore[operator]
    torch.testing.assert_close(adapter.encode_texts(TEXTS), expected, atol=1e-6, rtol=0)
    saved = tmp_path / "saved"
    saved.mkdir()
    adapter.save(saved)
    again = OpenClip(f"local-dir:{saved}", options)  # needs no cache
    torch.testing.assert_close(again.encode_texts(TEXTS), expected, atol=1e-6, rtol=0)


def test_a_text_tower_that_is_not_here_is_named_with_a_command_that_works(
    tower: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    hub = tmp_path / "hub"
    shutil.copytree(tower[0] / "models--acme--biomed", hub / "models--acme--biomed")
    with pytest.raises(HierevalError) as caught:
        OpenClip("hf-hub:acme/biomed", _options(hub, tmp_path))
    assert str(caught.value) == (
        "The checkpoint 'acme/tower' must be in the cache, because this run is offline. "
        "'hiereval download openclip:hf-hub:acme/biomed' fetches it where there is a network."
    )


def test_the_text_towers_configuration_is_in_the_fingerprint(
    tower: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    hub = tmp_path / "hub"
    shutil.copytree(tower[0], hub)
    options = _options(hub, tmp_path)
    before = OpenClip("hf-hub:acme/biomed", options).id.fingerprint()
    config = hub / "models--acme--tower" / "snapshots" / COMMIT / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "layer_norm_eps": 1e-3}))
    assert OpenClip("hf-hub:acme/biomed", options).id.fingerprint() != before


# --- CoCa -----------------------------------------------------------------------------------------


def test_cocas_text_vectors_are_raw(tmp_path: Path) -> None:
    import open_clip

    text = {**openclip_checkpoint.TEXT, "context_length": 76, "embed_cls": True,
            "output_tokens": True}  # fmt: skip
    vision = {**openclip_checkpoint.VISION, "attentional_pool": True, "attn_pooler_heads": 2,
              "output_tokens": True}  # fmt: skip
    caption = {"context_length": 76, "vocab_size": 49408, "layers": 1, "heads": 2, "width": 24}
    model = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, "multimodal_cfg": caption,
             "custom_text": True}  # fmt: skip
    settings = copy.deepcopy(model)
    settings.pop("custom_text")
    network = openclip_checkpoint.waves(open_clip.CoCa(**settings))
    torch.save(network.state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    config = {"model_cfg": model, "preprocess_cfg": openclip_checkpoint.PREPROCESS}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    vectors = OpenClip(f"local-dir:{tmp_path}", LoadOptions()).encode_texts(TEXTS)
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=76)
    with torch.inference_mode():
        expected = network.encode_text(tokenizer(TEXTS), normalize=False)  # type: ignore[operator]
    torch.testing.assert_close(vectors, expected, atol=1e-6, rtol=0)
    assert not torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-3)


# --- hostile configurations -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("text_cfg", {"tokenizer_kwargs": {"trust_remote_code": True}},
         "The tokenizer_kwargs of 'M' must be of clean, strip_sep_token, "
         "additional_special_tokens, not 'trust_remote_code'."),
        ("text_cfg", {"tokenizer_kwargs": {"bpe_path": "/etc/passwd"}},
         "The tokenizer_kwargs of 'M' must be of clean, strip_sep_token, "
         "additional_special_tokens, not 'bpe_path'."),
        ("text_cfg", {"context_length": None, "width": "x"}, None),
        ("text_cfg", {"hf_tokenizer_name": "../elsewhere", "vocab_size": 5}, None),
        ("vision_cfg", {"timm_model_name": "hf-hub:someone/evil"},
         "The timm_model_name 'hf-hub:someone/evil' of 'M' must be an architecture of timm."),
        ("preprocess_cfg", {"mean": [1, None, 3]},
         "The mean of 'M' must be three numbers, not [1, null, 3]."),
        ("preprocess_cfg", {"script": "x"},
         "The preprocess_cfg of 'M' must be of mean, std, interpolation, resize_mode, fill_color, "
         "size, mode, not 'script'."),
    ],
)  # fmt: skip
def test_a_hostile_configuration_is_one_line(
    part: str, changes: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    config = {
        "model_cfg": copy.deepcopy(openclip_checkpoint.CLIP),
        "preprocess_cfg": dict(openclip_checkpoint.PREPROCESS),
    }
    (config if part == "preprocess_cfg" else config["model_cfg"])[part].update(changes)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(HierevalError) as caught:
        OpenClip(f"local-dir:{tmp_path}", LoadOptions(random_init=0)).encode_texts(["a"])
    said = str(caught.value).replace(f"local-dir:{tmp_path}", "M")
    assert "\n" not in said
    assert message is None or said == message
