"""Text encoders of every family: the library's own forward, pooled by hand; neighbours refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from support import checkpoints

from hiereval.errors import HierevalError
from hiereval.models import open_adapter
from hiereval.testing import check_adapter
from hiereval.types import Adapter, LoadOptions

TEXTS = ["", "a bird", "A Blue Bird on a branch.", "two dogs, a ball", "bird " * 10]
WRITERS: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    **{
        kind: (partial(checkpoints.text_encoder, kind=kind), model, "mean")
        for kind, (_, model, _) in checkpoints.TEXT_ENCODERS.items()
    },
    **{
        kind: (partial(checkpoints.roberta, kind=kind), f"{name}Model", "mean")
        for kind, name in (
            ("roberta", "Roberta"), ("xlm-roberta", "XLMRoberta"), ("camembert", "Camembert"),
            ("mpnet", "MPNet"),
        )
    },
    "t5": (checkpoints.t5_encoder, "T5EncoderModel", "mean"),
    **{
        kind: (partial(checkpoints.decoder, kind=kind), f"{name}Model", "last")
        for kind, name in (
            ("qwen3", "Qwen3"), ("qwen2", "Qwen2"), ("llama", "Llama"), ("mistral", "Mistral"),
        )
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    base = tmp_path_factory.mktemp("families")

    def folder(kind: str) -> Path:
        path = base / kind
        return path if path.is_dir() else WRITERS[kind][0](path)

    return folder


def _opened(folder: Path, pooling: str) -> Adapter:
    return open_adapter(f"text:{folder}", LoadOptions(), {"pooling": pooling})


THETA = {"rope_theta": 50.0, "rope_scaling": None, "torch_dtype": "bfloat16"}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_type": "llama3",
          "original_max_position_embeddings": 16}  # fmt: skip
OLD: dict[str, dict[str, Any]] = {
    "qwen3": THETA,
    "qwen2": THETA,
    "mistral": THETA,
    "llama": {**THETA, "rope_scaling": LLAMA3},
    "modernbert": {
        "global_rope_theta": 30.0,
        "local_rope_theta": 20.0,
        "local_attention": 4,
        "global_attn_every_n_layers": 2,
    },
    "deberta-v2": {"pos_att_type": "p2c|c2p"},
}


@pytest.mark.parametrize("kind", list(OLD))
def test_settings_in_the_words_of_transformers_4_are_followed(
    kind: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    """As published files have them: the base of rotary positions, the pattern of attention."""
    folder = Path(shutil.copytree(written(kind), tmp_path / kind))
    file = folder / "config.json"
    stated = json.loads(file.read_text())
    for key in ("rope_parameters", "layer_types", "dtype"):
        stated.pop(key, None)
    file.write_text(json.dumps({**stated, **OLD[kind]}))
    _compare(kind, folder)
    if kind != "deberta-v2":  # says the same in other words
        moved = [_opened(f, WRITERS[kind][2]).encode_texts(TEXTS) for f in (folder, written(kind))]
        assert not torch.allclose(*moved, atol=1e-3)


NOMIC = {
    "n_embd": 32, "n_layer": 2, "n_head": 2, "n_inner": 64, "layer_norm_epsilon": 1e-12,
    "n_positions": 64, "max_trained_positions": 32, "activation_function": "swiglu",
    "mlp_fc1_bias": False, "mlp_fc2_bias": False, "qkv_proj_bias": False, "prenorm": False,
    "rotary_emb_fraction": 1.0, "rotary_emb_base": 50, "type_vocab_size": 2,
}  # fmt: skip


def test_nomic_as_its_own_code_writes_it(written: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written("nomic_bert"), tmp_path / "nomic"))
    file = folder / "config.json"
    stated = json.loads(file.read_text())
    file.write_text(
        json.dumps({**stated, "rope_parameters": {"rope_type": "default", "rope_theta": 50.0}})
    )
    wanted = _opened(folder, "mean")
    vectors = wanted.encode_texts(TEXTS)
    own = {**NOMIC, "model_type": "nomic_bert", "vocab_size": stated["vocab_size"]}
    file.write_text(json.dumps(own))
    given = _opened(folder, "mean")
    torch.testing.assert_close(given.encode_texts(TEXTS), vectors, atol=1e-6, rtol=0)
    assert (wanted.id.context_length, given.id.context_length) == (64, 32)
    assert not torch.allclose(
        vectors, _opened(written("nomic_bert"), "mean").encode_texts(TEXTS), atol=1e-3
    )
    for key, value, message in (
        ("prenorm", True, f"The prenorm of '{folder}' must be false for transformers' NomicBERT, "
         f"not true. 'st:{folder}' runs its repository's code, with --trust-remote-code."),
        ("rotary_emb_fraction", None, f"The rotary_emb_fraction of '{folder}' must be 1.0 for "
         f"transformers' NomicBERT, not null. 'st:{folder}' runs its repository's code, with "
         "--trust-remote-code."),
        ("rotary_emb_base", None, f"The configuration of '{folder}' must state rotary_emb_base."),
    ):  # fmt: skip
        file.write_text(json.dumps({**own, key: value}))
        with pytest.raises(HierevalError) as caught:
            _opened(folder, "mean")
        assert str(caught.value) == message


@pytest.mark.parametrize("kind", list(WRITERS))
def test_the_librarys_own_forward(kind: str, written: Callable[[str], Path]) -> None:
    _compare(kind, written(kind))


def _compare(kind: str, folder: Path) -> None:
    """Each text alone, without any padding, through the library, pooled by hand."""
    _, model_class, pooling = WRITERS[kind]
    adapter = _opened(folder, pooling)
    network: Any = getattr(transformers, model_class)
    model = network.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = adapter.encode_texts(TEXTS)
    assert adapter.id.embed_dim == 32
    for text, vector in zip(TEXTS, ours, strict=True):
        encoded = tokenizer([text], return_tensors="pt")
        inputs = {key: encoded[key] for key in ("input_ids", "attention_mask")}
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0].double()
        wanted = hidden[-1] if pooling == "last" else hidden.mean(dim=0)
        norms = vector.double().norm(), wanted.norm()
        assert float((vector.double() / norms[0] - wanted / norms[1]).abs().max()) < 1e-6


@pytest.mark.parametrize("kind", list(WRITERS))
def test_conforms(kind: str, written: Callable[[str], Path]) -> None:
    folder, pooling = written(kind), WRITERS[kind][2]
    checks = check_adapter(lambda: _opened(folder, pooling))
    assert [check for check in checks if check.passed is False] == []


def test_a_text_without_any_token_needs_another_root(tmp_path: Path) -> None:
    folder = checkpoints.decoder(tmp_path / "bare")
    file = folder / "tokenizer.json"
    rules = json.loads(file.read_text())
    rules["post_processor"] = None
    file.write_text(json.dumps(rules))
    stated = json.loads((folder / "tokenizer_config.json").read_text())
    stated["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    adapter = _opened(folder, "last")
    assert adapter.encode_texts(["a bird"]).shape == (1, 32)
    with pytest.raises(HierevalError) as caught:
        adapter.encode_texts(["a bird", ""])
    assert str(caught.value) == (
        "The text '' must have a token in bare, whose tokenizer adds none of its own. State a root "
        "that has one: --root-text 'a photo'."
    )


def test_clips_text_tower(tmp_path: Path) -> None:
    folder = checkpoints.clip_text(tmp_path / "tower")
    adapter = open_adapter(f"clip-text:{folder}", LoadOptions(), {})
    model = transformers.CLIPTextModelWithProjection.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        wanted = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).text_embeds
    assert float((adapter.encode_texts(TEXTS) - wanted).abs().max()) < 1e-6
    checks = check_adapter(lambda: open_adapter(f"clip-text:{folder}", LoadOptions(), {}))
    assert [check for check in checks if check.passed is False] == []


def test_neighbours_are_refused(tmp_path: Path) -> None:
    bare = checkpoints.clip_text(tmp_path / "bare", projected=False)
    with pytest.raises(HierevalError) as caught:
        open_adapter(f"clip-text:{bare}", LoadOptions(), {}).encode_texts(["a"])
    assert str(caught.value) == (
        f"The weights of '{bare}' must be exactly those of CLIPTextModelWithProjection; keys: "
        "1 missing (text_projection.weight)."
    )
    with pytest.raises(HierevalError) as caught:
        open_adapter(f"hf-clip:{bare}", LoadOptions(), {})
    assert str(caught.value).endswith(f" The adapter for it is 'clip-text': 'clip-text:{bare}'.")
