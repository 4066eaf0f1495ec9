"""Small checkpoints in the layout that ProLIPHF pushes to the hub, tensor by tensor."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from support import checkpoints

WIDTH, DIM, SIDE, PATCH, CONTEXT, VOCABULARY, DEPTH = 64, 32, 32, 8, 16, 100, 2


def config() -> dict[str, Any]:
    """Return the words of the published ones."""
    return {
        "embed_dim": DIM,
        "init_logit_bias": -10,
        "vision_cfg": {
            "image_size": SIDE, "layers": DEPTH, "width": WIDTH, "patch_size": PATCH,
            "head_width": 32, "embed_unc": True, "init_unc_bias": -10,
        },
        "text_cfg": {
            "context_length": CONTEXT, "vocab_size": VOCABULARY, "width": DIM, "heads": 2,
            "layers": DEPTH, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
            "tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True,
            "proj_bias": True, "pool_type": "last", "embed_cls": True, "embed_unc": True,
            "norm_kwargs": {"eps": 1e-6}, "init_unc_bias": -10,
        },
    }  # fmt: skip


def state() -> dict[str, Tensor]:
    """Return every tensor under its published name; sines, the same on every machine."""
    shapes: dict[str, tuple[int, ...]] = {
        "logit_scale": (),
        "logit_bias": (),
        "visual.conv1.weight": (WIDTH, 3, PATCH, PATCH),
        "visual.class_embedding": (WIDTH,),
        "visual.unc_embedding": (WIDTH,),
        "visual.positional_embedding": ((SIDE // PATCH) ** 2 + 2, WIDTH),
        "visual.proj": (WIDTH, DIM),
        "visual.uncertainty_proj.weight": (DIM, WIDTH),
        "visual.uncertainty_proj.bias": (DIM,),
        "text.token_embedding.weight": (VOCABULARY, DIM),
        "text.cls_emb": (DIM,),
        "text.unc_emb": (DIM,),
        "text.positional_embedding": (CONTEXT + 2, DIM),
    }
    for name in ("text_projection", "text_uncertainty_projection"):
        shapes |= {f"text.{name}.weight": (DIM, DIM), f"text.{name}.bias": (DIM,)}
    norms = [("visual.ln_pre", WIDTH), ("visual.ln_post", WIDTH), ("text.ln_final", DIM)]
    for tower, d in (("visual", WIDTH), ("text", DIM)):
        for i in range(DEPTH):
            name = f"{tower}.transformer.resblocks.{i}"
            norms += [(f"{name}.ln_1", d), (f"{name}.ln_2", d)]
            shapes |= {
                f"{name}.attn.in_proj_weight": (3 * d, d),
                f"{name}.attn.in_proj_bias": (3 * d,),
            }
            for part, a, b in (
                ("attn.out_proj", d, d),
                ("mlp.c_fc", 4 * d, d),
                ("mlp.c_proj", d, 4 * d),
            ):
                shapes |= {f"{name}.{part}.weight": (a, b), f"{name}.{part}.bias": (a,)}
    for name, d in norms:
        shapes |= {f"{name}.weight": (d,), f"{name}.bias": (d,)}
    return {key: _wave(key, shape, i) for i, (key, shape) in enumerate(shapes.items())}


def _wave(key: str, shape: tuple[int, ...], index: int) -> Tensor:
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    values = torch.sin(steps * (0.9 + 0.37 * index) + index).reshape(shape)
    norm = ".ln_" in key and key.endswith("weight")
    scale = 0.3 if len(shape) < 2 else math.prod(shape[1:]) ** -0.5
    return (float(norm) + scale * values).float()


def write(
    folder: Path, tensors: dict[str, Tensor] | None = None, settings: dict[str, Any] | None = None
) -> Path:
    """Write the files of a repository, the tokenizer's beside them."""
    made = checkpoints.siglip_tokenizer(folder / "made")
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(made, local_files_only=True).save_pretrained(folder)
    for file in made.iterdir():
        file.unlink()
    made.rmdir()
    save_file(tensors or state(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(settings or config(), indent=2), "utf-8")
    return folder
