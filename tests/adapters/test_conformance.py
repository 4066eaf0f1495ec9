"""The conformance kit on every family, on small checkpoints in their real formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from support import checkpoints, meru_checkpoint, openclip_checkpoint

from hiereval.models import open_adapter
from hiereval.testing import check_adapter
from hiereval.types import Adapter, LoadOptions


def _text(folder: Path) -> Path:
    checkpoints.bert_tokenizer(folder)
    size = len(transformers.AutoTokenizer.from_pretrained(folder))
    config = transformers.BertConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return folder


def _openclip(folder: Path) -> str:
    return f"local-dir:{openclip_checkpoint.write(folder)}"


FAMILIES: dict[str, tuple[str, Callable[[Path], object], dict[str, str]]] = {
    "clip": ("hf-clip", checkpoints.clip, {}),
    "altclip": ("hf-clip", checkpoints.altclip, {}),
    "align": ("hf-clip", checkpoints.align, {}),
    "siglip": ("siglip", checkpoints.siglip, {}),
    "naflex": ("siglip", checkpoints.naflex, {}),
    "blip": ("blip", checkpoints.blip, {}),
    "openclip": ("openclip", _openclip, {}),
    "meru": ("meru", lambda folder: meru_checkpoint.write(folder.with_suffix(".pth")), {}),
    "text": ("text", _text, {"pooling": "mean"}),
    "words": ("control", lambda folder: "words", {}),
    "constant": ("control", lambda folder: "constant", {}),
}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_conforms(family: str, tmp_path: Path) -> None:
    adapter, write, arguments = FAMILIES[family]
    checkpoint = str(write(tmp_path / family))

    def opened(checkpoint: str = checkpoint) -> Adapter:
        return open_adapter(f"{adapter}:{checkpoint}", LoadOptions(), arguments)

    checks = check_adapter(opened, reopen=opened)
    assert [check for check in checks if check.passed is False] == []
    follows = {c.name: c.detail for c in checks}.get("fingerprint follows preprocessing")
    if adapter in ("hf-clip", "siglip", "blip", "openclip"):
        assert follows is not None
        assert follows.endswith("another fingerprint")
