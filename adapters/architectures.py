"""Which adapter loads which architecture of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hiereval.errors import HierevalError

DUAL = "vision-text-dual-encoder"  # two towers of any architecture, each named in its own part

# which adapter loads a config.json's model_type
ADAPTERS = {
    "clip": "hf-clip",
    "align": "hf-clip",
    "altclip": "hf-clip",
    "chinese_clip": "hf-clip",
    "metaclip_2": "hf-clip",
    "siglip": "siglip",
    "siglip2": "siglip",
    "flava": "hf-clip",
    DUAL: "hf-clip",
    "blip": "blip",
    "blip-2": "blip2",
    "bridgetower": "bridgetower",
    "bert": "text",
    "distilbert": "text",
    "mpnet": "text",
    "roberta": "text",
    "xlm-roberta": "text",
    "camembert": "text",
    "albert": "text",
    "electra": "text",
    "deberta": "text",
    "deberta-v2": "text",
    "modernbert": "text",
    "nomic_bert": "text",
    "t5": "text",
    "llama": "text",
    "mistral": "text",
    "qwen2": "text",
    "qwen3": "text",
    "clip_text_model": "clip-text",
}


def check(adapter: str, name: str, config: Mapping[str, Any]) -> None:
    """Refuse a configuration of another adapter's, naming the right one."""
    given = config.get("model_type")
    right = ADAPTERS.get(str(given))
    if right == adapter:
        return
    known = ", ".join(kind for kind, where in ADAPTERS.items() if where == adapter)
    hint = f" The adapter for it is {right!r}: '{right}:{name}'." if right else ""
    raise HierevalError(
        f"The model type {given!r} of {name!r} must be one that {adapter!r} loads ({known}).{hint}"
    )
