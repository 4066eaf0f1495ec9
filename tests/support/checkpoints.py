"""Small random checkpoints in the formats that the hub has, written by the libraries themselves.

Every function fills a folder and returns it. Weights come from a seed; the CLIP vocabulary is the
real one (open_clip ships it), the others are trained in place on a few sentences.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

SENTENCES = (
    "animal",
    "a bird",
    "a blue bird on a branch",
    "a man rides a brown horse along the beach at sunset",
    "two dogs play with a red ball in the snow",
    "plate of food: rice, beans and fried eggs",
    "the quick brown fox jumps over the lazy dog",
    "A Blue Bird. On a branch!",
)
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
PIXELS = {"image_size": 32, "patch_size": 8}
PIECES = {"vocab_size": 500, "bos_token_id": 2, "eos_token_id": 1}
SQUARE = {"height": 32, "width": 32}


# --- tokenizers ----------------------------------------------------------------------------------


def clip_tokenizer(folder: Path) -> Path:
    """Write the tokenizer of OpenAI's CLIP."""
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    bpe = SimpleTokenizer()
    rename = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {rename.get(token, token): i for token, i in bpe.encoder.items()}
    merges = [pair for pair, _ in sorted(bpe.bpe_ranks.items(), key=lambda item: item[1])]
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(folder)
    return folder


def bert_tokenizer(folder: Path, sentences: Sequence[str] = SENTENCES, **settings: Any) -> Path:
    """Write a WordPiece tokenizer: the words and characters of the sentences, in lower case."""
    from transformers import BertTokenizer

    text = " ".join(sentences).lower()
    characters = sorted({*text, *"0123456789.,:!"} - {" "})
    words = sorted({word.strip(".,:!") for word in text.split()} - set(characters) - {""})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [*characters, *(f"##{c}" for c in characters), *words]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    BertTokenizer(vocab=vocabulary, **settings).save_pretrained(folder)
    return folder


def xlmr_tokenizer(folder: Path, sentences: Sequence[str] = SENTENCES, **settings: Any) -> Path:
    """Write a Unigram tokenizer with XLM-RoBERTa's special tokens."""
    from transformers import XLMRobertaTokenizer

    words = sorted({word for text in sentences for word in text.split()})
    characters = sorted(set("".join(words)))
    specials = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces = [("▁", -6.0), *((c, -8.0) for c in characters), *((f"▁{w}", -4.0) for w in words)]
    vocabulary = [*specials, *pieces, ("<mask>", 0.0)]
    XLMRobertaTokenizer(vocab=vocabulary, **settings).save_pretrained(folder)
    return folder


def roberta_tokenizer(folder: Path, sentences: Sequence[str] = SENTENCES) -> Path:
    """Write RoBERTa's byte-level BPE, tokenizer.json and vocab.json alone, as some hub folders."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    trained = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(
        sentences, vocab_size=400, special_tokens=specials, show_progress=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    trained.save_model(str(folder))
    merges = (folder / "merges.txt").read_text("utf-8").splitlines()[1:]
    RobertaTokenizer(
        vocab=trained.get_vocab(), merges=[tuple(line.split()) for line in merges]
    ).save_pretrained(folder)
    for name in ("merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    return folder


def siglip_tokenizer(folder: Path, sentences: Sequence[str] = SENTENCES, size: int = 80) -> Path:
    """Write a SentencePiece tokenizer with the special tokens of SigLIP 1."""
    import sentencepiece
    from transformers import SiglipTokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.lower() for text in sentences]),
        model_writer=model,
        vocab_size=size,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trained.model").write_bytes(model.getvalue())
    SiglipTokenizer(str(folder / "trained.model"), model_max_length=64).save_pretrained(folder)
    (folder / "trained.model").unlink()
    return folder


def gemma_tokenizer(folder: Path, sentences: Sequence[str] = SENTENCES, size: int = 400) -> Path:
    """Write a Gemma tokenizer as SigLIP 2 has it: an end token, no start, case kept."""
    from tokenizers import Tokenizer, models, trainers
    from transformers import GemmaTokenizer

    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    specials += [f"<0x{byte:02X}>" for byte in range(256)]
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False)
    trained.train_from_iterator([text.replace(" ", "▁") for text in sentences], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    trained.model.save(str(folder))
    merges = (folder / "merges.txt").read_text("utf-8").splitlines()[1:]
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    GemmaTokenizer(
        vocab=trained.get_vocab(),
        merges=[tuple(line.split()) for line in merges],
        add_bos_token=False,
        add_eos_token=True,
    ).save_pretrained(folder)
    return folder


# --- checkpoints ---------------------------------------------------------------------------------


def clip(folder: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32, **text: Any) -> Path:
    """Write a CLIP; `text` overrides the text configuration."""
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig(
        text_config={**SMALL, **text}, vision_config={**SMALL, **PIXELS}, projection_dim=24
    )
    _save(CLIPModel, config, folder, seed, dtype)
    clip_processor(folder)
    return clip_tokenizer(folder)


def clip_processor(folder: Path, side: int = 32) -> Path:
    """Write the image processor of CLIP: resize the shorter side, centre crop."""
    from transformers import CLIPImageProcessor

    crop = {"height": side, "width": side}
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size=crop).save_pretrained(folder)
    return folder


def metaclip2(folder: Path, *, seed: int = 0) -> Path:
    """Write a MetaCLIP 2: CLIP with XLM-V's tokenizer, end token 2."""
    from transformers import MetaClip2Config, MetaClip2Model

    xlmr_tokenizer(folder, model_max_length=77)
    text = {**SMALL, "vocab_size": 200, "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}
    config = MetaClip2Config(text_config=text, vision_config={**SMALL, **PIXELS}, projection_dim=24)
    _save(MetaClip2Model, config, folder, seed)
    return clip_processor(folder)


def altclip(folder: Path, *, seed: int = 0) -> Path:
    """Write an AltCLIP: an XLM-RoBERTa text tower, pooled at its first token."""
    from transformers import AltCLIPConfig, AltCLIPModel

    xlmr_tokenizer(folder)
    text = {**SMALL, "vocab_size": 200, "max_position_embeddings": 66, "project_dim": 24}
    config = AltCLIPConfig(text_config=text, vision_config={**SMALL, **PIXELS}, projection_dim=24)
    _save(AltCLIPModel, config, folder, seed)
    return clip_processor(folder)


def chinese_clip(folder: Path, *, seed: int = 0) -> Path:
    """Write a ChineseCLIP: a BERT text tower, pooled at its first token."""
    from transformers import ChineseCLIPConfig, ChineseCLIPImageProcessor, ChineseCLIPModel

    bert_tokenizer(folder)
    text = {**SMALL, "vocab_size": 200, "max_position_embeddings": 64}
    config = ChineseCLIPConfig(
        text_config=text, vision_config={**SMALL, **PIXELS}, projection_dim=24
    )
    _save(ChineseCLIPModel, config, folder, seed)
    ChineseCLIPImageProcessor(size=SQUARE, do_center_crop=False).save_pretrained(folder)
    return folder


def align(folder: Path, *, seed: int = 0) -> Path:
    """Write an ALIGN: an EfficientNet and a BERT."""
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessor

    bert_tokenizer(folder)
    vision = {
        "image_size": 32,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "kernel_sizes": [3, 3],
        "in_channels": [32, 8],
        "out_channels": [8, 24],  # the last is the width of the joint space
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 2],
        "hidden_dim": 24,
    }
    config = AlignConfig(
        text_config={**SMALL, "vocab_size": 200}, vision_config=vision, projection_dim=24
    )
    _save(AlignModel, config, folder, seed)
    EfficientNetImageProcessor(
        size={"height": 38, "width": 38}, crop_size=SQUARE, do_center_crop=True
    ).save_pretrained(folder)
    return folder


def siglip(folder: Path, *, seed: int = 0, generation: int = 1) -> Path:
    """Write a SigLIP, or a SigLIP 2 of fixed resolution: the same network, Gemma's tokenizer."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    (siglip_tokenizer if generation == 1 else gemma_tokenizer)(folder)
    config = SiglipConfig(
        text_config={**SMALL, **PIECES, "max_position_embeddings": 16},
        vision_config={**SMALL, **PIXELS},
    )
    _save(SiglipModel, config, folder, seed)
    SiglipImageProcessor(size=SQUARE).save_pretrained(folder)
    return folder


def naflex(folder: Path, *, seed: int = 0) -> Path:
    """Write a SigLIP 2 NaFlex: pictures in their own aspect ratio, up to 16 patches."""
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model

    gemma_tokenizer(folder)
    config = Siglip2Config(
        text_config={**SMALL, **PIECES, "max_position_embeddings": 16},
        vision_config={**SMALL, "patch_size": 8, "num_patches": 16},
    )
    _save(Siglip2Model, config, folder, seed)
    Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return folder


def blip(folder: Path, *, seed: int = 0, captioning: bool = False) -> Path:
    """Write a BLIP for retrieval, or a captioning one, which shares its configuration."""
    from transformers import (
        BlipConfig,
        BlipForConditionalGeneration,
        BlipForImageTextRetrieval,
        BlipImageProcessor,
    )

    bert_tokenizer(folder)
    text = {**SMALL, "vocab_size": 200, "encoder_hidden_size": 32, "max_position_embeddings": 64}
    config = BlipConfig(
        text_config={**text, "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3},
        vision_config={**SMALL, **PIXELS, "initializer_range": 0.02},
        image_text_hidden_size=24,
    )
    cls = BlipForConditionalGeneration if captioning else BlipForImageTextRetrieval
    _save(cls, config, folder, seed)
    BlipImageProcessor(size=SQUARE).save_pretrained(folder)
    return folder


def blip2(folder: Path, *, seed: int = 0, captioning: bool = False) -> Path:
    """Write a BLIP-2 for retrieval, or one that writes captions, which shares its configuration."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2ForImageTextRetrieval,
        BlipImageProcessor,
    )

    bert_tokenizer(folder)
    qformer = {**SMALL, "vocab_size": 200, "encoder_hidden_size": 32, "max_position_embeddings": 64}
    text = {"model_type": "opt", "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1}
    config = Blip2Config(
        qformer_config={**qformer, "use_qformer_text_input": not captioning},
        vision_config={**SMALL, **PIXELS, "initializer_range": 0.02},
        text_config={**text, "num_attention_heads": 1, "word_embed_proj_dim": 16,
                     "vocab_size": 200},
        num_query_tokens=4,
        image_text_hidden_size=24,
    )  # fmt: skip
    cls = Blip2ForConditionalGeneration if captioning else Blip2ForImageTextRetrieval
    _save(cls, config, folder, seed)
    BlipImageProcessor(size=SQUARE).save_pretrained(folder)
    return folder


def flava(folder: Path, *, seed: int = 0) -> Path:
    """Write a FLAVA as the hub has it: with the heads that it was trained with."""
    from transformers import FlavaConfig, FlavaForPreTraining, FlavaImageProcessor

    bert_tokenizer(folder)
    config = FlavaConfig(
        image_config={**SMALL, **PIXELS, "vocab_size": 16},
        text_config={**SMALL, "vocab_size": 200, "max_position_embeddings": 64},
        multimodal_config=SMALL,
        image_codebook_config={"hidden_size": 4, "num_blocks_per_group": 1, "vocab_size": 16},
        hidden_size=32,
        projection_dim=24,
    )
    _save(FlavaForPreTraining, config, folder, seed)
    FlavaImageProcessor(size=SQUARE, crop_size=SQUARE).save_pretrained(folder)
    return folder


def bridgetower(folder: Path, *, seed: int = 0, head: str = "ContrastiveLearning") -> Path:
    """Write a BridgeTower as the hub has it: its image processor states a size and no crop."""
    import json

    import transformers

    roberta_tokenizer(folder)
    sizes = {**SMALL, "hidden_size": 64}
    config = transformers.BridgeTowerConfig(
        text_config={**sizes, "num_hidden_layers": 3, "vocab_size": 400,
                     "max_position_embeddings": 66},
        vision_config={"hidden_size": 64, "num_hidden_layers": 3, "image_size": 36,
                       "patch_size": 12},
        **{**sizes, "contrastive_hidden_size": 24, "logit_scale_init_value": 2.6592},
    )  # fmt: skip
    _save(getattr(transformers, f"BridgeTowerFor{head}"), config, folder, seed)
    stated = {"max_text_len": 50, "size": 36, "size_divisor": 8, "tokenizer": "roberta-large"}
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    return folder


# towers of VisionTextDualEncoder: class of the configuration, tokenizer's writer, sizes
IMAGE_TOWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "beit": ("BeitConfig", SMALL),
    "clip_vision_model": ("CLIPVisionConfig", SMALL),
    "deit": ("DeiTConfig", SMALL),
    "dinov2": ("Dinov2Config", SMALL),
    "dinov2_with_registers": ("Dinov2WithRegistersConfig", SMALL),
    "siglip_vision_model": ("SiglipVisionConfig", SMALL),
    "swin": ("SwinConfig", {"embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2],
                            "window_size": 2, "patch_size": 4}),
    "vit": ("ViTConfig", SMALL),
}  # fmt: skip
WORDS = {**SMALL, "vocab_size": 200, "max_position_embeddings": 66}
XLMR_WORDS = {**WORDS, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
TEXT_TOWERS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "albert": ("AlbertConfig", bert_tokenizer, {**WORDS, "embedding_size": 16}),
    "bert": ("BertConfig", bert_tokenizer, WORDS),
    "camembert": ("CamembertConfig", xlmr_tokenizer, XLMR_WORDS),
    "clip_text_model": ("CLIPTextConfig", clip_tokenizer, {**WORDS, "vocab_size": 49408}),
    "distilbert": ("DistilBertConfig", bert_tokenizer, {"dim": 32, "n_layers": 1, "n_heads": 2}),
    "mpnet": ("MPNetConfig", xlmr_tokenizer, XLMR_WORDS),
    "roberta": ("RobertaConfig", xlmr_tokenizer, XLMR_WORDS),
    "xlm-roberta": ("XLMRobertaConfig", xlmr_tokenizer, XLMR_WORDS),
}


def dual_encoder(
    folder: Path, *, text: str = "bert", image: str = "vit", seed: int = 0, old: bool = False
) -> Path:
    """Write a VisionTextDualEncoder of two towers; `old`: CLIP's towers as transformers 4 did."""
    import transformers
    from safetensors.torch import load_file, save_file

    image_class, image_sizes = IMAGE_TOWERS[image]
    text_class, tokenizer, text_sizes = TEXT_TOWERS[text]
    tokenizer(folder)
    config = transformers.VisionTextDualEncoderConfig.from_vision_text_configs(
        getattr(transformers, image_class)(**{**PIXELS, **image_sizes}),
        getattr(transformers, text_class)(**text_sizes),
        projection_dim=24,
    )
    _save(transformers.VisionTextDualEncoderModel, config, folder, seed)
    if old:
        file = folder / "model.safetensors"
        inner = ("vision_model", "text_model") if text == "clip_text_model" else ("vision_model",)
        renamed = {
            f"{key.partition('.')[0]}.{key}" if key.startswith(inner) else key: value
            for key, value in load_file(file).items()
        }
        save_file(renamed, file, metadata={"format": "pt"})
    if image == "clip_vision_model":
        return clip_processor(folder)
    transformers.ViTImageProcessor(size=SQUARE).save_pretrained(folder)
    return folder


def _save(
    cls: Any, config: Any, folder: Path, seed: int, dtype: torch.dtype = torch.float32
) -> None:
    """Write weights that depend on the seed and their names alone, not on the library's order.

    They are larger than at initialisation, so that inputs differ clearly.
    """
    from transformers.utils import logging

    model = cls(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "embedding" in name and not name.endswith("bias") and "norm" not in name.lower():
                parameter.normal_(0.0, 0.3, generator=generator)
            elif parameter.ndim > 1:
                parameter.normal_(0.0, parameter[0].numel() ** -0.5, generator=generator)
    logging.disable_progress_bar()
    model.to(dtype).save_pretrained(folder)
    logging.enable_progress_bar()


# --- text encoders -------------------------------------------------------------------------------

# class of the configuration, class of the network, how this family calls the common sizes
TEXT_ENCODERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertConfig", "BertModel", {}),
    "distilbert": ("DistilBertConfig", "DistilBertModel", {}),
    "electra": ("ElectraConfig", "ElectraModel", {"embedding_size": 16}),
    "albert": ("AlbertConfig", "AlbertModel", {"embedding_size": 16}),
    "deberta": (
        "DebertaConfig",
        "DebertaModel",
        {"relative_attention": True, "pos_att_type": ["c2p"], "position_biased_input": False},
    ),
    "deberta-v2": (
        "DebertaV2Config",
        "DebertaV2Model",
        {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8,
         "max_relative_positions": -1, "norm_rel_ebd": "layer_norm", "share_att_key": True,
         "position_biased_input": False, "type_vocab_size": 0},
    ),
    "modernbert": (
        "ModernBertConfig",
        "ModernBertModel",
        {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2,
         "eos_token_id": 3},
    ),
    "nomic_bert": ("NomicBertConfig", "NomicBertModel", {}),
}  # fmt: skip


def text_encoder(folder: Path, kind: str, *, seed: int = 0, **settings: Any) -> Path:
    """Write a text encoder of two layers and 64 positions, with a WordPiece tokenizer."""
    import transformers

    bert_tokenizer(folder)
    config_class, model_class, own = TEXT_ENCODERS[kind]
    size = len(transformers.AutoTokenizer.from_pretrained(folder))
    config = getattr(transformers, config_class)(
        vocab_size=size, max_position_embeddings=64, **SMALL, **own, **settings
    )
    _save(getattr(transformers, model_class), config, folder, seed)
    return folder


def roberta(folder: Path, kind: str = "roberta", *, seed: int = 0) -> Path:
    """Write a RoBERTa or one of its kin with its language-modelling head; positions begin at 2."""
    import transformers

    xlmr_tokenizer(folder)
    name = {"roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert",
            "mpnet": "MPNet"}[kind]  # fmt: skip
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(transformers.AutoTokenizer.from_pretrained(folder)),
        max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2, **SMALL,
    )  # fmt: skip
    _save(getattr(transformers, f"{name}ForMaskedLM"), config, folder, seed)
    return folder


def clip_text(folder: Path, *, seed: int = 0, projected: bool = True) -> Path:
    """Write CLIP's text tower alone, with or without its projection."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(**SMALL, projection_dim=24)
    _save(CLIPTextModelWithProjection if projected else CLIPTextModel, config, folder, seed)
    return clip_tokenizer(folder)


def t5_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Write a whole T5, as the hub has it; its encoder is what texts need."""
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    bert_tokenizer(folder)
    config = T5Config(
        vocab_size=len(AutoTokenizer.from_pretrained(folder)),
        d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2,
    )  # fmt: skip
    _save(T5ForConditionalGeneration, config, folder, seed)
    return folder


def decoder(folder: Path, kind: str = "qwen3", *, seed: int = 0) -> Path:
    """Write a causal language model, whose tokenizer ends each text with its end token."""
    import transformers

    bert_tokenizer(folder)
    size = len(transformers.AutoTokenizer.from_pretrained(folder))
    name = {"qwen3": "Qwen3", "qwen2": "Qwen2", "llama": "Llama", "mistral": "Mistral"}[kind]
    config = getattr(transformers, f"{name}Config")(
        vocab_size=size + 8,  # as in the published ones, more than the tokenizer has
        max_position_embeddings=64,
        num_key_value_heads=1,
        head_dim=16,
        **SMALL,
    )
    _save(getattr(transformers, f"{name}ForCausalLM"), config, folder, seed)
    return folder
