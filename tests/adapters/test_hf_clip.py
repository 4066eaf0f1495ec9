"""CLIP and its kin: equal to transformers' own forward, pooled and cut at the right token."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from support import checkpoints, forward

from hiereval.adapters.hf_clip import FAMILIES, HFClip
from hiereval.errors import HierevalError
from hiereval.geometry import normalise
from hiereval.types import LoadOptions

KINDS = ["clip", "metaclip2", "altclip", "chinese_clip", "align"]
TEXTS = ["", "a bird", "A blue bird on a branch.", "two dogs, a ball \U0001f600 \0 x", "bird " * 60]
Folder = Callable[[str], Path]


def _open(folder: Path, **options: object) -> HFClip:
    return HFClip(str(folder), LoadOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_librarys_forward(
    kind: str, checkpoint: Folder, pictures: list[Image.Image]
) -> None:
    """One text and picture at a time through forward(), as its documentation shows."""
    folder = checkpoint(kind)
    adapter = _open(folder)
    text = normalise(adapter.encode_texts(TEXTS))
    image = normalise(adapter.encode_images([adapter.preprocess(p) for p in pictures]))
    assert text.shape == (len(TEXTS), 24)
    assert text.dtype == image.dtype == torch.float32

    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    length = adapter.context_length
    for j, i, output in forward.one_by_one(model, folder, TEXTS, pictures, length):
        torch.testing.assert_close(
            text[j : j + 1], normalise(output.text_embeds), atol=1e-6, rtol=0
        )
        torch.testing.assert_close(
            image[i : i + 1], normalise(output.image_embeds), atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_depend_neither_on_the_batch_nor_on_its_order(
    kind: str, checkpoint: Folder
) -> None:
    adapter = _open(checkpoint(kind))
    together = adapter.encode_texts(TEXTS)
    alone = torch.cat([adapter.encode_texts([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        together.flip(0), adapter.encode_texts(TEXTS[::-1]), atol=1e-5, rtol=0
    )


def test_align_padded_to_its_trained_length_is_the_same(checkpoint: Folder) -> None:
    adapter = _open(checkpoint("align"))
    padded = adapter.tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=64, return_tensors="pt"
    )
    with torch.no_grad():
        expected = adapter.towers.whole.get_text_features(
            input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]
        ).pooler_output
    torch.testing.assert_close(adapter.encode_texts(TEXTS), expected, atol=1e-5, rtol=0)


def test_the_pooled_vector_is_not_the_first_output(checkpoint: Folder) -> None:
    """What `get_text_features(...)[0]` gives has other axes altogether."""
    adapter = _open(checkpoint("clip"))
    ids = adapter.tokenizer(["a bird"], return_tensors="pt")["input_ids"]
    assert adapter.towers.whole.get_text_features(input_ids=ids)[0].shape == (1, 4, 32)
    assert adapter.encode_texts(["a bird"]).shape == (1, 24)


def test_tokens_are_those_of_openai(checkpoint: Folder) -> None:
    """open_clip's tokenizer is an independent implementation of the same vocabulary."""
    import open_clip

    adapter = _open(checkpoint("clip"))
    texts = [
        "",
        "a bird",
        "A Blue  Bird.",
        "it's 2023, isn't it?",
        "caf\u00e9 \U0001f600",
        "x" * 300,
    ]
    expected = open_clip.get_tokenizer("ViT-B-32")(texts)
    encoded = adapter.tokenizer(texts, truncation=True, max_length=77)["input_ids"]
    for row, ids in zip(expected, encoded, strict=True):
        assert row[: len(ids)].tolist() == ids
        assert row[len(ids) :].sum() == 0
    assert encoded[0] == [49406, 49407]


def test_lengths_count_tokens_before_truncation(checkpoint: Folder) -> None:
    adapter = _open(checkpoint("clip"))
    assert adapter.id.context_length == 77
    assert adapter.text_lengths(["", "a bird", "bird " * 75, "bird " * 10_000]) == [
        2,
        4,
        77,
        10_002,
    ]
    cut, whole = adapter.encode_texts(["bird " * 10_000, "bird " * 75])
    torch.testing.assert_close(cut, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("kind", "context"), [("align", 64), ("altclip", 64), ("metaclip2", 77)])
def test_context_is_what_tokenizer_and_positions_allow(
    kind: str, context: int, checkpoint: Folder
) -> None:
    """ALIGN was trained at 64; AltCLIP's 66 positions begin at 2; MetaCLIP 2 has CLIP's 77."""
    adapter = _open(checkpoint(kind))
    assert adapter.id.context_length == context
    assert adapter.encode_texts(["bird " * 500]).isfinite().all()


def test_a_text_without_end_token_is_refused(checkpoint: Folder) -> None:
    adapter = _open(checkpoint("clip"))
    tokenizer = adapter.tokenizer
    from tokenizers import processors

    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()
    with pytest.raises(HierevalError) as caught:
        adapter.encode_texts(["a bird", "a dog"])
    assert str(caught.value) == "The text 'a bird' must keep its end token in clip."


def test_end_token_2_means_the_largest(checkpoint: Folder, copied: Folder) -> None:
    """OpenAI's configurations say eos_token_id 2; the vectors are those of 49407."""
    old = copied("clip")
    config = json.loads((old / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 2
    (old / "config.json").write_text(json.dumps(config))
    legacy, modern = _open(old), _open(checkpoint("clip"))
    assert legacy.towers.whole.config.text_config.eos_token_id == 2
    torch.testing.assert_close(
        legacy.encode_texts(TEXTS), modern.encode_texts(TEXTS), atol=1e-6, rtol=0
    )


def test_a_tokenizer_that_ends_elsewhere_is_refused(copied: Folder) -> None:
    folder = copied("clip")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 49405
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(HierevalError) as caught:
        _open(folder).encode_texts(["a bird"])
    assert str(caught.value) == (
        f"The tokenizer of '{folder}' must end texts with the token that the model pools on "
        "(49405); it ends them with 49407."
    )


def test_an_old_folder_of_vocab_and_merges_gives_the_same(
    checkpoint: Folder, copied: Folder
) -> None:
    """OpenAI's repositories hold vocab.json and merges.txt; tokenizer.json came later."""
    folder = copied("clip")
    saved = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(saved["vocab"]))
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in saved["merges"])])
    (folder / "merges.txt").write_text(merges)
    old, new = _open(folder), _open(checkpoint("clip"))
    torch.testing.assert_close(old.encode_texts(TEXTS), new.encode_texts(TEXTS), atol=1e-6, rtol=0)
    assert old.id.tokenizer_fingerprint == new.id.tokenizer_fingerprint  # the same ids


def test_pictures_of_every_mode_and_shape(
    checkpoint: Folder, odd_pictures: dict[str, Image.Image]
) -> None:
    adapter = _open(checkpoint("clip"))
    inputs = {name: adapter.preprocess(image) for name, image in odd_pictures.items()}
    vectors = adapter.encode_images(list(inputs.values()))
    assert vectors.shape == (len(odd_pictures), 24)
    assert vectors.isfinite().all()
    for mode in ("LA", "RGBA", "I;16", "I", "F"):  # the same picture, said otherwise
        assert torch.equal(inputs[mode]["pixel_values"], inputs["L"]["pixel_values"]), mode


def test_preprocessing_is_the_librarys_with_pillow(
    checkpoint: Folder, pictures: list[Image.Image]
) -> None:
    folder = checkpoint("clip")
    adapter = _open(folder)
    expected = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    fast = transformers.CLIPImageProcessor.from_pretrained(folder)
    large = pictures[0].resize((640, 427), Image.Resampling.NEAREST)
    ours = adapter.preprocess(large)["pixel_values"]
    assert torch.equal(ours, expected(large, return_tensors="pt")["pixel_values"][0])
    assert not torch.equal(ours, fast(large, return_tensors="pt")["pixel_values"][0])


def test_preprocessing_is_thread_safe(checkpoint: Folder, pictures: list[Image.Image]) -> None:
    adapter = _open(checkpoint("clip"))
    many = pictures * 20
    with ThreadPoolExecutor(8) as pool:  # the processor itself is loaded by the threads
        parallel = list(pool.map(adapter.preprocess, many))
    for image, inputs in zip(many, parallel, strict=True):
        assert torch.equal(inputs["pixel_values"], adapter.preprocess(image)["pixel_values"])


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01)])
def test_half_precision_is_near_and_returned_as_float32(
    precision: str, tolerance: float, checkpoint: Folder, pictures: list[Image.Image]
) -> None:
    exact = _open(checkpoint("clip"))
    half = _open(checkpoint("clip"), precision=precision)
    for whole, low in (
        (exact.encode_texts(TEXTS), half.encode_texts(TEXTS)),
        (
            exact.encode_images([exact.preprocess(p) for p in pictures]),
            half.encode_images([half.preprocess(p) for p in pictures]),
        ),
    ):
        assert low.dtype == torch.float32
        assert 0 < (normalise(whole) - normalise(low)).abs().max() < tolerance
    assert half.towers.whole.dtype == torch.float32
    assert half.id.dtype == {"bf16": "bfloat16", "fp16": "float16"}[precision]
    assert half.id.fingerprint() != exact.id.fingerprint()


def test_a_half_precision_checkpoint_is_computed_in_float32(checkpoint: Folder) -> None:
    """`dtype="auto"` would load it in half: its vectors then are off by 1e-3."""
    folder = checkpoint("clip-half")
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"
    adapter = _open(folder)
    vectors = adapter.encode_texts(TEXTS)
    assert {p.dtype for p in adapter.towers.whole.parameters()} == {torch.float32}
    full = _open(checkpoint("clip")).towers.whole
    full.load_state_dict({key: value.half() for key, value in full.state_dict().items()})
    ids = adapter.tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = full.get_text_features(input_ids=ids).pooler_output
    torch.testing.assert_close(vectors, expected, atol=1e-6, rtol=0)


def test_random_initialisation_needs_the_configuration_alone(copied: Folder) -> None:
    folder = copied("clip")
    trained = _open(folder).encode_texts(TEXTS)
    (folder / "model.safetensors").unlink()
    state = torch.get_rng_state()
    first, again, other = (_open(folder, random_init=seed) for seed in (0, 0, 1))
    torch.testing.assert_close(
        first.encode_texts(TEXTS), again.encode_texts(TEXTS), atol=1e-6, rtol=0
    )
    assert not torch.allclose(first.encode_texts(TEXTS), other.encode_texts(TEXTS))
    assert first.encode_texts(TEXTS).shape == trained.shape
    assert torch.equal(state, torch.get_rng_state())
    assert (first.id.weights_sha256, first.id.random_init) == (None, 0)
    assert len({a.id.fingerprint() for a in (first, again, other)}) == 2


def test_attention_is_the_fused_one(checkpoint: Folder) -> None:
    assert _open(checkpoint("clip")).towers.whole.config._attn_implementation == "sdpa"


def test_every_family_is_a_class_of_transformers() -> None:
    assert all(hasattr(transformers, family.model) for family in FAMILIES.values())


def test_another_seed_is_another_model(checkpoint: Folder, tmp_path: Path) -> None:
    """The checkpoints of these tests are not constant: what they assert could fail."""
    other = _open(checkpoints.clip(tmp_path / "other", seed=1))
    assert not torch.allclose(
        other.encode_texts(TEXTS), _open(checkpoint("clip")).encode_texts(TEXTS), atol=0.1
    )
