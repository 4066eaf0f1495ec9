"""Full-size architectures in folders: configuration, tokenizer, image processor.

Tokenizers other than CLIP's are made from the captions, so their token counts are near the real
ones, not equal to them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

Write = Callable[[Path, Sequence[str]], str | None]


@dataclass(frozen=True)
class Architecture:
    """One row: what it is, its adapter, its folder's writer."""

    title: str
    adapter: str
    write: Write
    arguments: dict[str, str] = field(default_factory=dict)
    weights: bool = False  # the folder holds some: for adapters that take none at random


def _clip(folder: Path, captions: Sequence[str], text: dict[str, Any], **vision: Any) -> None:
    from support.checkpoints import clip_processor, clip_tokenizer
    from transformers import CLIPConfig

    width = text.get("hidden_size", 512)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=width)
    config.save_pretrained(folder)
    clip_processor(folder, side=224)
    clip_tokenizer(folder)


def clip_b32(folder: Path, captions: Sequence[str]) -> None:
    _clip(folder, captions, {})


def clip_l14(folder: Path, captions: Sequence[str]) -> None:
    text = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}
    _clip(folder, captions, text, **large, num_hidden_layers=24, patch_size=14)


def _siglip(folder: Path, side: int, text: dict[str, Any], vision: dict[str, Any]) -> None:
    from transformers import SiglipConfig, SiglipImageProcessor

    ends = {"bos_token_id": 2, "eos_token_id": 1}
    config = SiglipConfig(text_config={**ends, **text}, vision_config=vision)
    config.save_pretrained(folder)
    SiglipImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)


def siglip_base(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import siglip_tokenizer

    siglip_tokenizer(folder, captions, size=4000)
    _siglip(folder, 224, {}, {})


def siglip_so400m(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import siglip_tokenizer

    siglip_tokenizer(folder, captions, size=4000)
    shape = {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
    }
    _siglip(folder, 384, shape, {**shape, "patch_size": 14, "image_size": 384})


def siglip2_base(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import gemma_tokenizer

    gemma_tokenizer(folder, captions, size=4000)
    _siglip(folder, 224, {"vocab_size": 256_000}, {})


def siglip2_naflex(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import gemma_tokenizer
    from transformers import Siglip2Config, Siglip2ImageProcessor

    gemma_tokenizer(folder, captions, size=4000)
    ends = {"bos_token_id": 2, "eos_token_id": 1}
    Siglip2Config(text_config={"vocab_size": 256_000, **ends}).save_pretrained(folder)
    Siglip2ImageProcessor().save_pretrained(folder)


def blip_base(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import bert_tokenizer
    from transformers import BlipConfig, BlipImageProcessor

    bert_tokenizer(folder, captions)
    BlipConfig(
        text_config={"num_attention_heads": 12},
        vision_config={"initializer_range": 0.02},
        image_text_hidden_size=256,
    ).save_pretrained(folder)
    BlipImageProcessor().save_pretrained(folder)


def align(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import bert_tokenizer
    from transformers import AlignConfig, EfficientNetImageProcessor

    bert_tokenizer(folder, captions)
    AlignConfig(vision_config={"image_size": 289, "hidden_dim": 640}).save_pretrained(folder)
    EfficientNetImageProcessor(
        do_center_crop=True, rescale_offset=True, include_top=False, resample=2
    ).save_pretrained(folder)


def _named(checkpoint: str) -> Callable[[Path, Sequence[str]], str]:
    """Return a writer of nothing, for adapters that know their architectures by name."""
    return lambda folder, captions: checkpoint


def flava(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import bert_tokenizer
    from transformers import FlavaConfig, FlavaImageProcessor

    bert_tokenizer(folder, captions)
    FlavaConfig().save_pretrained(folder)
    FlavaImageProcessor().save_pretrained(folder)


def dual_encoder(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import bert_tokenizer
    from transformers import BertConfig, VisionTextDualEncoderConfig, ViTConfig, ViTImageProcessor

    bert_tokenizer(folder, captions)
    towers = ViTConfig(), BertConfig()
    VisionTextDualEncoderConfig.from_vision_text_configs(*towers).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)


def bridgetower(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import roberta_tokenizer
    from transformers import BridgeTowerConfig, BridgeTowerImageProcessor

    roberta_tokenizer(folder, captions)
    wide = {"hidden_size": 1024, "num_hidden_layers": 24}
    BridgeTowerConfig(
        text_config={**wide, "intermediate_size": 4096, "num_attention_heads": 16},
        vision_config={**wide, "image_size": 294, "patch_size": 14},
        hidden_size=1024,
        num_attention_heads=16,
    ).save_pretrained(folder)
    side = {"shortest_edge": 294}
    BridgeTowerImageProcessor(size=side, crop_size=side).save_pretrained(folder)


def blip2(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import bert_tokenizer
    from transformers import Blip2Config, BlipImageProcessor

    bert_tokenizer(folder, captions)
    Blip2Config(
        qformer_config={"use_qformer_text_input": True, "vocab_size": 30523},
        image_text_hidden_size=256,
    ).save_pretrained(folder)
    BlipImageProcessor(size={"height": 224, "width": 224}).save_pretrained(folder)


def prolip(folder: Path, captions: Sequence[str]) -> None:
    import json

    from support.checkpoints import siglip_tokenizer

    siglip_tokenizer(folder, captions, size=4000)
    tower = {"width": 768, "layers": 12, "embed_unc": True, "init_unc_bias": -10}
    text = {"context_length": 64, "vocab_size": 32_000, "heads": 12, "embed_cls": True}
    config = {
        "embed_dim": 768,
        "vision_cfg": {**tower, "image_size": 224, "patch_size": 16},
        "text_cfg": {**tower, **text, "no_causal_mask": True, "proj_bias": True},
    }
    (folder / "config.json").write_text(json.dumps(config))


def clip_text(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import clip_tokenizer
    from transformers import CLIPTextConfig

    CLIPTextConfig().save_pretrained(folder)
    clip_tokenizer(folder)


def clip_weights(folder: Path, captions: Sequence[str]) -> None:
    from transformers import AutoConfig, CLIPModel

    clip_b32(folder, captions)
    CLIPModel(AutoConfig.from_pretrained(folder)).save_pretrained(folder)


def clip_of_mteb(folder: Path, captions: Sequence[str]) -> str:
    clip_weights(folder, captions)
    return register_with_mteb(folder)


def register_with_mteb(folder: Path) -> str:
    """Return a CLIP's name with MTEB, under MTEB's own wrapper."""
    import mteb
    from mteb.models.model_implementations import MODEL_REGISTRY
    from mteb.models.model_implementations.clip_models import CLIPModel

    known = mteb.get_model_meta("openai/clip-vit-base-patch32")

    def load(name: str, revision: str, **arguments: Any) -> Any:
        return CLIPModel(str(folder), revision=None, **arguments)  # type: ignore[arg-type]

    given = {"name": "local/clip", "revision": "0" * 40, "loader": load}
    MODEL_REGISTRY["local/clip"] = known.model_copy(update=given)
    return "local/clip"


def _text(kind: str, **settings: Any) -> Write:
    """Return the writer of a text encoder's folder; sizes that are not given are the class's."""

    def write(folder: Path, captions: Sequence[str]) -> None:
        import transformers
        from support.checkpoints import bert_tokenizer

        bert_tokenizer(folder, captions)
        getattr(transformers, f"{kind}Config")(**settings).save_pretrained(folder)

    return write


MEAN, LAST = {"pooling": "mean"}, {"pooling": "last"}
DEBERTA = {
    "vocab_size": 128_100,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
QWEN = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
}
ARCHITECTURES: dict[str, Architecture] = {
    "clip-b32": Architecture("CLIP ViT-B/32", "hf-clip", clip_b32),
    "clip-l14": Architecture("CLIP ViT-L/14", "hf-clip", clip_l14),
    "siglip-base": Architecture("SigLIP base, 224", "siglip", siglip_base),
    "siglip-so400m": Architecture("SigLIP so400m, 384", "siglip", siglip_so400m),
    "siglip2-base": Architecture("SigLIP 2 base, 224", "siglip", siglip2_base),
    "siglip2-naflex": Architecture("SigLIP 2 base NaFlex, 256 patches", "siglip", siglip2_naflex),
    "blip": Architecture("BLIP base, 384", "blip", blip_base),
    "align": Architecture("ALIGN base (EfficientNet-B7), 289", "hf-clip", align),
    "openclip-b32": Architecture("OpenCLIP ViT-B/32", "openclip", _named("ViT-B-32")),
    "openclip-h14": Architecture("OpenCLIP ViT-H/14", "openclip", _named("ViT-H-14")),
    "meru-b16": Architecture("MERU ViT-B/16", "meru", _named("vit-b")),
    "meru-l16": Architecture("MERU ViT-L/16", "meru", _named("vit-l")),
    "prolip-b16": Architecture("ProLIP ViT-B/16", "prolip", prolip),
    "flava": Architecture("FLAVA", "hf-clip", flava),
    "dual": Architecture("VisionTextDualEncoder, ViT-B/16 and BERT", "hf-clip", dual_encoder),
    "bridgetower": Architecture("BridgeTower large, 294", "bridgetower", bridgetower),
    "blip2": Architecture("BLIP-2, ViT-g", "blip2", blip2),
    "clip-text": Architecture("CLIP ViT-B/32, its text tower", "clip-text", clip_text),
    "modernbert": Architecture("ModernBERT base", "text", _text("ModernBert"), MEAN),
    "nomic": Architecture("NomicBERT", "text", _text("NomicBert"), MEAN),
    "t5": Architecture(
        "T5 base, its encoder", "text",
        _text("T5", d_model=768, d_ff=3072, num_layers=12, num_heads=12), MEAN,
    ),
    "deberta": Architecture("DeBERTa 3 base", "text", _text("DebertaV2", **DEBERTA, **BASE), MEAN),
    "qwen": Architecture("Qwen 2.5, 0.5B", "text", _text("Qwen2", **QWEN), LAST),
    "clip-native": Architecture("CLIP ViT-B/32 from a file", "hf-clip", clip_weights, {}, True),
    "clip-st": Architecture("the same by st:", "st", clip_weights, {}, True),
    "clip-mteb": Architecture("the same by mteb:", "mteb", clip_of_mteb, {}, True),
}  # fmt: skip
