"""What a checkpoint's JSON may say: an allow-list, numbers that are numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hiereval.adapters.hf_clip import HFClip
from hiereval.adapters.text import TextEncoder
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions

Folder = Callable[[str], Path]


def _edit(file: Path, **changes: Any) -> None:
    values = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**values, **changes}))


def _refused(folder: Path) -> str:
    with pytest.raises(HierevalError) as caught:
        HFClip(str(folder), LoadOptions()).encode_texts(["a bird"])
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(folder), "F")


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"quantization_config": {"load_in_4bit": True}},
        "The configuration of 'F' must be without quantization_config: save it in float32 or half "
        "precision first.",
    ),
    (
        {"transformers_weights": "other.safetensors"},
        "The configuration of 'F' must be without transformers_weights: name the file "
        "model.safetensors.",
    ),
    ({"text_config": [1]}, "The text_config of 'F' must be an object, not [1]."),
    (
        {"text_config": {"max_position_embeddings": "many"}},
        "The max_position_embeddings of 'F' must be a whole number of at least 1, not \"many\".",
    ),
    (
        {"projection_dim": -4},
        "The projection_dim of 'F' must be a whole number of at least 1, not -4.",
    ),
    (
        {"projection_dim": True},
        "The projection_dim of 'F' must be a whole number of at least 1, not true.",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_a_configuration_that_cannot_be_followed_is_one_line(
    changes: dict[str, Any], message: str, copied: Folder
) -> None:
    folder = copied("clip")
    _edit(folder / "config.json", **changes)
    assert _refused(folder) == message


def test_null_and_unknown_keys_change_nothing(checkpoint: Folder, copied: Folder) -> None:
    folder = copied("clip")
    config = folder / "config.json"
    hostile = {"auto_map": {"AutoModel": "evil.Evil"}, "attn_implementation": "someone/kernel",
               "to_dict": 3, "forward": "x", "fusion_config": {"a": 1}, "_commit_hash": "x",
               "attribute_map": {"hidden_size": "projection_dim"}, "sub_configs": {},
               "rope_scaling": {"rope_type": "linear", "factor": 2.0}, "torch_dtype": "float16",
               "num_labels": 7}  # fmt: skip
    text = json.loads(config.read_text())["text_config"]
    _edit(config, **hostile, text_config={**text, **hostile})
    _edit(folder / "tokenizer_config.json", model_max_length=None, unknown={"deep": [1]})
    given = HFClip(str(folder), LoadOptions())
    expected = HFClip(str(checkpoint("clip")), LoadOptions())
    assert given.context_length == expected.context_length == 77
    texts = ["", "a blue bird"]
    same = torch.allclose(given.encode_texts(texts), expected.encode_texts(texts), atol=1e-6)
    assert same


def test_a_lora_beside_base_weights_is_refused_whatever_is_installed(copied: Folder) -> None:
    folder = copied("clip")
    (folder / "adapter_config.json").write_text("{}")
    assert _refused(folder) == (
        "The checkpoint 'F' must be merged first: it holds adapter_config.json beside its base "
        "weights. In peft, 'model.merge_and_unload().save_pretrained(FOLDER)' merges them."
    )


def test_the_image_processor_that_is_used_is_the_one_that_is_hashed(
    copied: Folder, pictures: list[Any]
) -> None:
    folder = copied("clip")
    before = HFClip(str(folder), LoadOptions())
    stated = json.loads((folder / "preprocessor_config.json").read_text())
    other = {**stated, "image_mean": [5, 5, 5]}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": other}))
    after = HFClip(str(folder), LoadOptions())
    assert after.id.preprocess_fingerprint != before.id.preprocess_fingerprint
    pixels = [adapter.preprocess(pictures[0])["pixel_values"] for adapter in (before, after)]
    assert not torch.equal(*pixels)
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": stated}))
    again = HFClip(str(folder), LoadOptions())  # two files that agree are one setting
    assert again.id.preprocess_fingerprint == before.id.preprocess_fingerprint


@pytest.mark.parametrize(
    ("file", "key", "message"),
    [
        ("tokenizer_config.json", "tokenizer_class", "The tokenizer 'Wav2Vec2PhonemeCTCTokenizer"),
        ("preprocessor_config.json", "image_processor_type", "The image processor 'LayoutLMv2"),
    ],
)
def test_a_class_that_does_more_is_refused(
    file: str, key: str, message: str, copied: Folder
) -> None:
    folder = copied("clip")
    other = {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer",
             "image_processor_type": "LayoutLMv2ImageProcessor"}  # fmt: skip
    _edit(folder / file, **{key: other[key]})
    assert _refused(folder).startswith(message)
    assert " of 'F' must be one of " in _refused(folder)


def test_a_made_up_vocabulary_is_refused(copied: Folder) -> None:
    folder = copied("clip")
    rules = json.loads((folder / "tokenizer.json").read_text())
    rules["model"]["vocab"] = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    rules["model"]["merges"] = []
    for token in rules["added_tokens"]:
        token["id"] = rules["model"]["vocab"].get(token["content"], 1)
    rules["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(rules))
    assert _refused(folder).startswith("The tokenizer of 'F' must tell captions apart: 'a blue bir")


def test_the_tokenizer_sees_no_file_elsewhere(copied: Folder, tmp_path: Path) -> None:
    """A path in tokenizer_config.json does not lead the loader out of the checkpoint."""
    folder = copied("clip")
    before = HFClip(str(folder), LoadOptions()).id.tokenizer_fingerprint
    (tmp_path / "elsewhere.json").write_text("{}")
    paths = {"vocab_file": str(tmp_path / "elsewhere.json"), "name_or_path": "someone/else"}
    _edit(folder / "tokenizer_config.json", **paths, tokenizer_file=paths["vocab_file"])
    assert HFClip(str(folder), LoadOptions()).id.tokenizer_fingerprint == before


# --- which files are the weights ------------------------------------------------------------------


def test_stale_shards_beside_a_whole_file_are_no_part_of_the_model(
    checkpoint: Folder, copied: Folder
) -> None:
    folder = copied("clip")
    save_file({"x": torch.zeros(1)}, folder / "model-00001-of-00002.safetensors")
    given, expected = (HFClip(str(f), LoadOptions()) for f in (folder, checkpoint("clip")))
    assert given.id.weights_sha256 == expected.id.weights_sha256
    assert given.id.fingerprint() == expected.id.fingerprint()


def test_an_index_names_shards_beside_it(copied: Folder) -> None:
    folder = copied("clip")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    assert _refused(folder) == (
        "The checkpoint 'F' must hold the index of its shards (model.safetensors.index.json or "
        "pytorch_model.bin.index.json) beside model-00001-of-00001.safetensors."
    )
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    assert _refused(folder) == (
        "The index 'F/model.safetensors.index.json' must name shards beside it "
        "(model-*-of-*.safetensors, pytorch_model-*-of-*.bin), not '../../secret.safetensors'."
    )
    index.write_text(json.dumps({"weight_map": {"a": "model-00002-of-00002.safetensors"}}))
    assert _refused(folder) == (
        "The checkpoint 'F' must hold every shard that its model.safetensors.index.json names; 1 "
        "of 1 are missing, the first is model-00002-of-00002.safetensors. A repository that was "
        "fetched in part is completed by fetching it again."
    )


def test_weights_that_change_while_they_are_read_are_refused(copied: Folder) -> None:
    from safetensors.torch import load_file

    folder = copied("clip")
    adapter = HFClip(str(folder), LoadOptions())
    state = load_file(folder / "model.safetensors")
    state["logit_scale"] = state["logit_scale"] + 1
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(HierevalError) as caught:
        adapter.encode_texts(["a"])
    assert str(caught.value) == f"The weights of '{folder}' changed as they were read."


# --- where they are -------------------------------------------------------------------------------


def test_a_subfolder_is_a_checkpoint(checkpoint: Folder, copied: Folder, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "modules.json").write_text("[]")
    copied("clip").rename(root / "0_CLIPModel")
    inner = HFClip(str(root), LoadOptions(), subfolder="0_CLIPModel")
    assert inner.id.fingerprint() == HFClip(str(checkpoint("clip")), LoadOptions()).id.fingerprint()
    assert _refused(root) == (
        "The checkpoint 'F' must hold config.json. Did you mean '--model-args "
        "subfolder=0_CLIPModel'?"
    )
    for given, message in (
        ("0_CLIPModell", f"The subfolder '0_CLIPModell' of '{root}' must exist. Did you mean "
         "'0_CLIPModel'?"),
        ("../x", "The subfolder '../x' must be a relative path such as '0_CLIPModel'."),
    ):  # fmt: skip
        with pytest.raises(HierevalError) as caught:
            HFClip(str(root), LoadOptions(), subfolder=given)
        assert str(caught.value) == message


def test_the_current_folder_has_a_name(copied: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copied("clip"))
    assert HFClip(".", LoadOptions()).id.name == "clip"


def test_text_limits_beyond_the_positions_are_refused(checkpoint: Folder, tmp_path: Path) -> None:
    from support import checkpoints
    from transformers import BertConfig, BertModel

    folder = tmp_path / "bert"
    checkpoints.bert_tokenizer(folder)
    config = BertConfig(**{**checkpoints.SMALL, "vocab_size": 200}, max_position_embeddings=38)
    BertModel(config).save_pretrained(folder)
    (folder / "sentence_roberta_config.json").write_text(json.dumps({"max_seq_length": 64}))
    with pytest.raises(HierevalError) as caught:
        TextEncoder(str(folder), LoadOptions(), "mean")
    assert str(caught.value) == (
        f"The texts of '{folder}' must have at most as many tokens as its encoder has positions "
        "(38), not 64."
    )
