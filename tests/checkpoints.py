"""Small random checkpoints in the formats that the hub has, written by the libraries themselves.

Every function fills a folder and returns it. Weights come from a seed; the CLIP vocabulary is the
real one (open_clip ships it), the others are trained on a few sentences in place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SENTENCES = [
    "animal",
    "a bird",
    "a blue bird on a branch",
    "a man rides a brown horse along the beach at sunset",
    "two dogs play with a red ball in the snow",
    "plate of food: rice, beans and fried eggs",
    "the quick brown fox jumps over the lazy dog",
    "A Blue Bird. On a branch!",
]


def clip_tokenizer(folder: Path) -> Path:
    """Write the tokenizer of OpenAI's CLIP, as its repositories hold it."""
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    bpe = SimpleTokenizer()
    vocabulary = dict(bpe.encoder)
    rename = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {rename.get(token, token): i for token, i in vocabulary.items()}
    merges = [pair for pair, _ in sorted(bpe.bpe_ranks.items(), key=lambda item: item[1])]
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(folder)
    return folder


def clip(folder: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32, **text: Any) -> Path:
    """Write a CLIP of two layers; `text` overrides the text configuration."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = CLIPConfig(
        text_config={**small, "num_attention_heads": 2, **text},
        vision_config={**small, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    _save(CLIPModel, config, folder, seed, dtype)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(folder)
    return clip_tokenizer(folder)


def _save(cls: Any, config: Any, folder: Path, seed: int, dtype: torch.dtype) -> None:
    """Write seeded weights whose text and image vectors differ between inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = cls(config).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "embedding" not in name:  # livelier than std 0.02
                torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    model.to(dtype).save_pretrained(folder)
