"""What a row's card says of a model is taken from its names, word by word."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hiereval.leaderboard import cards
from hiereval.records import Record


@pytest.mark.parametrize(
    ("name", "checkpoint", "adapter", "family"),
    [
        ("toy", "/home/ann/hiereval/toy/checkpoint", "hf-clip", "toy"),
        ("ours", "google/siglip2-base-patch16-224", "siglip", "siglip2"),
        ("ViT-B-16-SigLIP", "ViT-B-16-SigLIP/webli", "openclip", "siglip"),
        ("EVA02-L-14", "EVA02-L-14/merged2b_s4b_b131k", "openclip", "eva"),
        ("BiomedCLIP", "hf-hub:microsoft/BiomedCLIP", "openclip", "clip"),
        ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "text", "minilm"),
        ("ViT-B-32", "ViT-B-32/laion2b_s34b_b79k", "openclip", "clip"),
        ("mine", "ann/mine", "text", "other"),
        ("words", "words", "control", "control"),
    ],
)
def test_the_family_is_a_word_of_a_name(
    record: Callable[..., Record], name: str, checkpoint: str, adapter: str, family: str
) -> None:
    model = record(name, model__checkpoint=checkpoint, model__adapter=adapter).model
    assert cards.of(model).family == family
