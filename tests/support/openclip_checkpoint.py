"""Small OpenCLIP checkpoints as `open_clip.push_to_hf_hub` writes them, of known weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
CLIP: dict[str, Any] = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
# SigLIP's text side: its own tokenizer, no causal mask, pooled at the last position
SIGLIP: dict[str, Any] = {
    "embed_dim": 24,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": VISION,
    "text_cfg": {
        **TEXT,
        "context_length": 16,
        "vocab_size": 80,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "no_causal_mask": True,
        "pool_type": "last",
    },
}
PREPROCESS = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.25, 0.3],
    "interpolation": "bicubic",
    "resize_mode": "squash",
}


def waves(model: torch.nn.Module) -> torch.nn.Module:
    """Fill a model with sines of different wavelengths: the same weights on every machine."""
    with torch.no_grad():
        for index, (name, parameter) in enumerate(model.named_parameters()):
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            values = torch.sin(steps * (0.9 + 0.37 * index) + index).reshape(parameter.shape)
            scale = 0.3 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5
            norm = parameter.ndim == 1 and name.endswith("weight")  # a LayerNorm's
            parameter.copy_(float(norm) + scale * values)
    return model.eval()


def model(config: dict[str, Any]) -> torch.nn.Module:
    """Return the network of a configuration, built by open_clip, with known weights."""
    import copy

    import open_clip

    settings = copy.deepcopy(config)
    custom = settings.pop("custom_text", False)
    return waves((open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**settings))


def write(folder: Path, config: dict[str, Any] | None = None, *, safe: bool = True) -> Path:
    """Write the files of a hub repository with the library's own functions."""
    from open_clip.push_to_hf_hub import save_for_hf
    from transformers import AutoTokenizer

    from support import checkpoints

    config = config or CLIP
    if "hf_tokenizer_name" in config["text_cfg"]:
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoints.siglip_tokenizer(folder / "made"), local_files_only=True
        )
    else:
        tokenizer = AutoTokenizer.from_pretrained(checkpoints.clip_tokenizer(folder / "made"))
    network = model(config)
    network.visual.image_mean, network.visual.image_std = PREPROCESS["mean"], PREPROCESS["std"]
    network.visual.preprocess_cfg = PREPROCESS
    save_for_hf(network, tokenizer, config, str(folder), safe_serialization=safe)
    for file in (folder / "made").iterdir():
        file.unlink()
    (folder / "made").rmdir()
    return folder
