"""VisionTextDualEncoder: the library's own forward with every tower; neighbours refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from support import checkpoints, forward

from hiereval.adapters.hf_clip import IMAGE_TOWERS, TEXT_TOWERS, HFClip
from hiereval.errors import HierevalError
from hiereval.geometry import normalise
from hiereval.testing import check_adapter
from hiereval.types import LoadOptions

TEXTS = ["", "a bird", "A blue bird on a branch.", "two dogs, a ball \0 x", "bird " * 80]
WRITERS: dict[str, Callable[[Path], Path]] = {
    **{f"{text} + vit": partial(checkpoints.dual_encoder, text=text) for text in TEXT_TOWERS},
    **{
        f"bert + {image}": partial(checkpoints.dual_encoder, image=image)
        for image in IMAGE_TOWERS
        if image != "vit"
    },
    "old clips": partial(
        checkpoints.dual_encoder, text="clip_text_model", image="clip_vision_model", old=True
    ),
}
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    base = tmp_path_factory.mktemp("dual-encoders")

    def folder(kind: str) -> Path:
        path = base / kind
        return path if path.is_dir() else WRITERS[kind](path)

    return folder


@pytest.mark.parametrize("kind", list(WRITERS))
def test_equals_the_librarys_forward(
    kind: str, written: Folder, pictures: list[Image.Image]
) -> None:
    """One text and picture at a time through forward(), as its documentation shows."""
    folder = written(kind)
    adapter = HFClip(str(folder), LoadOptions())
    text = normalise(adapter.encode_texts(TEXTS))
    image = normalise(adapter.encode_images([adapter.preprocess(p) for p in pictures]))
    assert text.shape == (len(TEXTS), 24) == (len(TEXTS), adapter.id.embed_dim)
    model = transformers.VisionTextDualEncoderModel.from_pretrained(folder).eval()
    length = adapter.context_length
    for j, i, wanted in forward.one_by_one(model, folder, TEXTS, pictures, length):
        torch.testing.assert_close(text[j : j + 1], wanted.text_embeds, atol=1e-6, rtol=0)
        torch.testing.assert_close(image[i : i + 1], wanted.image_embeds, atol=1e-6, rtol=0)


def test_towers_as_transformers_4_named_them_are_the_same(written: Folder, tmp_path: Path) -> None:
    new = checkpoints.dual_encoder(
        tmp_path / "new", text="clip_text_model", image="clip_vision_model"
    )
    keys = [set(load_file(folder / "model.safetensors")) for folder in (new, written("old clips"))]
    assert "vision_model.vision_model.post_layernorm.bias" in keys[1] - keys[0]
    opened = [HFClip(str(folder), LoadOptions()) for folder in (new, written("old clips"))]
    vectors = [adapter.encode_texts(TEXTS) for adapter in opened]
    torch.testing.assert_close(*vectors, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["roberta + vit", "clip_text_model + vit", "bert + swin"])
def test_conforms(kind: str, written: Folder) -> None:
    def opened(checkpoint: str = str(written(kind))) -> HFClip:
        return HFClip(checkpoint, LoadOptions())

    checks = check_adapter(opened, reopen=opened)
    assert [check for check in checks if check.passed is False] == []


@pytest.mark.parametrize(
    ("kind", "context"), [("bert + vit", 66), ("roberta + vit", 64), ("old clips", 66)]
)
def test_positions_of_the_text_tower_bound_the_context(
    kind: str, context: int, written: Folder
) -> None:
    assert HFClip(str(written(kind)), LoadOptions()).id.context_length == context


def test_saved_after_training_it_is_the_same(written: Folder, tmp_path: Path) -> None:
    adapter = HFClip(str(written("old clips")), LoadOptions())
    model, prefixes = adapter.text_tower()
    inside = [name for name, _ in model.named_parameters() if name.startswith(prefixes)]
    assert {name.partition(".")[0] for name in inside} == {"text_model", "text_projection"}
    (tmp_path / "saved").mkdir()
    adapter.save(tmp_path / "saved")
    again = HFClip(str(tmp_path / "saved"), LoadOptions())
    torch.testing.assert_close(
        again.encode_texts(TEXTS), adapter.encode_texts(TEXTS), atol=1e-6, rtol=0
    )


def test_without_weights_it_is_drawn_from_a_seed(written: Folder) -> None:
    opened = [HFClip(str(written("bert + vit")), LoadOptions(random_init=s)) for s in (1, 1, 2)]
    first, same, other = (adapter.encode_texts(["a bird"]) for adapter in opened)
    assert torch.equal(first, same)
    assert not torch.allclose(first, other)


def _refused(folder: Path) -> str:
    with pytest.raises(HierevalError) as caught:
        HFClip(str(folder), LoadOptions()).encode_texts(["a"])
    return str(caught.value).replace(str(folder), "F")


def test_neighbours_are_refused(tmp_path: Path) -> None:
    unpooled = checkpoints.dual_encoder(tmp_path / "distilbert", text="distilbert")
    assert _refused(unpooled) == (
        "The text tower 'distilbert' of 'F' must be one whose pooled output is known to be its "
        "vector (albert, bert, camembert, clip_text_model, mpnet, roberta, xlm-roberta)."
    )
    folder = checkpoints.dual_encoder(tmp_path / "half")
    file, config = folder / "model.safetensors", folder / "config.json"
    whole, stated = load_file(file), json.loads(config.read_text())
    half = {key: value for key, value in whole.items() if not key.startswith("vision_model.")}
    save_file(half, file, metadata={"format": "pt"})
    assert _refused(folder).startswith(
        "The weights of 'F' must be exactly those of VisionTextDualEncoderModel; keys: "
    )
    unpooled_bert = {key: value for key, value in whole.items() if ".pooler." not in key}
    save_file(unpooled_bert, file, metadata={"format": "pt"})
    assert _refused(folder) == (
        "The weights of 'F' must be exactly those of VisionTextDualEncoderModel; keys: 4 missing "
        "(text_model.pooler.dense.bias, text_model.pooler.dense.weight, "
        "vision_model.pooler.dense.bias, ...)."
    )
    deeper = {key.replace("text_projection.", "text_projection.0."): whole[key] for key in whole}
    save_file(deeper, file, metadata={"format": "pt"})  # a model of code in its repository
    assert _refused(folder) == (
        "The weights of 'F' must be exactly those of VisionTextDualEncoderModel; keys: 1 missing "
        "(text_projection.weight); 1 unexpected (text_projection.0.weight)."
    )
    config.write_text(json.dumps({**stated, "vision_config": {"model_type": "resnet"}}))
    assert _refused(folder) == (
        "The vision tower 'resnet' of 'F' must be one whose pooled output is known to be its "
        f"vector ({', '.join(IMAGE_TOWERS)})."
    )
    config.write_text(json.dumps({**stated, "text_config": None}))
    assert _refused(folder).startswith("The text tower 'none' of 'F' must be one whose ")


def test_what_a_tower_says_to_the_loader_is_its_own_settings_alone(tmp_path: Path) -> None:
    folder = checkpoints.dual_encoder(tmp_path / "hostile")
    wanted = HFClip(str(folder), LoadOptions()).encode_texts(TEXTS)
    config = folder / "config.json"
    stated = json.loads(config.read_text())
    hostile = {"auto_map": {"AutoModel": "evil.Evil"}, "attn_implementation": "someone/kernel",
               "to_dict": 3, "unknown": {"a": 1}}  # fmt: skip
    for part in ("text_config", "vision_config"):
        stated[part] |= hostile
    config.write_text(json.dumps(stated))
    torch.testing.assert_close(
        HFClip(str(folder), LoadOptions()).encode_texts(TEXTS), wanted, atol=1e-6, rtol=0
    )
