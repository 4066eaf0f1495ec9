"""NomicBERT's configuration as its repositories' own code writes it, in transformers' words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hiereval.adapters.settings import shown, whole
from hiereval.errors import HierevalError

NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "layer_norm_epsilon": "layer_norm_eps",
}
# what transformers' network is, and what that code takes where the file does not say
FIXED: dict[str, tuple[Any, Any]] = {
    "activation_function": ("swiglu", "gelu_new"),
    "causal": (False, False),
    "mlp_fc1_bias": (False, True),
    "mlp_fc2_bias": (False, True),
    "parallel_block": (False, False),
    "prenorm": (False, False),
    "qkv_proj_bias": (False, True),
    "rotary_emb_fraction": (1.0, 0.0),
    "rotary_emb_interleaved": (False, False),
    "rotary_emb_scale_base": (None, None),
    "use_rms_norm": (False, False),
}
TRAINED = 2048  # positions; beyond them the base is stretched


def translated(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in transformers' words; any other family's as it is.

    transformers would read the weights and leave these settings out. Raises HierevalError for a
    network that it does not have.
    """
    if config.get("model_type") != "nomic_bert" or "hidden_size" in config:
        return dict(config)
    for key, (wanted, absent) in FIXED.items():
        given = config.get(key, absent)
        if given != wanted:
            raise HierevalError(
                f"The {key} of {name!r} must be {shown(wanted)} for transformers' NomicBERT, not "
                f"{shown(given)}. 'st:{name}' runs its repository's code, with --trust-remote-code."
            )
    if config.get("rotary_emb_base") is None:  # that code's default has changed
        raise HierevalError(f"The configuration of {name!r} must state rotary_emb_base.")
    base = whole(name, config, "rotary_emb_base", 1)
    positions = whole(name, config, "max_trained_positions", TRAINED)
    return {
        **{NAMES.get(key, key): value for key, value in config.items() if key not in FIXED},
        "max_position_embeddings": min(positions, whole(name, config, "n_positions", positions)),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(base)},
    }
