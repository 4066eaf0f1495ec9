"""MERU's encoders from the tensors of a checkpoint, written out in float64 (Desai et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

State = Mapping[str, Tensor]


def attention(x: Tensor, weight: Tensor, bias: Tensor, heads: int, causal: bool) -> Tensor:
    """[t, d] -> [t, d], before the output projection."""
    t, d = x.shape
    q, k, v = linear(x, weight, bias).reshape(t, 3, heads, d // heads).permute(1, 2, 0, 3)
    scores = q @ k.transpose(1, 2) / (d // heads) ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), float("-inf"))
    return (scores.softmax(-1) @ v).permute(1, 0, 2).reshape(t, d)


def norm(x: Tensor, state: State, name: str) -> Tensor:
    return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)


def block(x: Tensor, state: State, name: str, names: Mapping[str, str], heads: int) -> Tensor:
    """A pre-norm transformer block; `names` says what its tensors are called."""
    separator = names["separator"]
    y = norm(x, state, f"{name}.{names['norm1']}")
    weight = state[f"{name}.attn.{names['in']}{separator}weight"]
    bias = state[f"{name}.attn.{names['in']}{separator}bias"]
    y = attention(y, weight, bias, heads, names["norm1"] == "ln_1")
    x = x + linear(y, *(state[f"{name}.attn.{names['out']}.{part}"] for part in ("weight", "bias")))
    y = norm(x, state, f"{name}.{names['norm2']}")
    y = gelu(linear(y, *(state[f"{name}.mlp.{names['up']}.{p}"] for p in ("weight", "bias"))))
    return x + linear(y, *(state[f"{name}.mlp.{names['down']}.{p}"] for p in ("weight", "bias")))


VISUAL = {
    "norm1": "norm1",
    "norm2": "norm2",
    "in": "qkv",
    "separator": ".",
    "out": "proj",
    "up": "fc1",
    "down": "fc2",
}
TEXTUAL = {
    "norm1": "ln_1",
    "norm2": "ln_2",
    "in": "in_proj",
    "separator": "_",
    "out": "out_proj",
    "up": "c_fc",
    "down": "c_proj",
}


def lift(v: Tensor, state: State, side: str) -> Tensor:
    """Return the point of the hyperboloid; for a checkpoint without curvature, the feature; of a
    product (PHyCLIP) the factors' points, one behind the other."""
    if "curvs.0" in state:
        k = sum(key.startswith("curvs.") for key in state)
        parts = v.reshape(k, -1)
        return torch.cat([
            lift(part, {
                "curv": state[f"curvs.{i}"], f"{side}_alpha": state[f"{side}_concept_alphas.{i}"]
            }, side)
            for i, part in enumerate(parts)
        ])  # fmt: skip
    if "curv" not in state:
        return v
    root = (0.5 * state["curv"]).exp()
    v = v * state[f"{side}_alpha"].exp()
    return (root * v.norm()).sinh() * v / (root * v.norm())


def encode_text(ids: list[int], checkpoint: State, heads: int) -> Tensor:
    """[d] of token ids that end with the end token."""
    state = {key: value.double() for key, value in checkpoint.items()}
    x = state["textual.token_embed.weight"][ids] + state["textual.posit_embed"][: len(ids)]
    for i in range(sum(key.endswith("ln_1.weight") for key in state)):
        x = block(x, state, f"textual.resblocks.{i}", TEXTUAL, heads)
    x = norm(x, state, "textual.ln_final")[-1]
    return lift(state["textual_proj.weight"] @ x, state, "textual")


def encode_image(pixels: Tensor, checkpoint: State, heads: int) -> Tensor:
    """[d] of pixels [3, h, w] in [0, 1]."""
    state = {key: value.double() for key, value in checkpoint.items()}
    image = (pixels.double() - state["pixel_mean"]) / state["pixel_std"]
    kernel = state["visual.patch_embed.proj.weight"]
    patches = torch.nn.functional.conv2d(
        image[None], kernel, state["visual.patch_embed.proj.bias"], stride=kernel.shape[-1]
    )[0]
    x = torch.cat([state["visual.cls_token"][0], patches.flatten(1).T])
    x = x + state["visual.pos_embed"][0]
    for i in range(sum(key.startswith("visual.") and "norm1.weight" in key for key in state)):
        x = block(x, state, f"visual.blocks.{i}", VISUAL, heads)
    x = norm(x, state, "visual.norm")[0]
    return lift(state["visual_proj.weight"] @ x, state, "visual")
