"""The architectures of models.txt, built by their libraries from their sizes, without weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hiereval.models import Card

LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
}
SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
}
GIANT = {
    "hidden_size": 1536,
    "intermediate_size": 6144,
    "num_hidden_layers": 40,
    "num_attention_heads": 16,
}
TEXT_768 = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
LONG = {**TEXT_768, "max_position_embeddings": 248}
L14 = {**LARGE, "patch_size": 14}

# Sizes that differ from the library's own: (image tower, text tower).
CLIP = {
    "clip-b16": ({"patch_size": 16}, {}),
    "clip-b32": ({"patch_size": 32}, {}),
    "hierarcaps-clip-b": ({"patch_size": 32}, {}),
    "clip-l14": (L14, TEXT_768),
    "hierarcaps-clip-l": (L14, TEXT_768),
    "long-clip": (L14, LONG),
    "long-clip-gmp": (L14, LONG),
}
SIGLIP: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "b16": ({}, {}),
    "b32": ({"patch_size": 32}, {}),
    "l16": (LARGE, LARGE),
    "so400m": ({**SO400M, "patch_size": 14}, SO400M),
    "so400m-512": ({**SO400M, "patch_size": 16}, SO400M),
    "giant": (GIANT, {**SO400M, "projection_size": 1536}),
}
SIDES = {"siglip-so400m": 384, "siglip2-so400m": 384, "siglip2-giant": 384}
WORDS_OF_SIGLIP2 = {"vocab_size": 256_000}
ENDS_OF_SIGLIP = {"bos_token_id": 2, "eos_token_id": 1}
OPENCLIP = {  # a repository on the hub -> the architecture that it names
    "imageomics/bioclip": "ViT-B-16",
    "imageomics/bioclip-2": "ViT-L-14",
    "imageomics/bioclip-2.5-vith14": "ViT-H-14",
}
MERU = {"s16": "vit-s", "b16": "vit-b", "meru": "vit-l", "hycoclip": "vit-b", "uncha": "vit-b"}


@dataclass(frozen=True)
class Network:
    """A network on the meta device, and how its towers are called."""

    module: torch.nn.Module
    side: int  # of the image, in pixels
    image: Callable[[int], Tensor]  # a batch of so many -> their vectors
    text: Callable[[Tensor], Tensor]  # ids [n, tokens] -> their vectors
    context: int
    pads_to_longest: bool = True  # of a batch; else to the context


def hf_clip(model: str, card: Card) -> Network:
    """Return CLIP, MetaCLIP 2, ALIGN or FLAVA of transformers."""
    import transformers as t

    context = card.context_length or 77
    if model in CLIP:
        vision, text = CLIP[model]
        width = text.get("hidden_size", 512)
        config = t.CLIPConfig(vision_config=vision, text_config=text, projection_dim=width)
        return _of_transformers(t.CLIPModel(config), 224, context)
    if model == "metaclip2":
        vision, text = {"patch_size": 32}, {"vocab_size": 250_000}
        wide = t.MetaClip2Config(vision_config=vision, text_config=text, projection_dim=512)
        return _of_transformers(t.MetaClip2Model(wide), 224, context)
    if model == "align":
        vision, text = {"image_size": 289, "hidden_dim": 640}, {"pad_token_id": None}
        joint = t.AlignConfig(vision_config=vision, text_config=text)
        return _of_transformers(t.AlignModel(joint), 289, context, masked=True)
    return _of_transformers(t.FlavaModel(t.FlavaConfig()), 224, context, masked=True)


def siglip(model: str, card: Card) -> Network:
    """Return SigLIP or SigLIP 2 of transformers: always 64 positions of text."""
    import transformers as t

    words = {**ENDS_OF_SIGLIP, **(WORDS_OF_SIGLIP2 if model.startswith("siglip2") else {})}
    _, _, rest = model.partition("-")
    rest = "b16-256" if rest == "naflex" else rest  # at most 256 patches, of 16 x 16 pixels
    size, _, side = rest.partition("-")
    pixels = int(side or SIDES.get(model, 224))
    vision, text = SIGLIP.get(rest) or SIGLIP[size or "b16"]
    config = t.SiglipConfig(
        vision_config={**vision, "image_size": pixels}, text_config={**words, **text}
    )
    return _of_transformers(t.SiglipModel(config), pixels, 64, pads_to_longest=False)


def blip(model: str, card: Card) -> Network:
    """Return BLIP of transformers: each tower, its first position and a projection."""
    import transformers as t

    vision = LARGE if model == "blip-large" else {}
    text = {"num_attention_heads": 12, "encoder_hidden_size": vision.get("hidden_size", 768)}
    config = t.BlipConfig(vision_config=vision, text_config=text, image_text_hidden_size=256)
    network = t.BlipForImageTextRetrieval(config)

    def image(n: int) -> Tensor:
        seen = network.vision_model(torch.empty(n, 3, 384, 384)).last_hidden_state
        return network.vision_proj(seen[:, 0])

    def words(ids: Tensor) -> Tensor:
        return network.text_proj(network.text_encoder(ids).last_hidden_state[:, 0])

    return Network(network, 384, image, words, 512)


def openclip(model: str, card: Card) -> Network:
    """Return an architecture of open_clip; a causal text tower is computed up to the longest."""
    import open_clip

    from hiereval.adapters.causal_text import is_causal

    checkpoint = card.checkpoint.removeprefix("hf-hub:")
    config = open_clip.get_model_config(OPENCLIP.get(checkpoint) or checkpoint.partition("/")[0])
    own = config.pop("custom_text", False)
    cls = open_clip.CustomTextCLIP if own else open_clip.CLIP
    taken = inspect.signature(cls).parameters
    network = cls(**{key: value for key, value in config.items() if key in taken})
    side = config["vision_cfg"]["image_size"]
    tower = network.text if own else network
    return Network(
        network,
        side,
        lambda n: network.encode_image(torch.empty(n, 3, side, side)),
        lambda ids: _cut(tower, ids, network.encode_text),
        config["text_cfg"]["context_length"],
        is_causal(tower),
    )


def meru(model: str, card: Card) -> Network:
    """Return MERU's towers, which HyCoCLIP and UNCHA share."""
    from hiereval.adapters import meru_files
    from hiereval.adapters.towers import ALL

    name = MERU.get(model) or MERU[model.partition("-")[2]]
    network = meru_files._build(meru_files.ARCHITECTURES[name], ALL)
    return Network(
        network,
        224,
        lambda n: network.visual_proj(network.visual(torch.empty(n, 3, 224, 224))),
        lambda ids: _cut(network.textual, ids, network.textual),
        77,
    )


def _of_transformers(
    network: Any, side: int, context: int, *, pads_to_longest: bool = True, masked: bool = False
) -> Network:
    """Return a network that transformers calls by modality.

    `masked` gives the text tower the mask that it would else look into, which has no numbers.
    """

    def text(ids: Tensor) -> Tensor:
        n = ids.shape[1]
        mask = {"attention_mask": torch.ones(1, 1, n, n)} if masked else {}
        return _pooled(network.get_text_features(input_ids=ids, **mask))

    return Network(
        network,
        side,
        lambda n: _pooled(network.get_image_features(pixel_values=torch.empty(n, 3, side, side))),
        text,
        context,
        pads_to_longest,
    )


def _pooled(found: Any) -> Tensor:
    return found if isinstance(found, Tensor) else found.pooler_output


def _cut(tower: Any, ids: Tensor, call: Callable[[Tensor], Tensor]) -> Tensor:
    """Call open_clip's text tower on fewer positions than its context."""
    n = ids.shape[1]
    tower.positional_embedding = torch.nn.Parameter(tower.positional_embedding[:n])
    if tower.attn_mask is not None:
        tower.attn_mask = tower.attn_mask[:n, :n]
    return call(ids)


FAMILIES: dict[str, Callable[[str, Card], Network]] = {
    "hf-clip": hf_clip,
    "siglip": siglip,
    "blip": blip,
    "openclip": openclip,
    "meru": meru,
}
