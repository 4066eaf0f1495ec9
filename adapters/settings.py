"""What a checkpoint's JSON may say to a loader: an allow-list, and numbers that are numbers.

The files come from strangers. Nothing in them may choose code (`auto_map`, attention kernels from
the hub), other weights than those that are hashed (`transformers_weights`) or an arithmetic that
depends on what is installed (`quantization_config`): what is applied is in the fingerprint, what
changes vectors and is not applied is refused, and the rest never reaches the library.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hiereval import fingerprint
from hiereval.errors import HierevalError

REFUSED = {
    "quantization_config": "save it in float32 or half precision first",
    "transformers_weights": "name the file model.safetensors",
    "compression_config": "save it in float32 or half precision first",
}
# keys of a configuration that are no setting of the architecture
DROPPED = frozenset({"auto_map", "attn_implementation", "_attn_implementation", "_name_or_path"})
NESTED = (
    "text_config", "vision_config", "text_config_dict", "vision_config_dict", "qformer_config",
    "image_config", "multimodal_config", "image_codebook_config",
)  # fmt: skip
TYPES = ("dtype", "torch_dtype")
# what a network reads of its configuration, whose class does not declare it: its value in older
# versions, None where it had none
UNDECLARED: dict[str, dict[str, Any]] = {
    "BridgeTowerConfig": {"contrastive_hidden_size": 512, "logit_scale_init_value": 2.6592},
    "DebertaConfig": dict.fromkeys(("embedding_size", "talking_head")),
    "DebertaV2Config": dict.fromkeys(
        ("attention_head_size", "conv_act", "conv_groups", "conv_kernel_size", "embedding_size",
         "norm_rel_ebd", "position_buckets", "share_att_key")
    ),
    "Qwen2Config": {"head_dim": None},
}  # fmt: skip
LORA = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
IMAGE_PROCESSORS = frozenset(
    f"{family}ImageProcessor"
    for family in (
        "Beit", "Bit", "Blip", "BridgeTower", "CLIP", "ChineseCLIP", "DeiT", "EfficientNet",
        "Flava", "Siglip", "Siglip2", "ViT",
    )
)  # fmt: skip


def refuse_lora(name: str, folder: Path) -> None:
    """Refuse base weights beside an adapter, which peft would apply where it is installed."""
    for file in LORA:
        if (folder / file).exists():
            raise HierevalError(
                f"The checkpoint {name!r} must be merged first: it holds {file} beside its base "
                "weights. In peft, 'model.merge_and_unload().save_pretrained(FOLDER)' merges them."
            )


def read_config(name: str, file: Path) -> dict[str, Any]:
    """Return a config.json without what is no setting of an architecture.

    Nested configurations that are null are left out. Raises HierevalError for settings that
    would change vectors and cannot be applied.
    """
    return _cleaned(name, fingerprint.read_json(file), "")


def _cleaned(name: str, config: Mapping[str, Any], where: str) -> dict[str, Any]:
    for key, way in REFUSED.items():
        if config.get(key) is not None:
            raise HierevalError(
                f"The configuration of {name!r} must be without {where}{key}: {way}."
            )
    kept = {key: value for key, value in config.items() if key not in DROPPED}
    for key in NESTED:
        value = kept.pop(key, None)
        if isinstance(value, dict):
            kept[key] = _cleaned(name, value, f"{key}.")
        elif value is not None:
            raise HierevalError(f"The {key} of {name!r} must be an object, not {shown(value)}.")
    return kept


def configuration(cls: Any, name: str, config: Mapping[str, Any]) -> Any:
    """Return the configuration object of a class of transformers, from its own settings alone.

    Older files say some of them in other words (`rope_theta`), which the class itself translates.
    Where it leaves open what a part of it is, the part's own `model_type` says it.
    """
    try:
        undeclared = UNDECLARED.get(cls.__name__, {})
        defaults = {key: value for key, value in undeclared.items() if value is not None}
        parts = {key: part().to_dict() for key, part in _parts(cls, config).items()}
        known = {**cls().to_dict(), **undeclared, **parts}
        translated = cls(**_readable(cls, config)).to_dict()
        return cls(**defaults | _known(translated, known))
    except Exception as error:  # each class checks its fields in its own way
        line = " ".join(str(error).split())[:200]
        raise HierevalError(
            f"The configuration of {name!r} must be one that {cls.__name__} takes: {line}"
        ) from error


def _readable(cls: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a class may be given to translate: nothing that replaces a part of its own.

    The weights' type is left out: it is the run's choice.
    """
    kept: dict[str, Any] = {}
    parts, known = _parts(cls, config), cls().to_dict()
    rotary = {"rope_scaling"} if "rope_parameters" in known else set()  # a property of the class
    for key, value in config.items():
        if key in parts:
            kept[key] = _readable(parts[key], value)
        elif key in TYPES or key.startswith("_"):
            continue
        elif key in known or key in rotary or not hasattr(cls, key):
            kept[key] = value
    return kept


def _parts(cls: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the class of each part that a configuration has."""
    from transformers import CONFIG_MAPPING, AutoConfig

    parts = {key: cls.sub_configs.get(key.removesuffix("_dict")) for key in NESTED if key in config}
    for key, part in parts.items():
        if part is AutoConfig:
            kind = config[key].get("model_type")
            parts[key] = CONFIG_MAPPING[kind] if kind else type(getattr(cls(), key))
    return {key: part for key, part in parts.items() if part is not None}


def _known(config: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in config.items():
        twin = known.get(key.removesuffix("_dict"))
        if key in NESTED and isinstance(twin, Mapping):
            kept[key] = _known(value, twin)
        elif key in known:
            kept[key] = value
    return kept


def whole(name: str, settings: Mapping[str, Any], key: str, default: int) -> int:
    """Return a setting that must be a whole number of at least 1; absent and null are `default`."""
    value = settings.get(key)
    if value is None:
        return default
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not value >= 1 or value != value // 1:
        raise HierevalError(
            f"The {key} of {name!r} must be a whole number of at least 1, not {shown(value)}."
        )
    return int(value)


def text(name: str, settings: Mapping[str, Any], key: str, default: str) -> str:
    """Return a setting that must be a string; absent and null are `default`."""
    value = settings.get(key)
    if value is not None and not isinstance(value, str):
        raise HierevalError(f"The {key} of {name!r} must be a text, not {shown(value)}.")
    return default if value is None else value


def table(name: str, settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a setting that must be an object; absent and null are {}."""
    value = settings.get(key)
    if value is not None and not isinstance(value, dict):
        raise HierevalError(f"The {key} of {name!r} must be an object, not {shown(value)}.")
    return value or {}


def shown(value: object) -> str:
    """Return a JSON value as a message shows it."""
    written = json.dumps(value)
    return written if len(written) <= 40 else f"{written[:37]}..."


def inside(name: str, folder: Path, part: object) -> Path:
    """Return a sub-folder that a checkpoint names; it may not lead out of the checkpoint."""
    given = "" if part is None else part
    if not isinstance(given, str) or os.path.isabs(given) or ".." in Path(given).parts:
        raise HierevalError(f"The path {given!r} in {name!r} must lie inside the checkpoint.")
    return folder / given


def image_processor_settings(name: str, folder: Path) -> dict[str, Any] | None:
    """Return the settings of the image processor that transformers 5 takes; None without one.

    processor_config.json, where it has an image processor, wins over preprocessor_config.json.
    """
    found = None
    path = folder / "processor_config.json"
    if path.is_file():
        found = table(name, fingerprint.read_json(path), "image_processor") or None
    path = folder / "preprocessor_config.json"
    if found is None and path.is_file():
        found = fingerprint.read_json(path)
    if found is None:
        return None
    kind = text(name, found, "image_processor_type", "")
    if not kind:
        kind = text(name, found, "feature_extractor_type", "")
    kind = kind.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    if kind and kind not in IMAGE_PROCESSORS:
        raise HierevalError(
            f"The image processor {kind!r} of {name!r} must be one of "
            f"{', '.join(sorted(IMAGE_PROCESSORS))}."
        )
    kept = {key: value for key, value in found.items() if key not in DROPPED}
    return {**kept, "image_processor_type": kind} if kind else kept


def cropped_to_size(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of an image processor whose crop is, where none is stated, the size itself.

    So it was when BridgeTower's were written; newer versions have a default of their own.
    """
    if found.get("crop_size") is not None or found.get("size") is None:
        return dict(found)
    size = found["size"]
    return {**found, "crop_size": {"shortest_edge": size} if isinstance(size, int) else size}
