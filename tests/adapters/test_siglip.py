"""SigLIP: texts as it was trained on them, pooled at the last position; NaFlex grids."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image

from hiereval.adapters.siglip import Siglip
from hiereval.errors import HierevalError
from hiereval.geometry import normalise
from hiereval.types import LoadOptions

KINDS = ["siglip", "siglip2", "naflex"]
TEXTS = ["", "a bird", "A Blue Bird, on a branch!", "\U0001f600 \0 x", "bird " * 60]
Folder = Callable[[str], Path]


def _open(folder: Path, **options: object) -> Siglip:
    return Siglip(str(folder), LoadOptions(**options))  # type: ignore[arg-type]


def _reference_tokenizer(kind: str, folder: Path) -> object:
    """The class that transformers has for the family, not the one that the adapter takes."""
    if kind == "siglip":
        return transformers.SiglipTokenizer.from_pretrained(folder, padding_side="right")
    return transformers.Siglip2Tokenizer.from_pretrained(folder, padding_side="right")


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_librarys_forward(
    kind: str, checkpoint: Folder, pictures: list[Image.Image]
) -> None:
    """One text and picture at a time through forward(), padded to 16 without a mask."""
    folder = checkpoint(kind)
    adapter = _open(folder)
    text = normalise(adapter.encode_texts(TEXTS))
    image = normalise(adapter.encode_images([adapter.preprocess(p) for p in pictures]))
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = _reference_tokenizer(kind, folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    for j, sentence in enumerate(TEXTS):
        i = j % len(pictures)
        ids = tokenizer([sentence], padding="max_length", truncation=True, max_length=16)
        with torch.no_grad():
            output = model(
                input_ids=torch.tensor(ids["input_ids"]),
                **processor(pictures[i], return_tensors="pt"),
            )
        torch.testing.assert_close(
            text[j : j + 1], normalise(output.text_embeds), atol=1e-6, rtol=0
        )
        torch.testing.assert_close(
            image[i : i + 1], normalise(output.image_embeds), atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_root_is_the_same_alone_and_among_long_texts(kind: str, checkpoint: Folder) -> None:
    """With padding=True it would not be: the text vector stands at the last position."""
    adapter = _open(checkpoint(kind))
    together = adapter.encode_texts(TEXTS)
    alone = torch.cat([adapter.encode_texts([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)

    short, long = (
        adapter.tokenizer(texts, padding=True, max_length=16, truncation=True, return_tensors="pt")
        for texts in ([""], ["", TEXTS[-1]])
    )
    with torch.no_grad():
        roots = [
            adapter.towers.whole.get_text_features(input_ids=batch["input_ids"]).pooler_output[0]
            for batch in (short, long)
        ]
    assert (roots[0] - roots[1]).abs().max() > 0.1


def test_no_attention_mask_is_passed(checkpoint: Folder) -> None:
    adapter = _open(checkpoint("siglip"))
    batch = adapter.tokenizer(
        ["a bird"],
        padding="max_length",
        max_length=16,
        return_attention_mask=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        masked = adapter.towers.whole.get_text_features(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).pooler_output
    assert (masked - adapter.encode_texts(["a bird"])).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_the_root_is_end_and_padding_on_the_right(kind: str, checkpoint: Folder) -> None:
    adapter = _open(checkpoint(kind))
    end, pad = adapter.tokenizer.eos_token_id, adapter.tokenizer.pad_token_id
    seen: list[torch.Tensor] = []
    network = adapter.towers.text
    features = network.get_text_features
    network.get_text_features = lambda **inputs: seen.append(inputs) or features(**inputs)
    adapter.encode_texts([""])
    assert set(seen[0]) == {"input_ids"}
    assert seen[0]["input_ids"].tolist() == [[end] + [pad] * 15]
    assert end == 1
    assert pad == (1 if kind == "siglip" else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_case_is_folded(kind: str, checkpoint: Folder) -> None:
    """SigLIP 2's own tokenizer keeps case, though the model saw none in training."""
    adapter = _open(checkpoint(kind))
    assert torch.equal(
        adapter.encode_texts(["A BIRD on A Branch"]), adapter.encode_texts(["a bird on a branch"])
    )
    if kind != "siglip":
        assert adapter.tokenizer("A BIRD") != adapter.tokenizer("a bird")


@pytest.mark.parametrize("kind", ["siglip2", "naflex"])
def test_letters_are_folded_one_by_one(kind: str, checkpoint: Folder) -> None:
    """As SigLIP 2's tokenizer does: Python makes the last sigma of a word another letter."""
    adapter = _open(checkpoint(kind))
    library = transformers.Siglip2Tokenizer.from_pretrained(checkpoint(kind))
    texts = ["\u039f\u0394\u039f\u03a3 on a branch", "\u0130STANBUL STRA\u1e9eE", "A Blue Bird."]
    ours = adapter.tokenizer([adapter.canonical(text) for text in texts])["input_ids"]
    assert ours == library(texts)["input_ids"]
    assert adapter.canonical(texts[0])[3] != texts[0].lower()[3]


def test_siglip_1_drops_punctuation_and_siglip_2_keeps_it(checkpoint: Folder) -> None:
    first, second = _open(checkpoint("siglip")), _open(checkpoint("siglip2"))
    assert first.canonical(" Dog,  a \t BALL... ") == "dog a ball"
    assert torch.equal(*(first.encode_texts([text]) for text in ("a bird", "A bird.")))
    assert second.canonical("Dog. ") == "dog. "
    assert not torch.equal(*(second.encode_texts([text]) for text in ("a bird", "a bird.")))


def test_a_folder_with_a_fast_tokenizer_alone_gives_the_same(
    checkpoint: Folder, copied: Folder
) -> None:
    """SigLIP 1 re-saved without spiece.model: its tokenizer.json knows nothing of punctuation."""
    folder = copied("siglip")
    slow = _open(checkpoint("siglip"))
    pieces = slow.tokenizer.sp_model
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(len(pieces))]
    fast = Tokenizer(models.Unigram(vocabulary, unk_id=2, byte_fallback=False))
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    fast.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    (folder / "spiece.model").unlink()
    fast.save(str(folder / "tokenizer.json"))
    adapter = _open(folder)
    texts = ["", "a bird", "A Blue Bird, on a branch!", "..."]
    assert type(adapter.tokenizer).__name__ != "SiglipTokenizer"
    torch.testing.assert_close(
        adapter.encode_texts(texts), slow.encode_texts(texts), atol=1e-6, rtol=0
    )


def test_without_sentencepiece_the_extra_is_named(
    checkpoint: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(obj: object, backends: object) -> None:
        raise ImportError("SiglipTokenizer requires the SentencePiece library but ...")

    monkeypatch.setattr("transformers.models.siglip.tokenization_siglip.requires_backends", missing)
    folder = checkpoint("siglip")
    with pytest.raises(HierevalError) as caught:
        _open(folder).text_lengths(["a bird"])
    assert str(caught.value) == (
        f"The tokenizer of '{folder}' needs sentencepiece and protobuf: "
        "pip install 'hiereval-vlm[siglip]'"
    )


@pytest.mark.parametrize(("template", "root"), [(None, "[]"), ("<bos> $A <eos>", "[2, 1]")])
def test_a_tokenizer_without_end_or_with_start_is_refused(
    template: str | None, root: str, copied: Folder
) -> None:
    """Nothing at the end, or Gemma's start token as well."""
    from tokenizers import Tokenizer, processors

    folder = copied("siglip2")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    specials = [("<bos>", 2), ("<eos>", 1)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template or "$A", special_tokens=specials
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(HierevalError) as caught:
        _open(folder).encode_texts(["a bird"])
    assert str(caught.value) == (
        f"The tokenizer of '{folder}' must turn '' into its end token [1]; it gives {root}."
    )


def test_lengths_count_tokens_before_truncation(checkpoint: Folder) -> None:
    adapter = _open(checkpoint("siglip2"))
    assert adapter.id.context_length == 16
    lengths = adapter.text_lengths(["", "bird", "bird " * 10_000])
    assert lengths[0] == 1
    assert lengths[2] > 10_000
    assert adapter.encode_texts(["bird " * 10_000]).isfinite().all()


def test_the_context_is_padded_to_even_if_the_tokenizer_has_none(copied: Folder) -> None:
    """`padding="max_length"` alone pads nothing when model_max_length is huge."""
    folder = copied("siglip2")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config.get("model_max_length", 10**30) > 10**9
    assert _open(folder).encode_texts(["a bird"]).shape == (1, 32)


def test_naflex_pictures_carry_their_grid(checkpoint: Folder, pictures: list[Image.Image]) -> None:
    adapter = _open(checkpoint("naflex"))
    inputs = [adapter.preprocess(picture) for picture in pictures]
    assert [x["spatial_shapes"].tolist() for x in inputs] == [[3, 4], [5, 3], [4, 4]]
    assert [int(x["pixel_attention_mask"].sum()) for x in inputs] == [12, 15, 16]
    assert all(x["pixel_values"].shape == (16, 192) for x in inputs)
    alone = torch.cat([adapter.encode_images([x]) for x in inputs])
    torch.testing.assert_close(adapter.encode_images(inputs), alone, atol=1e-5, rtol=0)


def test_naflex_with_a_fixed_resolution_processor_is_refused(
    checkpoint: Folder, copied: Folder, pictures: list[Image.Image]
) -> None:
    folder = copied("naflex")
    shutil.copy(checkpoint("siglip2") / "preprocessor_config.json", folder)
    with pytest.raises(HierevalError) as caught:
        _open(folder).preprocess(pictures[0])
    assert str(caught.value) == (
        f"The image processor of '{folder}' must return pixel_attention_mask, pixel_values, "
        "spatial_shapes; it returns pixel_values."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_every_mode_and_shape(
    kind: str, checkpoint: Folder, odd_pictures: dict[str, Image.Image]
) -> None:
    adapter = _open(checkpoint(kind))
    vectors = adapter.encode_images([adapter.preprocess(p) for p in odd_pictures.values()])
    assert vectors.shape == (len(odd_pictures), 32)
    assert vectors.isfinite().all()


def test_tokenizer_files_decide_the_generation(checkpoint: Folder) -> None:
    """Fixed-resolution SigLIP 2 has model_type siglip: the vocabulary alone tells it apart."""
    types = {
        kind: json.loads((checkpoint(kind) / "config.json").read_text())["model_type"]
        for kind in KINDS
    }
    assert types == {"siglip": "siglip", "siglip2": "siglip", "naflex": "siglip2"}
