"""Text encoders of every family: the library's own forward, pooled by hand; neighbours refused."""

from __future__ import annotations

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


@pytest.mark.parametrize("kind", list(WRITERS))
def test_the_librarys_own_forward(kind: str, written: Callable[[str], Path]) -> None:
    folder, (_, model_class, pooling) = written(kind), WRITERS[kind]
    adapter = _opened(folder, pooling)
    model: Any = getattr(transformers, model_class).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = adapter.encode_texts(TEXTS)
    assert adapter.id.embed_dim == 32
    for text, vector in zip(TEXTS, ours, strict=True):  # alone: without any padding
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
    import json

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
