"""ProLIP's towers from the tensors of a checkpoint, written out in float64 (Chun et al., 2025)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import conv2d, gelu, layer_norm, linear

State = Mapping[str, Tensor]


def norm(x: Tensor, state: State, name: str, eps: float) -> Tensor:
    return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def dense(x: Tensor, state: State, name: str) -> Tensor:
    return linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def transformer(x: Tensor, state: State, tower: str, heads: int, eps: float) -> Tensor:
    """[t, d] -> [t, d]: pre-norm blocks in which every token sees every other."""
    t, d = x.shape
    for i in range(sum(k.startswith(f"{tower}.") and k.endswith("ln_1.weight") for k in state)):
        name = f"{tower}.transformer.resblocks.{i}"
        y = norm(x, state, f"{name}.ln_1", eps)
        joint = linear(y, state[f"{name}.attn.in_proj_weight"], state[f"{name}.attn.in_proj_bias"])
        q, k, v = joint.reshape(t, 3, heads, d // heads).permute(1, 2, 0, 3)
        seen = (q @ k.transpose(1, 2) / (d // heads) ** 0.5).softmax(-1) @ v
        x = x + dense(seen.permute(1, 0, 2).reshape(t, d), state, f"{name}.attn.out_proj")
        y = gelu(dense(norm(x, state, f"{name}.ln_2", eps), state, f"{name}.mlp.c_fc"))
        x = x + dense(y, state, f"{name}.mlp.c_proj")
    return x


def encode_text(ids: list[int], checkpoint: State, heads: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return mean and log variance [d] of token ids, padding included."""
    state = {key: value.double() for key, value in checkpoint.items()}
    tokens = [state["text.token_embedding.weight"][i] for i in ids]
    x = torch.stack([*tokens, state["text.unc_emb"], state["text.cls_emb"]])
    x = transformer(x + state["text.positional_embedding"], state, "text", heads, eps)
    mean = dense(norm(x[-1], state, "text.ln_final", eps), state, "text.text_projection")
    return mean, dense(mean, state, "text.text_uncertainty_projection")


def encode_image(pixels: Tensor, checkpoint: State, heads: int) -> tuple[Tensor, Tensor]:
    """Return mean and log variance [d] of normalised pixels [3, h, w]."""
    state = {key: value.double() for key, value in checkpoint.items()}
    kernel, eps = state["visual.conv1.weight"], 1e-5
    patches = conv2d(pixels.double()[None], kernel, stride=kernel.shape[-1])[0].flatten(1).T
    x = torch.cat(
        [state["visual.class_embedding"][None], state["visual.unc_embedding"][None], patches]
    )
    x = norm(x + state["visual.positional_embedding"], state, "visual.ln_pre", eps)
    x = norm(transformer(x, state, "visual", heads, eps), state, "visual.ln_post", eps)
    mean = norm(x[0], state, "visual.ln_post", eps) @ state["visual.proj"]
    return mean, dense(x[1], state, "visual.uncertainty_proj")
