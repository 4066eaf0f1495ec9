"""Small checkpoints in the `.pth` layouts of the hyperbolic CLIPs, tensor by tensor."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

WIDTH, TEXT_WIDTH, EMBED, PATCH, SIDE, DEPTH, VOCABULARY = 64, 64, 24, 8, 32, 2, 49408


def state(*, hyperbolic: bool = True) -> dict[str, Tensor]:
    """Return every tensor under its published name; sines, the same on every machine."""
    shapes: dict[str, tuple[int, ...]] = {
        "logit_scale": (),
        "visual.cls_token": (1, 1, WIDTH),
        "visual.pos_embed": (1, (SIDE // PATCH) ** 2 + 1, WIDTH),
        "visual.patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "visual.patch_embed.proj.bias": (WIDTH,),
        "visual.norm.weight": (WIDTH,),
        "visual.norm.bias": (WIDTH,),
        "textual.posit_embed": (77, TEXT_WIDTH),
        "textual.token_embed.weight": (VOCABULARY, TEXT_WIDTH),
        "textual.ln_final.weight": (TEXT_WIDTH,),
        "textual.ln_final.bias": (TEXT_WIDTH,),
        "visual_proj.weight": (EMBED, WIDTH),
        "textual_proj.weight": (EMBED, TEXT_WIDTH),
    }
    for i in range(DEPTH):
        blocks = {
            f"visual.blocks.{i}": (WIDTH, "norm1", "norm2", "attn.qkv.", "attn.proj", "fc1", "fc2"),
            f"textual.resblocks.{i}": (
                TEXT_WIDTH, "ln_1", "ln_2", "attn.in_proj_", "attn.out_proj", "c_fc", "c_proj",
            ),
        }  # fmt: skip
        for name, (d, norm1, norm2, inner, outer, up, down) in blocks.items():
            for norm in (norm1, norm2):
                shapes |= {f"{name}.{norm}.weight": (d,), f"{name}.{norm}.bias": (d,)}
            shapes |= {f"{name}.{inner}weight": (3 * d, d), f"{name}.{inner}bias": (3 * d,)}
            shapes |= {f"{name}.{outer}.weight": (d, d), f"{name}.{outer}.bias": (d,)}
            shapes |= {f"{name}.mlp.{up}.weight": (4 * d, d), f"{name}.mlp.{up}.bias": (4 * d,)}
            shapes |= {f"{name}.mlp.{down}.weight": (d, 4 * d), f"{name}.mlp.{down}.bias": (d,)}
    tensors = {key: _wave(key, shape, i) for i, (key, shape) in enumerate(shapes.items())}
    tensors["textual.attn_mask"] = torch.ones(77, 77).triu(1).bool()
    tensors["pixel_mean"] = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    tensors["pixel_std"] = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    if hyperbolic:
        tensors["curv"] = torch.tensor(math.log(0.1))
        tensors["visual_alpha"] = torch.tensor(-0.7)
        tensors["textual_alpha"] = torch.tensor(-0.9)
    return tensors


def uncha() -> dict[str, Tensor]:
    """Return UNCHA's: MERU's and what its losses alone use."""
    scales = ("global_logit_scale", "global_local_logit_scale", "local_logit_scale")
    return {
        **state(),
        **{name: torch.tensor(2.7) for name in scales},
        "textual.min_radius_head.0.weight": torch.ones(1, TEXT_WIDTH),
        "textual.min_radius_head.0.bias": torch.ones(1),
    }


def phyclip(factors: int = 3) -> dict[str, Tensor]:
    """Return PHyCLIP's: MERU's, whose three scalars it does not use, and three for each factor."""
    tensors = state()
    for i in range(factors):
        tensors[f"curvs.{i}"] = torch.tensor(math.log(0.1 + 0.4 * i))
        tensors[f"visual_concept_alphas.{i}"] = torch.tensor(-0.7 + 0.1 * i)
        tensors[f"textual_concept_alphas.{i}"] = torch.tensor(-0.9 - 0.1 * i)
    return tensors


def _wave(key: str, shape: tuple[int, ...], index: int) -> Tensor:
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    values = torch.sin(steps * (0.9 + 0.37 * index) + index).reshape(shape)
    norm = len(shape) == 1 and key.endswith("weight")
    scale = 0.3 if len(shape) < 2 else math.prod(shape[1:]) ** -0.5
    return (float(norm) + scale * values).float()


def write(file: Path, tensors: dict[str, Tensor] | None = None) -> Path:
    """Write what the authors' checkpoint manager writes."""
    content = {
        "model": state() if tensors is None else tensors,
        "optimizer": {"state": {}, "param_groups": [{"lr": 5e-4}]},
        "iteration": 120000,
    }
    torch.save(content, file)
    return file
