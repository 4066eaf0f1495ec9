"""ProLIP's two towers, each with a token for the mean and one for the uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from open_clip.transformer import QuickGELU, Transformer
from torch import Tensor, nn

from hiereval.adapters.towers import Part

SCALE = 0.02  # of random tokens, where nothing is loaded over them


class ImageTower(nn.Module):
    """A vision transformer whose first two tokens stand for mean and uncertainty."""

    def __init__(self, dim: int, config: Mapping[str, Any], activation: type[nn.Module]) -> None:
        super().__init__()
        width, patch = config["width"], config["patch_size"]
        positions = (config["image_size"] // patch) ** 2 + 2
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(SCALE * torch.randn(width))
        self.unc_embedding = nn.Parameter(SCALE * torch.randn(width))
        self.positional_embedding = nn.Parameter(SCALE * torch.randn(positions, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        heads = width // config.get("head_width", 64)
        self.transformer = Transformer(
            width, config["layers"], heads, config.get("mlp_ratio", 4.0), act_layer=activation
        )
        self.proj = nn.Parameter(width**-0.5 * torch.randn(width, dim))
        self.uncertainty_proj = nn.Linear(width, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """[n, 3, h, w] -> [n, 2 d]: means, and the logarithms of the variances."""
        patches = self.conv1(pixels).flatten(2).mT  # [n, p, width]
        tokens = torch.stack([self.class_embedding, self.unc_embedding])
        x = torch.cat([tokens.expand(len(patches), -1, -1), patches], 1)
        x = self.ln_post(self.transformer(self.ln_pre(x + self.positional_embedding)))
        mean = self.ln_post(x[:, 0]) @ self.proj  # normalised twice, as it was trained
        return torch.cat([mean, self.uncertainty_proj(x[:, 1])], -1)


class TextTower(nn.Module):
    """A text transformer that sees its padding; its last token stands for the mean.

    The variances are read off the projected mean, not off the token for the uncertainty.
    """

    def __init__(self, dim: int, config: Mapping[str, Any], activation: type[nn.Module]) -> None:
        super().__init__()
        width = config["width"]
        norm = partial(nn.LayerNorm, eps=config.get("norm_kwargs", {}).get("eps", 1e-5))
        self.token_embedding = nn.Embedding(config["vocab_size"], width)
        self.cls_emb = nn.Parameter(SCALE * torch.randn(width))
        self.unc_emb = nn.Parameter(SCALE * torch.randn(width))
        positions = config["context_length"] + 2
        self.positional_embedding = nn.Parameter(SCALE * torch.randn(positions, width))
        self.transformer = Transformer(
            width, config["layers"], config["heads"], config.get("mlp_ratio", 4.0),
            act_layer=activation, norm_layer=norm,
        )  # fmt: skip
        self.ln_final = norm(width)
        self.text_projection = nn.Linear(width, dim)
        self.text_uncertainty_projection = nn.Linear(width, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """[n, context] -> [n, 2 d]: means, and the logarithms of the variances."""
        tokens = torch.stack([self.unc_emb, self.cls_emb]).expand(len(ids), -1, -1)
        x = torch.cat([self.token_embedding(ids), tokens], 1) + self.positional_embedding
        mean = self.text_projection(self.ln_final(self.transformer(x)[:, -1]))
        return torch.cat([mean, self.text_uncertainty_projection(mean)], -1)


def build(config: Mapping[str, Any], part: Part) -> Any:
    """Return both towers, randomly weighted, with the parameters that the files hold.

    What is absent from `part` takes no memory.
    """
    activation = QuickGELU if config.get("quick_gelu") else nn.GELU
    model = nn.Module()
    with part.building("visual."):
        model.visual = ImageTower(config["embed_dim"], config["vision_cfg"], activation)
    with part.building("text."):
        model.text = TextTower(config["embed_dim"], config["text_cfg"], activation)
    model.logit_scale = nn.Parameter(torch.zeros(()))
    if config.get("init_logit_bias"):
        model.logit_bias = nn.Parameter(torch.zeros(()))
    return model
