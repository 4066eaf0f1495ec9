"""Models that sentence-transformers runs: the native adapters' vectors, or a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support import checkpoints

from hiereval.adapters.hf_clip import HFClip
from hiereval.adapters.sentence_encoders import SentenceEncoder
from hiereval.adapters.text import TextEncoder
from hiereval.errors import HierevalError
from hiereval.models import open_adapter
from hiereval.testing import check_adapter
from hiereval.types import LoadOptions

TEXTS = ["", "animal", "a blue bird on a branch", "two dogs play with a red ball in the snow"]
PLAIN = "sentence_transformers.models."


def _modules(folder: Path, *more: dict[str, str], pooling: str = "mean_tokens") -> Path:
    """State a mean over tokens, and further modules, in sentence-transformers' files."""
    modules = [
        {"name": "0", "path": "", "type": f"{PLAIN}Transformer"},
        {"name": "1", "path": "1_Pooling", "type": f"{PLAIN}Pooling"},
        *more,
    ]
    (folder / "modules.json").write_text(
        json.dumps([{"idx": i, **m} for i, m in enumerate(modules)])
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    stated = {"word_embedding_dimension": 32, f"pooling_mode_{pooling}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(stated))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24}')
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = checkpoints.text_encoder(tmp_path_factory.mktemp("st") / "bert", "bert")
    stated = {"prompts": {"query": "a bird: ", "document": ""}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(stated))
    return _modules(folder)


def _close(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).abs().max())


def _refused(folder: Path, arguments: Any = None, **options: Any) -> str:
    with pytest.raises(HierevalError) as caught:
        SentenceEncoder(str(folder), LoadOptions(**options), **(arguments or {}))
    return str(caught.value)


def test_a_clip_gives_the_native_adapters_vectors(
    checkpoint: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    folder = str(checkpoint("clip"))
    model, native = SentenceEncoder(folder, LoadOptions()), HFClip(folder, LoadOptions())
    assert model.modalities == {"text", "image"}
    assert _close(model.encode_texts(TEXTS), native.encode_texts(TEXTS)) < 1e-6
    ours, theirs = (a.encode_images([a.preprocess(p) for p in pictures]) for a in (model, native))
    assert _close(ours, theirs) < 1e-6
    assert model.id.output_dtype == "float32"
    assert (model.id.conformance or "").startswith("passed: text: ")


@pytest.mark.parametrize("prompt", [None, "query"])
def test_a_text_model_gives_the_native_adapters_vectors(bert: Path, prompt: str | None) -> None:
    model = SentenceEncoder(str(bert), LoadOptions(), prompt=prompt)
    native = TextEncoder(str(bert), LoadOptions(), prompt=prompt)
    assert model.modalities == {"text"}
    assert _close(model.encode_texts(TEXTS), native.encode_texts(TEXTS)) < 1e-6


def test_what_a_vector_depends_on_is_in_the_fingerprint(bert: Path, tmp_path: Path) -> None:
    import shutil

    models = [
        SentenceEncoder(str(bert), LoadOptions(), **arguments)
        for arguments in ({}, {"prompt": "query"}, {"truncate_dim": "8"})
    ]
    for file, content in (
        ("chat_template.jinja", "{{ messages }}"),
        (
            "1_Pooling/config.json",
            '{"word_embedding_dimension": 32, "pooling_mode_cls_token": true}',
        ),
    ):
        copy = Path(shutil.copytree(bert, tmp_path / file.partition(".")[0].replace("/", "-")))
        (copy / file).write_text(content)
        models.append(SentenceEncoder(str(copy), LoadOptions()))
    assert len({model.id.fingerprint() for model in models}) == 5
    assert models[2].encode_texts(TEXTS).shape == (4, 8)


@pytest.mark.parametrize("kind", ["clip", "bert"])
def test_the_kit(kind: str, checkpoint: Callable[[str], Path], bert: Path) -> None:
    folder = bert if kind == "bert" else checkpoint(kind)

    def opened(checkpoint: str = str(folder)) -> Any:
        return open_adapter(f"st:{checkpoint}", LoadOptions(), {})

    checks = check_adapter(opened, reopen=opened)
    assert [check for check in checks if check.passed is False] == []


def test_refused(
    checkpoint: Callable[[str], Path], copied: Callable[[str], Path], bert: Path, tmp_path: Path
) -> None:
    siglip = checkpoint("siglip")
    assert _refused(siglip) == (
        f"The model '{siglip}' must be run by 'siglip:{siglip}': sentence-transformers pads it to "
        "the longest text of a batch, which moves every vector."
    )
    plain = checkpoints.text_encoder(tmp_path / "plain", "bert")
    assert _refused(plain) == (
        f"The checkpoint '{plain}' must state its modules (modules.json): a pooling would be "
        f"guessed. 'text:{plain} --model-args pooling=…' names one."
    )
    own = _modules(plain, {"name": "2", "path": "", "type": "custom_st.Head"})
    assert _refused(own) == (
        f"The model '{own}' must be allowed to run its repository's Python code as you "
        "(custom_st.Head): --trust-remote-code. The record and the board say so."
    )
    assert SentenceEncoder(str(own), LoadOptions(trust_remote_code=True)).id.trust_remote_code
    _modules(plain, {"name": "2", "path": "", "type": "other/repo--custom_st.Head"})
    assert _refused(own, trust_remote_code=True) == (
        f"The code of '{own}' must lie in its own repository; 'other/repo--custom_st.Head' is in "
        "another, of which no commit is known."
    )
    assert _refused(bert, random_init=0) == (
        f"The random initialisation of 'st:{bert}' must be left out: sentence-transformers loads "
        "trained weights alone. 'text:' and the families' adapters have one."
    )
    assert _refused(bert, {"truncate_dim": "0"}) == (
        "The truncate_dim '0' must be a whole number of at least 1."
    )
    assert _refused(bert, {"prompt": "quest"}).startswith(
        f"The prompt 'quest' must be one that '{bert}' states (query, document), 'none', or words"
    )


def test_missing_weights_are_not_random_ones(copied: Callable[[str], Path]) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied("clip")
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    model = SentenceEncoder(str(folder), LoadOptions())
    with pytest.raises(HierevalError) as caught:
        model.encode_texts(["a bird"])
    assert str(caught.value) == (
        f"The weights of '{folder}' must hold every key of the network; 1 are missing and would be "
        "random (text_projection.weight)."
    )


def test_a_model_without_a_vector_of_the_root_is_told_what_helps(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        tokenizer = None

        def encode(self, texts: list[str], **_: Any) -> torch.Tensor:
            if "" in texts:
                raise ValueError("no text")
            return torch.stack(
                [torch.randn(8, generator=torch.Generator().manual_seed(len(t))) for t in texts]
            )

    model = SentenceEncoder(str(bert), LoadOptions(), prompt="none", truncate_dim="9")
    model.__dict__["model"] = Silent()
    with pytest.raises(HierevalError) as caught:
        model.encode_texts(["a bird"])
    assert str(caught.value) == (
        "The model 'bert' must have a vector of the root's text '': ValueError: no text. State "
        "another: --root-text 'a photo', or --model-args root_text=…"
    )
    stated = open_adapter(f"st:{bert}", LoadOptions(root_text="a"), {"truncate_dim": "9"})
    stated.__dict__["model"] = Silent()
    assert stated.encode_texts(["a bird"]).shape == (1, 8)
