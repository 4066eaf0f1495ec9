"""BLIP-2, FLAVA, converted Long-CLIPs: the library's own forward; neighbours refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from support import checkpoints
from torch.nn.functional import normalize

from hiereval.errors import HierevalError
from hiereval.models import open_adapter
from hiereval.testing import check_adapter
from hiereval.types import Adapter, LoadOptions

TEXTS = ["", "a bird", "A Blue Bird on a branch.", "two dogs, a ball"]
WRITERS = {
    "blip2": checkpoints.blip2,
    "blip2-captions": partial(checkpoints.blip2, captioning=True),
    "hf-clip": checkpoints.flava,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    base = tmp_path_factory.mktemp("blip2-flava")

    def folder(kind: str) -> Path:
        path = base / kind
        return path if path.is_dir() else WRITERS[kind](path)

    return folder


def _encoded(adapter: Adapter, pictures: list[Image.Image]) -> tuple[torch.Tensor, torch.Tensor]:
    images = adapter.encode_images([adapter.preprocess(p) for p in pictures])
    return normalize(adapter.encode_texts(TEXTS), dim=1), images


def _inputs(folder: Path, pictures: list[Image.Image], **image: Any) -> dict[str, torch.Tensor]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    texts = tokenizer(TEXTS[: len(pictures)], padding=True, return_tensors="pt")
    keys = ("input_ids", "attention_mask")
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    return {**{key: texts[key] for key in keys}, "pixel_values": pixels}


def test_blip2(written: Callable[[str], Path], pictures: list[Image.Image]) -> None:
    folder = written("blip2")
    model = transformers.Blip2ForImageTextRetrieval.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = model(**_inputs(folder, pictures), use_image_text_matching_head=False)
    opened = [open_adapter(f"blip2:{folder}", LoadOptions(), {"queries": q}) for q in ("mean", "2")]
    text, image = _encoded(opened[0], pictures)
    assert float((text[:3] - wanted.text_embeds).abs().max()) < 1e-6
    assert float((image - wanted.image_embeds.mean(dim=1)).abs().max()) < 1e-6
    third = normalize(_encoded(opened[1], pictures)[1], dim=1)
    assert float((third - wanted.image_embeds[:, 2]).abs().max()) < 1e-6
    assert opened[0].id.fingerprint() != opened[1].id.fingerprint()


def test_flava(written: Callable[[str], Path], pictures: list[Image.Image]) -> None:
    folder = written("hf-clip")
    model = transformers.FlavaForPreTraining.from_pretrained(folder).eval()
    inputs = _inputs(folder, pictures)
    with torch.no_grad():
        wanted = model.flava(**inputs)
        heads = model.flava.text_projection, model.flava.image_projection
        text_wanted = normalize(heads[0](wanted.text_embeddings[:, 0]), dim=1)
        image_wanted = normalize(heads[1](wanted.image_embeddings[:, 0]), dim=1)
    text, image = _encoded(open_adapter(f"hf-clip:{folder}", LoadOptions(), {}), pictures)
    assert float((text[:3] - text_wanted).abs().max()) < 1e-6
    assert float((normalize(image, dim=1) - image_wanted).abs().max()) < 1e-6


@pytest.mark.parametrize("kind", ["blip2", "hf-clip"])
def test_conforms(kind: str, written: Callable[[str], Path]) -> None:
    folder = written(kind)

    def opened(checkpoint: str = str(folder)) -> Adapter:
        return open_adapter(f"{kind}:{checkpoint}", LoadOptions(), {})

    checks = check_adapter(opened, reopen=opened)
    assert [check for check in checks if check.passed is False] == []


def test_refused(written: Callable[[str], Path]) -> None:
    captions = written("blip2-captions")
    with pytest.raises(HierevalError) as caught:
        open_adapter(f"blip2:{captions}", LoadOptions(), {}).encode_texts(["a"])
    assert "must be exactly those of Blip2ForImageTextRetrieval; keys: " in str(caught.value)
    with pytest.raises(HierevalError) as caught:
        open_adapter(f"blip2:{written('blip2')}", LoadOptions(), {"queries": "4"})
    assert str(caught.value) == "The queries '4' must be mean or the number of one, 0 to 3."
    with pytest.raises(HierevalError) as caught:
        open_adapter(f"blip:{written('blip2')}", LoadOptions(), {})
    assert str(caught.value).endswith(f"'blip2:{written('blip2')}'.")


@pytest.mark.parametrize(("limit", "context"), [(248, 248), (77, 77)])
def test_a_converted_long_clip(limit: int, context: int, tmp_path: Path) -> None:
    folder = checkpoints.clip(tmp_path / "long", max_position_embeddings=248)
    transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=limit).save_pretrained(
        folder
    )
    adapter = open_adapter(f"hf-clip:{folder}", LoadOptions(), {})
    assert adapter.id.context_length == context
    long = " ".join(["bird"] * 100)
    ids = transformers.CLIPTokenizer.from_pretrained(folder)(
        long, truncation=True, max_length=context, return_tensors="pt"
    )
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = model.get_text_features(**ids).pooler_output
    assert float((adapter.encode_texts([long]) - wanted).abs().max()) < 1e-6
