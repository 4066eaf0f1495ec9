"""BridgeTower: the vectors of its contrastive loss, each modality alone; neighbours refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from support import checkpoints

from hiereval.adapters.bridgetower import BridgeTower
from hiereval.errors import HierevalError
from hiereval.geometry import normalise
from hiereval.testing import check_adapter
from hiereval.types import LoadOptions

TEXTS = ["", "a bird", "A Blue Bird on a branch."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.bridgetower(tmp_path_factory.mktemp("bridgetower") / "itc")


def _both(model: Any, folder: Path, texts: list[str], pixels: torch.Tensor) -> Any:
    """Return the output of `forward()`, which takes texts and pictures together."""
    tokenizer = transformers.RobertaTokenizer.from_pretrained(folder)
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    inputs = {key: encoded[key] for key in ("input_ids", "attention_mask")}
    with torch.no_grad():
        return model(**inputs, pixel_values=pixels)


def test_equals_the_librarys_forward(folder: Path, pictures: list[Image.Image]) -> None:
    adapter = BridgeTower(str(folder), LoadOptions())
    inputs = [adapter.preprocess(picture) for picture in pictures]
    processor = transformers.BridgeTowerImageProcessorPil(
        size=36, crop_size={"shortest_edge": 36}, size_divisor=8
    )
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    assert pixels.shape == (3, 3, 36, 36)  # resized to 32, padded to 36
    assert torch.equal(torch.stack([x["pixel_values"] for x in inputs]), pixels)
    model = transformers.BridgeTowerForContrastiveLearning.from_pretrained(folder).eval()
    wanted = _both(model, folder, TEXTS, pixels)
    text, image = adapter.encode_texts(TEXTS), adapter.encode_images(inputs)
    assert text.shape == image.shape == (3, adapter.id.embed_dim) == (3, 24)
    torch.testing.assert_close(normalise(text), wanted.text_embeds, atol=1e-6, rtol=0)
    torch.testing.assert_close(normalise(image), wanted.image_embeds, atol=1e-6, rtol=0)


def test_only_the_cross_modal_vector_sees_both(folder: Path) -> None:
    """Why there is a joint space: other pictures leave the text's vector as it is, and reverse."""
    model = transformers.BridgeTowerForContrastiveLearning.from_pretrained(folder).eval()
    one, other = torch.randn(2, 3, 3, 36, 36, generator=torch.Generator().manual_seed(0))
    first = _both(model, folder, TEXTS, one)
    pictures, texts = _both(model, folder, TEXTS, other), _both(model, folder, TEXTS[::-1], one)
    assert torch.equal(first.text_embeds, pictures.text_embeds)
    assert torch.equal(first.image_embeds, texts.image_embeds)
    for changed in (pictures, texts):
        assert float((first.cross_embeds - changed.cross_embeds).abs().max()) > 0.01


def test_conforms(folder: Path) -> None:
    def opened(checkpoint: str = str(folder)) -> BridgeTower:
        return BridgeTower(checkpoint, LoadOptions())

    checks = check_adapter(opened, reopen=opened)
    assert [check for check in checks if check.passed is False] == []


def test_a_strip_that_the_library_cannot_resize_is_cut_to_its_middle(folder: Path) -> None:
    """59 = 1333 / 800 x 36 is the longest side, 8 the shortest: below 7 to 1."""
    adapter = BridgeTower(str(folder), LoadOptions())
    strip = Image.linear_gradient("L").resize((4000, 10))
    pixels = adapter.preprocess(strip)["pixel_values"]
    assert torch.equal(pixels, adapter.preprocess(strip.crop((1970, 0, 2030, 10)))["pixel_values"])


def test_saved_after_training_it_is_the_same(folder: Path, tmp_path: Path) -> None:
    adapter = BridgeTower(str(folder), LoadOptions())
    model, prefixes = adapter.text_tower()
    inside = {name for name, _ in model.named_parameters() if name.startswith(prefixes)}
    outside = {name for name, _ in model.named_parameters()} - inside
    assert any("text_model.encoder.layer.2" in name for name in inside)
    assert all("text_model" not in name and "itc_text" not in name for name in outside)
    (tmp_path / "saved").mkdir()
    adapter.save(tmp_path / "saved")
    again = BridgeTower(str(tmp_path / "saved"), LoadOptions())
    torch.testing.assert_close(
        again.encode_texts(TEXTS), adapter.encode_texts(TEXTS), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(("head", "missing"), [("ImageAndTextRetrieval", 7), ("MaskedLM", 7)])
def test_checkpoints_without_contrastive_heads_are_refused(
    head: str, missing: int, tmp_path: Path
) -> None:
    folder = checkpoints.bridgetower(tmp_path / head, head=head)
    with pytest.raises(HierevalError) as caught:
        BridgeTower(str(folder), LoadOptions()).encode_texts(["a"])
    assert str(caught.value) == (
        f"The weights of '{folder}' must be exactly those of BridgeTowerForContrastiveLearning; "
        f"keys: {missing} missing (itc_cross_modal_head.fc.bias, itc_cross_modal_head.fc.weight, "
        "itc_image_head.fc.bias, ...)."
    )


def test_a_projection_for_each_layer_is_refused(folder: Path, tmp_path: Path) -> None:
    unshared = Path(shutil.copytree(folder, tmp_path / "unshared"))
    config = unshared / "config.json"
    stated = json.loads(config.read_text())
    config.write_text(json.dumps({**stated, "share_cross_modal_transformer_layers": False}))
    with pytest.raises(HierevalError) as caught:
        BridgeTower(str(unshared), LoadOptions())
    assert str(caught.value) == (
        f"The BridgeTower '{unshared}' must share its cross-modal projection over the layers "
        "(share_cross_modal_transformer_layers): else it has no one image vector."
    )
