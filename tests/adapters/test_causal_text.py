"""Texts cut to the longest of a batch: fewer positions, the same vectors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import openclip_checkpoint
from support.openclip_checkpoint import CLIP, SIGLIP

from hiereval.adapters.causal_text import encode, is_causal

TEXTS = ["", "bird", "a blue bird on a branch", "bird " * 99]
CUSTOM = {**CLIP, "custom_text": True}  # a text tower that is a module of its own
EOS = {**CUSTOM, "text_cfg": {**CLIP["text_cfg"], "pool_type": "eos"}}  # at an id of its own
COCA = {**CUSTOM, "text_cfg": {**CLIP["text_cfg"], "embed_cls": True}}  # pooled at an added token


@pytest.fixture
def tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def tower(model: Any) -> Any:
    return getattr(model, "text", model)


@pytest.mark.parametrize("config", [CLIP, CUSTOM], ids=["clip", "custom"])
@pytest.mark.parametrize(("texts", "positions"), [(TEXTS[:1], 2), (TEXTS[:3], 8), (TEXTS, 77)])
def test_the_vectors_are_those_of_the_whole_context(
    config: dict[str, Any], texts: list[str], positions: int, tokenizer: Any
) -> None:
    model = openclip_checkpoint.model(config)
    seen = []
    tower(model).transformer.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
    whole = model.encode_text(tokenizer(texts))
    cut = encode(model, "encode_text", tokenizer, texts, "cpu")
    assert seen == [77, positions]
    torch.testing.assert_close(cut, whole, atol=1e-6, rtol=0)


def test_gradients_reach_the_weights_themselves(tokenizer: Any) -> None:
    model = openclip_checkpoint.model(CLIP)
    encode(model, "encode_text", tokenizer, TEXTS[:3], "cpu").sum().backward()
    cut = model.positional_embedding.grad.clone()
    model.zero_grad()
    model.encode_text(tokenizer(TEXTS[:3])).sum().backward()
    torch.testing.assert_close(cut, model.positional_embedding.grad, atol=1e-5, rtol=1e-5)
    assert cut[:8].abs().min() > 0
    assert cut[8:].abs().max() == 0


@pytest.mark.parametrize(
    ("config", "causal"),
    [(CLIP, True), (CUSTOM, True), (SIGLIP, False), (EOS, False), (COCA, False)],
)
def test_only_vectors_at_the_end_token_of_a_causal_tower_are_cut(
    config: dict[str, Any], causal: bool
) -> None:
    assert is_causal(tower(openclip_checkpoint.model(config))) is causal
