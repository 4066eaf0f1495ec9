"""models.toml: complete, well formed, and true of the libraries that load what it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hiereval import registry
from hiereval.adapters.meru_files import ARCHITECTURES
from hiereval.adapters.mteb_models import MtebModel
from hiereval.commands.doctor import EXTRAS
from hiereval.models import Card, cards
from hiereval.places import Places
from hiereval.types import LoadOptions

EXPECTED = [
    "toy",
    "siglip",
    "siglip2",
    "siglip2-naflex",
    "clip-b32",
    "clip-b16",
    "clip-l14",
    "openclip-b32-laion2b",
    "openclip-l14-laion2b",
    "openclip-h14-laion2b",
    "dfn",
    "metaclip",
    "metaclip2",
    "eva02",
    "align",
    "altclip",
    "blip-base",
    "blip-large",
    "hierarcaps-clip-b",
    "hierarcaps-clip-l",
    "meru",
    "hycoclip",
    "long-clip",
    "clip-italian",
    "bridgetower",
]
CARDS = cards(Places(cache=Path(), data=Path()))
OPENCLIP = [name for name, card in CARDS.items() if card.adapter == "openclip"]
ON_THE_HUB = [name for name in OPENCLIP if CARDS[name].checkpoint.startswith("hf-hub:")]


def test_what_people_run_has_a_name() -> None:
    assert set(EXPECTED) <= set(CARDS)


@pytest.mark.parametrize("name", list(CARDS))
def test_a_row_is_well_formed(name: str) -> None:
    card: Card = CARDS[name]
    assert re.fullmatch(r"[a-z][a-z0-9-]*", name)
    assert card.adapter in registry.names("adapters")
    assert card.revision is None or re.fullmatch(r"[0-9a-f]{40}", card.revision)
    assert card.description.endswith(".")
    assert len(card.description) < 90
    for address in filter(None, (card.paper, card.link)):
        assert address.startswith("https://")
    assert {*card.needs} <= {*EXTRAS, "--trust-remote-code"}
    assert card.paper is None or card.paper.startswith("https://arxiv.org/abs/")
    assert card.adapter not in ("hf-clip", "siglip", "blip") or name == "toy" or (
        card.link == f"https://huggingface.co/{card.checkpoint}"
    )  # fmt: skip


@pytest.mark.parametrize("name", ON_THE_HUB)
def test_an_openclip_repository_is_what_it_links_to(name: str) -> None:
    card = CARDS[name]
    assert card.link == f"https://huggingface.co/{card.checkpoint.removeprefix('hf-hub:')}"


@pytest.mark.parametrize("name", [name for name in CARDS if CARDS[name].adapter == "mteb"])
def test_an_mteb_row_is_mtebs_own(name: str) -> None:
    import mteb

    card = CARDS[name]
    meta = mteb.get_model_meta(card.checkpoint)
    assert (card.revision, card.parameters) == (meta.revision, meta.n_parameters)
    model = MtebModel(card.checkpoint, LoadOptions(trust_remote_code=True))
    assert model.id.trust_remote_code == ("--trust-remote-code" in card.needs)


@pytest.mark.parametrize("name", sorted({*OPENCLIP} - {*ON_THE_HUB}))
def test_an_openclip_row_is_open_clips_own(name: str) -> None:
    card = CARDS[name]
    architecture, _, tag = card.checkpoint.partition("/")
    import open_clip

    config = open_clip.get_model_config(architecture)
    settings = open_clip.get_pretrained_cfg(architecture, tag)
    assert settings, card.checkpoint
    assert settings.get("quick_gelu", False) == config.get("quick_gelu", False)
    assert card.link == f"https://huggingface.co/{settings['hf_hub'].rstrip('/')}"
    assert card.context_length == config["text_cfg"].get("context_length", 77)


def test_counts_are_those_of_the_architectures() -> None:
    """As their published configurations have them, without weights."""
    import torch
    import transformers

    large = {"hidden_size": 1024, "num_hidden_layers": 24}
    text = {"intermediate_size": 4096, "num_attention_heads": 16}
    bridge = transformers.BridgeTowerConfig(
        text_config={**large, **text},
        vision_config={**large, "image_size": 294, "patch_size": 14},
        hidden_size=1024,
        contrastive_hidden_size=512,
        logit_scale_init_value=2.6592,
    )
    long = transformers.CLIPConfig(
        text_config={"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
                     "max_position_embeddings": 248},
        vision_config={**large, **text, "patch_size": 14},
        projection_dim=768,
    )  # fmt: skip
    with torch.device("meta"):
        networks = {
            "bridgetower": transformers.BridgeTowerForContrastiveLearning(bridge),
            "flava": transformers.FlavaModel(transformers.FlavaConfig()),
            "long-clip": transformers.CLIPModel(long),
        }
    counted = {name: sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    assert counted == {name: CARDS[name].parameters for name in networks}


def test_merus_architectures_are_the_published_ones() -> None:
    """The authors' configurations: timm's ViT-S (12 heads), B and L at 16 x 16, text L12 W512."""
    assert {n: (s.width, s.depth) for n, s in ARCHITECTURES.items()} == {
        "vit-s": (384, 12), "vit-b": (768, 12), "vit-l": (1024, 24),
    }  # fmt: skip
    assert {(s.text_width, s.text_depth, s.embed_dim) for s in ARCHITECTURES.values()} == {
        (512, 12, 512)
    }
